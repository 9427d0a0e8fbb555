import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { exitCodeOf, messageOf } from '../../src/pipeline/errors.js';
import { attach } from '../../src/pipeline/runner.js';
import { mesocast } from '../support/cli.js';
import { daemon, smallRun, until } from '../support/runs.js';
import { putFrames, saveTiny, tinyForecaster } from '../support/tiny.js';
import { saveForecaster } from '../../src/forecaster/folder.js';
import { writeSafetensors } from '../../src/forecaster/safetensors.js';

let home: string;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'mesocast-start-'));
  await saveTiny(join(home, 'tiny'));
  await putFrames(join(home, 'frames'), 0, 6);
  await writeFile(join(home, 'file'), '');
  const spoilt = async (name: string, spoil: (folder: string) => Promise<unknown>): Promise<void> => {
    await saveTiny(join(home, name));
    await spoil(join(home, name));
  };
  await mkdir(join(home, 'empty'));
  await spoilt('no-weights', (folder) => rm(join(folder, 'weights.safetensors')));
  await spoilt('bad-json', (folder) => truncate(join(folder, 'forecaster.json'), 30));
  await spoilt('wrong-key', (folder) =>
    writeFile(join(folder, 'forecaster.json'), '{"format": 1, "name": "x", "encodr": 3}'),
  );
  await spoilt('short', (folder) => truncate(join(folder, 'weights.safetensors'), 3000));
  await spoilt('garbage', (folder) => writeFile(join(folder, 'weights.safetensors'), 'no weights at all'));
  const { settings, weights } = await tinyForecaster();
  const bias = weights['encoder.half.bias'];
  if (bias === undefined) throw new Error('no such weight');
  await spoilt('nan', (folder) =>
    writeFile(
      join(folder, 'weights.safetensors'),
      writeSafetensors({ ...weights, 'encoder.half.bias': { ...bias, data: bias.data.map(() => NaN) } }),
    ),
  );
  await saveForecaster(join(home, 'misfit'), {
    settings: { ...settings, encoder: { name: 'conv', options: { width: 16, latent: 8 } } },
    weights,
  });
  await saveForecaster(join(home, 'no-plugin'), {
    settings: { ...settings, predictor: { name: 'oracle', options: {} } },
    weights,
  });
});
afterAll(() => rm(home, { recursive: true }));

const mistakes: readonly (readonly [
  what: string,
  settings: Parameters<typeof smallRun>[0],
  code: number,
  says: RegExp,
])[] = [
  ['no such directory', { directory: 'nowhere' }, 3, /there is no directory .*nowhere/],
  ['a file for a directory', { directory: 'file' }, 3, /file is not a directory/],
  ['an empty forecaster', { forecaster: 'empty' }, 3, /empty: forecaster\.json is missing/],
  ['one without weights', { forecaster: 'no-weights' }, 3, /no-weights: weights\.safetensors is missing/],
  ['broken JSON', { forecaster: 'bad-json' }, 3, /bad-json: forecaster\.json is not JSON/],
  ['a wrong key', { forecaster: 'wrong-key' }, 3, /wrong-key: forecaster\.json: .*encod/],
  ['truncated weights', { forecaster: 'short' }, 3, /short: weights\.safetensors is damaged: .*truncated/],
  ['no weights file at all', { forecaster: 'garbage' }, 3, /garbage: weights\.safetensors is damaged/],
  ['weights of NaN', { forecaster: 'nan' }, 3, /nan: .*"encoder\.half\.bias" holds NaN/],
  [
    'weights of other settings',
    { forecaster: 'misfit' },
    3,
    /misfit: .*"encoder\.half\.weight" is \[3, 3, 2, 8\], its settings want \[3, 3, 2, 16\]/,
  ],
  ['an unknown stage', { forecaster: 'no-plugin' }, 3, /no-plugin: .*there is no predictor "oracle"/],
  ['an unknown sink', { sinks: ['nosuch'] }, 2, /there is no sink "nosuch"/],
  [
    'a wrong option of a sink',
    { sinks: [{ name: 'files', options: { format: 'bmp' } }] },
    2,
    /sink "files": option format is "bmp"/,
  ],
  ['an unknown device', { device: 'abacus' }, 2, /abacus/],
  [
    'a device of another system',
    { device: process.platform === 'win32' ? 'coreml' : 'dml' },
    3,
    /does not work here: this is not/,
  ],
  ['output into the directory itself', { out: 'frames' }, 2, /cannot go into the watched directory itself/],
];
test.each(mistakes)(
  '%s: refused in one line, with nothing left behind',
  async (_what, settings, code, says) => {
    const before = await readdir(home);
    const paths = { directory: 'frames', out: 'out', forecaster: 'tiny', ...settings };
    const absolute = Object.fromEntries(
      Object.entries(paths).map(([key, value]) => [
        key,
        typeof value === 'string' && key !== 'device' ? join(home, value) : value,
      ]),
    );
    const error: unknown = await attach(smallRun(absolute)).catch((thrown: unknown) => thrown);
    expect(messageOf(error)).toMatch(says);
    expect(messageOf(error)).not.toContain('\n');
    expect(exitCodeOf(error)).toBe(code);
    expect(await readdir(home)).toEqual(before);
  },
);

