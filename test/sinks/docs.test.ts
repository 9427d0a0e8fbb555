import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { jsonMessage } from '../../src/pipeline/delivery/forecast-message.js';
import { signatureOf } from '../../src/pipeline/delivery/post-json.js';
import { builtInNames, createPlugin, loadPlugin } from '../../src/pipeline/plugins/registry.js';
import { exampleForecast, exampleFrame } from '../../src/testing/examples.js';
import { sinkContext } from '../support/sinks.js';

const page = await readFile('docs/sinks.md', 'utf8');
const blocks = [...page.matchAll(/```python\n(.*?)```/gs)].map(([, code]) => code ?? '');
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mesocast-docs-'));
});
afterAll(() => rm(folder, { recursive: true }));
const forecast = exampleForecast(exampleFrame(1));

test('docs/sinks.md has a section for every sink that writes no files', async () => {
  const sections = [...page.matchAll(/^## (\w+)$/gm)].map(([, name]) => name);
  expect(sections).toEqual(builtInNames('sink').filter((name) => name !== 'files' && name !== 'jsonl'));
  const { options } = await loadPlugin('sink', 'trigger');
  for (const key of ['when', 'match', 'fire', 'command', 'url'])
    expect(Object.keys(options.shape)).toContain(key);
});

const python = spawnSync('python3', ['-c', 'import numpy']).status === 0 ? test : test.skip;
python(
  'its Python reads frames, checks signatures and acknowledges (skipped where python3 has no numpy)',
  async () => {
    const [frames = '', signature = '', program = ''] = blocks;
    const body = JSON.stringify(jsonMessage({ type: 'forecast', forecast }, [2]));
    await writeFile(join(folder, 'message.json'), body);
    const seconds = Math.floor(Date.now() / 1000);
    const header = `t=${seconds},v1=${signatureOf('sesame', seconds, body)}`;
    const check = `
raw = open("message.json", "rb").read()
values = frames_of(json.loads(raw))
print(values.shape, values[0, 0, 1, 0], is_genuine(b"sesame", "${header}", raw), is_genuine(b"other", "${header}", raw))`;
    const { stdout, stderr } = spawnSync('python3', ['-c', `${frames}\n${signature}\n${check}`], {
      cwd: folder,
      encoding: 'utf8',
    });
    expect({ stdout, stderr }).toEqual({ stdout: '(1, 8, 9, 1) 7.0 True False\n', stderr: '' });

    const path = join(folder, 'sink.py');
    await writeFile(path, program);
    const context = sinkContext(folder);
    const sink = await createPlugin('sink', 'exec', { command: ['python3', path] }, context);
    const never = new AbortController().signal;
    await sink.open(never);
    await sink.forecast(forecast, never);
    await sink.close();
    expect(context.messages).toEqual(['python3: run1 10 44.5']);
  },
);
