import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createPlugin } from '../../src/pipeline/plugins/registry.js';
import { exampleForecast, exampleFrame } from '../../src/testing/examples.js';
import { describeSink } from '../support/sink-conformance.js';
import { sinkAt, sinkContext } from '../support/sinks.js';

/** Appends what it gets to a file and acknowledges it, but does what TROUBLE says at the first line of its first life. */
const PROGRAM = `
import { appendFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
const out = process.env.MESOCAST_OUT;
mkdirSync(out, { recursive: true });
const trouble = existsSync(out + '/seen') ? '' : process.env.TROUBLE;
for await (const line of createInterface({ input: process.stdin })) {
  const { type, key, series, index } = JSON.parse(line);
  if (trouble) writeFileSync(out + '/seen', '');
  if (trouble === 'die') process.exit(3);
  if (trouble === 'hang') await new Promise(() => setInterval(() => {}, 1000));
  if (trouble === 'refuse') { console.log(JSON.stringify({ nack: key, reason: 'not mine', retryable: false })); continue; }
  if (type === 'forecast') appendFileSync(out + '/got', series + '/' + index + '\\n');
  console.error('got ' + index);
  console.log('hello');
  console.log(JSON.stringify({ ack: key }));
}
`;
let folder: string;
let program: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mesocast-exec-'));
  program = join(folder, 'program.mjs');
  await writeFile(program, PROGRAM);
});
afterAll(() => rm(folder, { recursive: true }));
const never = new AbortController().signal;
const at = (position: number) => exampleForecast(exampleFrame(position));
const got = async (out: string): Promise<string[]> =>
  (await readFile(join(out, 'got'), 'utf8').catch(() => '')).split('\n').filter(Boolean);

describeSink('exec', {
  create: (context) => createPlugin('sink', 'exec', { command: [process.execPath, program] }, context),
  delivered: got,
  breaks: (out) => writeFile(out, 'in the way'),
});

test('a program whose own children live on is ended all the same', async () => {
  const script = `sleep 40 & exec ${process.execPath} ${program}`;
  const sink = await createPlugin(
    'sink',
    'exec',
    { command: ['sh', '-c', script] },
    sinkContext(join(folder, 'left')),
  );
  await sink.open(never);
  await sink.forecast(at(1), never);
  const began = performance.now();
  await sink.close();
  expect(performance.now() - began).toBeLessThan(20_000);
});

test('what the program says goes to people', async () => {
  const context = sinkContext(join(folder, 'says'));
  const sink = await createPlugin('sink', 'exec', { command: [process.execPath, program] }, context);
  await sink.open(never);
  await sink.forecast(at(1), never);
  await sink.close();
  expect(context.messages.sort()).toEqual([
    `${process.execPath} said what is no acknowledgement: hello`,
    `${process.execPath}: got 10`,
  ]);
});

test.each([
  ['die', /ended with exit code 3/, true],
  ['hang', /did not answer in 1 s/, true],
  ['refuse', /not mine/, false],
])(
  'a program that does "%s" fails that delivery, and a later one reaches it',
  async (trouble, message, retryable) => {
    const out = join(folder, trouble);
    const options = {
      command: [process.execPath, program],
      env: { TROUBLE: trouble },
      timeout: trouble === 'hang' ? 1 : 30,
    };
    const sink = await sinkAt(out, 'exec', options);
    await sink.open(never);
    const failure = sink.forecast(at(1), never);
    await expect(failure).rejects.toMatchObject({
      tag: 'sink',
      retryable,
      message: expect.stringMatching(message),
    });
    if (trouble !== 'refuse') {
      await sink.forecast(at(1), never);
      await sink.forecast(at(2), never);
      expect(await got(out)).toEqual(['run1/10', 'run1/20']);
    }
    await sink.close();
  },
);

test('a program that is not there cannot start', async () => {
  const sink = await sinkAt(folder, 'exec', { command: ['no-such-program-of-mesocast'] });
  await expect(sink.open(never)).rejects.toThrow(/no-such-program-of-mesocast cannot be started: .*ENOENT/);
  await expect(sinkAt(folder, 'exec', {})).rejects.toThrow('option command is missing');
});
