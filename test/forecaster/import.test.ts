import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { openEngine } from '../../src/engine/index.js';
import { loadForecaster } from '../../src/forecaster/folder.js';
import { settingsSchema } from '../../src/forecaster/forecaster.js';
import { readSafetensors, type Weight } from '../../src/forecaster/safetensors.js';
import { resolveSource, type Source } from '../../src/forecaster/weight-map.js';
import { forecastWith, largestDifference } from '../support/forecast-with.js';
import { mesocast } from '../support/cli.js';

const GOLDEN = 'test/forecaster/golden/import';
const WEIGHTS = join(GOLDEN, 'weights.safetensors');
const NETWORK = [
  'encoder.width=4',
  'encoder.latent=4',
  'predictor.layers=1',
  'predictor.hidden=4',
  'decoder.width=4',
];
const SET = NETWORK.flatMap((setting) => ['--set', setting]);

let home: string;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'mesocast-import-'));
});
afterAll(() => rm(home, { recursive: true }));

/** `mesocast import` of the golden weights with a changed map. */
const imported = async (name: string, change: Record<string, unknown>, more: readonly string[] = SET) => {
  const golden = JSON.parse(await readFile(join(GOLDEN, 'map.json'), 'utf8')) as Record<string, unknown>;
  const map = join(home, `${name}.json`);
  await writeFile(map, JSON.stringify({ ...golden, ...change }));
  return mesocast(['import', WEIGHTS, '--map', map, '--out', join(home, name), '--context', '4', ...more]);
};

test("PyTorch's weights, under its own names, in its own order and types, forecast what PyTorch forecasts", async () => {
  expect(await imported('golden', {})).toMatchObject({ code: 0, stderr: '' });
  const { tensors } = readSafetensors(await readFile(join(GOLDEN, 'roll-out.safetensors')));
  const frames = (name: string, length: number): Float32Array[] =>
    Array.from({ length }, (_, t) => (tensors[name] as Weight).data.slice(t * 384, (t + 1) * 384));
  const engine = await openEngine('cpu', 1);
  const forecast = async (folder: string): Promise<number> => {
    const made = await forecastWith(engine, await loadForecaster(folder), [16, 24, 1], frames('frames', 4));
    return largestDifference(made, frames('forecast', 3));
  };
  expect(await forecast(join(home, 'golden'))).toBeLessThan(2e-6);
  // It would show: gates in another order are another network.
  const bias = { of: { sum: ['from_input.bias', 'from_hidden.bias'] }, gates: 'ifog' };
  await imported('swapped', { 'predictor.layer0.bias': bias });
  expect(await forecast(join(home, 'swapped'))).toBeGreaterThan(1e-3);
  await engine.dispose();
});

test('how frames were normalised and turned comes along; what is told is what is loaded', async () => {
  const how = ['--range', '0', '255', '--symmetries', 'flips'];
  const { code, stdout } = await imported('ranged', {}, [...SET, ...how, '--json']);
  expect(code).toBe(0);
  const { settings, id } = await loadForecaster(join(home, 'ranged'));
  expect(settings).toMatchObject({ context: 4, range: [0, 255], symmetries: 'flips' });
  expect(settings.channelRanges).toBeUndefined();
  expect(JSON.parse(stdout)).toMatchObject({ forecaster: id });
});

test('docs/onnx.md has every key of forecaster.json', async () => {
  const section = (await readFile('docs/onnx.md', 'utf8'))
    .split('## forecaster.json\n')[1]
    ?.split('\n## ')[0];
  const keys = [...(section ?? '').matchAll(/^\| `(\w+)` \|/gm)].map(([, key]) => key);
  expect(keys).toEqual(Object.keys(settingsSchema.shape));
});