test('a second daemon is refused in words; the first one and its state are left alone', async () => {
  const line = [join(home, 'frames'), '--out', join(home, 'locked'), '--forecaster', join(home, 'tiny')];
  const first = daemon(line);
  await until('the lock', () => existsSync(join(home, 'locked/state/lock')));
  const { code, stderr } = await daemon(line).exited;
  expect(stderr).toMatch(
    /^mesocast: the state folder .* is in use by process \d+ \(stop that process[^\n]*\n$/,
  );
  expect(code).toBe(3);
  expect(first.running).toBe(true);
  first.kill('SIGTERM');
  expect((await first.exited).code).toBe(0);
  expect(existsSync(join(home, 'locked/state/lock'))).toBe(false);
});

test('an output folder that cannot be made, and a sink that cannot start', async () => {
  const line = [join(home, 'frames'), '--forecaster', join(home, 'tiny')];
  const blocked = await daemon([...line, '--out', join(home, 'file/out')]).exited;
  expect(blocked).toMatchObject({
    code: 3,
    stderr: expect.stringMatching(/^mesocast: cannot use the state folder .*file\/out\/state: [^\n]*\n$/),
  });
  await mkdir(join(home, 'taken/forecasts.jsonl'), { recursive: true });
  const taken = await daemon([...line, '--out', join(home, 'taken')]).exited;
  expect(taken).toMatchObject({
    code: 3,
    stderr: expect.stringMatching(/^mesocast: sink jsonl cannot start: [^\n]*\n$/),
  });
  expect(existsSync(join(home, 'taken/state/lock'))).toBe(false);
});

test('a run writes into its output folder and nowhere else', async () => {
  const elsewhere = join(home, 'elsewhere');
  await mkdir(elsewhere);
  const line = [
    'attach',
    'frames',
    '--forecaster',
    'tiny',
    '--learn',
    'off',
    '--out',
    'own',
    '--context',
    '3',
    '--until-idle',
    '0.5',
    '--json',
  ];
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    HOME: elsewhere,
    XDG_CACHE_HOME: elsewhere,
    XDG_CONFIG_HOME: elsewhere,
    TMPDIR: elsewhere,
  };
  delete env.ORT_DISABLE_TELEMETRY;
  const before = await readdir(home);
  const { code, stdout } = await mesocast(line, { cwd: home, env });
  expect({ code, forecasts: (JSON.parse(stdout) as { forecasts: number }).forecasts }).toEqual({
    code: 0,
    forecasts: 4,
  });
  expect(await readdir(elsewhere)).toEqual([]);
  expect((await readdir(home)).sort()).toEqual([...before, 'own'].sort());
});