describe('refused, with what does not match on both sides', () => {
  test.each<[string, Record<string, unknown>, readonly string[], number, RegExp]>([
    [
      'missing and left over',
      { 'encoder.half.weight': 'encode.9.weight' },
      SET,
      3,
      /not in the file: encoder\.half\.weight \[3, 3, 2, 4\] from encode\.9\.weight; in the file, but not used: encode\.0\.weight \[4, 2, 3, 3\] \(say in a --map/,
    ],
    [
      'another shape',
      {},
      [...SET, '--set', 'decoder.width=5'],
      3,
      /of another shape: decoder\.half\.weight \[3, 3, 8, 5\] would get \[3, 3, 8, 4\], decoder\.half\.bias \[5\] would get \[4\]/,
    ],
    [
      'parts that do not fit together',
      { 'predictor.layer0.bias': { sum: ['from_input.bias', 'encode.0.bias'] } },
      SET,
      3,
      /predictor\.layer0\.bias \[16\]: \[16\] and \[4\] cannot be added; in the file, but not used: from_hidden\.bias \[16\]/,
    ],
    ['a type that is no float', { ignore: [] }, SET, 3, /tensor "steps" is not of a float type/],
    [
      'a name that is no weight',
      { 'encoder.halt.weight': 'x' },
      SET,
      2,
      /"encoder\.halt\.weight", which is no weight of this forecaster \(did you mean "encoder\.half\.weight"/,
    ],
    [
      'gates that are none',
      { 'predictor.layer0.bias': { of: 'x', gates: 'abcd' } },
      SET,
      2,
      /predictor\.layer0\.bias/,
    ],
    [
      'another option',
      {},
      [...SET, '--set', 'encoder.depth=3'],
      2,
      /encoder "conv": option depth is not known/,
    ],
    [
      'ranges of channels that share one',
      {},
      [...SET, '--range', '0', '1', '--range', '0', '2'],
      2,
      /range has 4 numbers, but the forecaster's channels share one range/,
    ],
  ])('%s', async (name, change, set, code, message) => {
    expect(await imported(name.replaceAll(' ', '-'), change, set)).toMatchObject({
      code,
      stderr: expect.stringMatching(message),
    });
  });

  test('a folder that has a forecaster, and files that are not there', async () => {
    const run = (weights: string, ...more: string[]) => mesocast(['import', weights, ...more, ...SET]);
    expect((await run(WEIGHTS, '--out', GOLDEN.replace('import', 'onnx-stages'))).stderr).toMatch(
      /has a forecaster already/,
    );
    expect((await run('nosuch', '--out', join(home, 'new'))).stderr).toMatch(/nosuch cannot be read: ENOENT/);
    expect((await run(WEIGHTS, '--out', join(home, 'new'), '--map', 'nosuch')).stderr).toMatch(
      /--map nosuch cannot be read/,
    );
  });
});

const count = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);
/** Values count up; the second tensor from 100. */
const file: Record<string, Weight> = Object.fromEntries(
  [[2, 3, 1, 2], [2, 3, 1, 2], [4], [2, 3]].map((shape, k) => [
    'abcd'[k] ?? '',
    { shape, data: Float32Array.from({ length: count(shape) }, (_, i) => 100 * k + i) },
  ]),
);
test.each<[Source, number[], number[]]>([
  ['a', [1, 2, 3, 2], [0, 6, 2, 8, 4, 10, 1, 7, 3, 9, 5, 11]],
  [{ of: 'a', layout: 'IO' }, [1, 2, 2, 3], [1, 3, 5, 7, 9, 11, 0, 2, 4, 6, 8, 10]],
  ['d', [3, 2], [300, 303, 301, 304, 302, 305]],
  [7, [2, 2], [7, 7, 7, 7]],
  [{ sum: ['a', 'b'] }, [1, 2, 3, 2], [100, 112, 104, 116, 108, 120, 102, 114, 106, 118, 110, 122]],
  [{ outputs: ['d', 'd'] }, [3, 4], [300, 303, 300, 303, 301, 304, 301, 304, 302, 305, 302, 305]],
  [{ inputs: ['d', 'd'] }, [6, 2], [300, 303, 301, 304, 302, 305, 300, 303, 301, 304, 302, 305]],
  [{ of: 'c', gates: 'gofi' }, [4], [203, 202, 201, 200]],
  [
    { of: { outputs: ['d', 'd'] }, gates: 'ifgo' },
    [3, 4],
    [300, 303, 303, 300, 301, 304, 304, 301, 302, 305, 305, 302],
  ],
])('%j', (source, shape, data) => {
  const weight = resolveSource(source, [2, 2], (name) => file[name] as Weight);
  expect(weight.shape).toEqual(shape);
  expect([...weight.data]).toEqual(data);
});
