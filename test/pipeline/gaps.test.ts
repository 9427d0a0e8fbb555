import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ssim } from '../../src/metrics/ssim.js';
import type { Field, FrameShape } from '../../src/pipeline/frame.js';
import { filled, requireKnown, withGapsOf } from '../../src/pipeline/intake/gaps.js';
import { openPreparation } from '../../src/pipeline/intake/preparation.js';
import { codecForExtension, createPlugin } from '../../src/pipeline/plugins/registry.js';
import { scoreLead } from '../../src/stages/verify.js';
import { difference, forecastLines, forecastValues, record, scoreLines, smallRun } from '../support/runs.js';
import { framePath, movingField, saveTiny } from '../support/tiny.js';

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'mesocast-gaps-'));
});
afterEach(() => rm(home, { recursive: true }));

const field = (
  shape: FrameShape,
  data: readonly number[],
  sampleType: Field['sampleType'] = 'uint8',
): Field => ({
  shape,
  data: Float32Array.from(data),
  sampleType,
});
const counting = (h: number, w: number): Field =>
  field(
    [h, w, 1],
    Array.from({ length: h * w }, (_, i) => i),
  );
const write = async (path: string, frame: Field): Promise<string> => {
  const codec = await codecForExtension(path.slice(path.lastIndexOf('.')));
  await writeFile(path, await codec.encode(frame));
  return path;
};

describe('what is done to frames when they are read', () => {
  test('a region is cut out, and blocks are averaged over what is known', async () => {
    const { apply, view } = await openPreparation({ region: [1, 2, 4, 3], downsample: 2, missingValue: 13 });
    // Rows 2 and 3, columns 1..4 of 6: 13 14 15 16 / 19 20 21 22
    const seen = apply(counting(6, 6));
    expect(seen).toEqual(field([1, 2, 1], [(14 + 19 + 20) / 3, (15 + 16 + 21 + 22) / 4], 'float32'));
    expect(view).toEqual({ region: [1, 2, 4, 3], downsample: 2 });
    const colours = (await openPreparation({ region: [1, 0, 2, 2] })).apply(
      field([2, 3, 2], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
    );
    expect(colours).toEqual(field([2, 2, 2], [2, 3, 4, 5, 8, 9, 10, 11]));
  });

  test('nothing is known where the mask is 0; one of another size is refused', async () => {
    const mask = await write(join(home, 'mask.png'), field([2, 2, 1], [0, 255, 1, 255]));
    const { apply, view, description } = await openPreparation({ mask });
    expect([...apply(counting(2, 2)).data]).toEqual([NaN, 1, 2, 3]);
    expect(() => apply(counting(2, 3))).toThrow('it is 2x3, the mask 2x2 (height x width)');
    expect(view).toBeUndefined();
    expect(description).toContain('mask');
    // By what it holds: where it lies is another matter.
    const values = field([2, 2, 1], [0, 255, 1, 255]);
    const same = await openPreparation({ mask: await write(join(home, 'moved.png'), values) });
    expect(same.description).toBe(description);
    values.data[3] = 0;
    const other = await openPreparation({ mask: await write(join(home, 'mask.png'), values) });
    expect(other.description).not.toBe(description);
    await expect(openPreparation({ mask: join(home, 'none.png') })).rejects.toThrow('there is no such file');
  });

  test('a region that leaves the frame, and blocks larger than it, are refused', async () => {
    const { apply } = await openPreparation({ region: [2, 0, 5, 2] });
    expect(() => apply(counting(4, 6))).toThrow('the region 2,0,5,2 leaves the frame of 6 x 4 pixels');
    const { apply: reduce } = await openPreparation({ downsample: 5 });
    expect(() => reduce(counting(4, 6))).toThrow('6 x 4 pixels cannot be averaged by 5');
  });

  test('infinite values are refused, and a frame of which nothing is known', () => {
    expect(() => requireKnown(field([1, 3, 1], [NaN, 2, -Infinity]))).toThrow(
      '1 of its 3 values is infinite, the first in row 0, column 2',
    );
    expect(() => requireKnown(field([1, 2, 1], [NaN, NaN]))).toThrow('none of its values is known');
    requireKnown(field([1, 2, 1], [NaN, 0]));
  });

  test.each(['points', 'cells'])('hidden %s of VTK image data are gaps', async (kind) => {
    const vti = await createPlugin('codec', 'vti', {}, undefined);
    const path = new URL(`../../../test/codecs/golden/gaps/${kind}.vti`, import.meta.url);
    const { data, shape } = await vti.decode(await readFile(path));
    expect(shape).toEqual([3, 4, 1]);
    expect([...data]).toEqual(Array.from({ length: 12 }, (_, i) => (i === 5 || i === 9 ? NaN : i)));
  });
});

describe('gaps', () => {
  test('are filled from around them: a plane comes out as one, known values stay', () => {
    const shape = [24, 20, 2] as const;
    const plane = Float32Array.from({ length: 960 }, (_, i) => {
      const [y, x] = [Math.floor(i / 40), Math.floor(i / 2) % 20];
      return i % 2 === 0 ? 3 * y + x : -y;
    });
    const holed = plane.map((value, i) => {
      const [y, x] = [Math.floor(i / 40), Math.floor(i / 2) % 20];
      return y >= 8 && y < 14 && x >= 6 && x < 12 ? NaN : value;
    });
    const whole = filled(holed, shape);
    expect(holed.every((value, i) => Number.isNaN(value) || value === whole[i])).toBe(true);
    const worst = Math.max(...whole.map((value, i) => Math.abs(value - plane[i]!)));
    expect(worst).toBeGreaterThan(0);
    expect(worst).toBeLessThan(8); // of a range of 90
    expect(filled(plane, shape)).toBe(plane);
  });

  test('a single known value fills the frame', () => {
    const data = new Float32Array(35).fill(NaN);
    data[17] = 4;
    expect([...filled(data, [5, 7, 1])]).toEqual(new Array(35).fill(4));
  });

  test('lie where they lay in the frame, at every lead', () => {
    expect([...withGapsOf(Float32Array.of(1, 2, 3, 4), Float32Array.of(0, NaN))]).toEqual([1, NaN, 3, NaN]);
  });

  test('do not count in scores: what stands there makes no difference', () => {
    const shape = [12, 12, 1] as const;
    const random = (seed: number) =>
      Float32Array.from({ length: 144 }, (_, i) => Math.abs(Math.sin(seed * 99 + i * i)));
    const slice = { last: random(1), previous: random(2), predicted: random(3) };
    const truth = random(4);
    const range = { shape, normalisation: { low: 0, high: 1 } };
    const hole = (values: Float32Array): Float32Array =>
      values.map((value, i) => (i % 12 < 3 && i < 60 ? NaN : value));
    const scored = scoreLead(slice, hole(truth), 1, range);
    const other = {
      ...slice,
      predicted: slice.predicted.map((value, i) => (i % 12 < 3 && i < 60 ? 77 : value)),
    };
    expect(scoreLead(other, hole(truth), 1, range)).toEqual(scored);
    expect(scoreLead({ ...slice, predicted: hole(slice.predicted) }, truth, 1, range)).toEqual(scored);
    const known = [...truth.keys()].filter((i) => !(i % 12 < 3 && i < 60));
    const squares = known.map((i) => (truth[i]! - slice.predicted[i]!) ** 2);
    expect(scored?.rmse).toBeCloseTo(Math.sqrt(squares.reduce((a, b) => a + b, 0) / known.length), 6);
    const nothing = new Float32Array(144).fill(NaN);
    expect(scoreLead(slice, nothing, 1, range)).toBeUndefined();
  });

  test('structural similarity is over the windows that are known as a whole', () => {
    const random = (seed: number, n: number) =>
      Float32Array.from({ length: n }, (_, i) => Math.abs(Math.sin(seed + i * i)));
    const [a, b] = [random(1, 200), random(2, 200)];
    const known = Uint8Array.from(a, (_, i) => (i % 20 >= 12 ? 0 : 1));
    const part = (values: Float32Array) => values.filter((_, i) => i % 20 < 12);
    expect(ssim(a, b, [10, 20, 1], known)).toBeCloseTo(ssim(part(a), part(b), [10, 12, 1]), 10);
    expect(ssim(a, b, [10, 20, 1], new Uint8Array(200))).toBeNaN();
  });
});

/** Frames of a moving blob as NPY; some values of each replaced. */
const putArrays = async (
  folder: string,
  count: number,
  shape: FrameShape,
  change: (value: number, i: number, t: number) => number = (value) => value,
): Promise<void> => {
  await mkdir(folder, { recursive: true });
  for (let t = 0; t < count; t++)
    await write(framePath(folder, t, '.npy'), {
      shape,
      data: movingField(t, shape).map((value, i) => change(value, i, t)),
      sampleType: 'float32',
    });
};

test('a run over frames with gaps forecasts and scores what is known, the same after a restart', async () => {
  const [frames, forecaster] = [join(home, 'frames'), join(home, 'tiny')];
  await saveTiny(forecaster);
  const isGap = (i: number, t: number): boolean => i % 16 < 3 || i === 100 + t;
  await putArrays(frames, 9, [16, 16, 1], (value, i, t) => (isGap(i, t) ? -9999 : value));
  await write(
    framePath(frames, 9, '.npy'),
    field([16, 16, 1], new Array<number>(256).fill(-9999), 'float32'),
  );
  const run = async (out: string, changes = {}) =>
    (
      await record(
        smallRun({ directory: frames, out: join(home, out), forecaster, missingValue: -9999, ...changes }),
      )
    ).finished;
  const { notices, summary } = await run('once');
  expect(summary.frames).toMatchObject({ 'warm-up': 3, forecast: 6, rejected: 1 });
  expect(notices.join()).toContain('none of its values is known');
  const values = await forecastValues(join(home, 'once'));
  const first = values.get('frames 3') ?? new Float32Array();
  expect([...first.keys()].filter((i) => Number.isNaN(first[i]))).toEqual(
    [...first.keys()].filter((i) => isGap(i % 256, 3)),
  );
  expect((await forecastLines(join(home, 'once'))).length).toBe(6);
  const [score] = await scoreLines(join(home, 'once'));
  expect(score?.leads.map(({ lead, rmse }) => [lead, rmse > 0 && rmse < 1])).toEqual(
    [1, 2, 3, 4, 5].map((lead) => [lead, true]),
  );
  await run('twice', { frames: 6 });
  await run('twice');
  const again = await forecastValues(join(home, 'twice'));
  const known = (all: ReadonlyMap<string, Float32Array>) =>
    new Map([...all].map(([key, data]) => [key, data.map((value) => (Number.isNaN(value) ? 7 : value))]));
  expect(difference(known(again), known(values), 1)).toBeLessThan(1e-5);
});

test('a run on a region, averaged down, is a run on frames that were cut and averaged before', async () => {
  const [large, small, forecaster] = [
    join(home, 'a', 'frames'),
    join(home, 'b', 'frames'),
    join(home, 'tiny'),
  ];
  await saveTiny(forecaster);
  await putArrays(large, 6, [40, 48, 1]);
  const { apply } = await openPreparation({ region: [8, 4, 32, 24], downsample: 2 });
  await mkdir(small, { recursive: true });
  for (let t = 0; t < 6; t++)
    await write(
      framePath(small, t, '.npy'),
      apply({ shape: [40, 48, 1], data: movingField(t, [40, 48, 1]), sampleType: 'float32' }),
    );
  const cut = smallRun({
    directory: large,
    out: join(home, 'cut'),
    forecaster,
    region: '8,4,32,24',
    downsample: 2,
  });
  await (
    await record(cut)
  ).finished;
  await (
    await record(smallRun({ directory: small, out: join(home, 'small'), forecaster }))
  ).finished;
  const lines = await forecastLines(join(home, 'cut'));
  expect(lines.map(({ shape, view }) => ({ shape, view }))).toEqual(
    new Array(3).fill({ shape: [12, 16, 1], view: { region: [8, 4, 32, 24], downsample: 2 } }),
  );
  const [a, b] = [await forecastValues(join(home, 'cut')), await forecastValues(join(home, 'small'))];
  expect(difference(a, b, 1)).toBe(0);
  // Its state is of that region.
  await expect(record(smallRun({ directory: large, out: join(home, 'cut'), forecaster }))).rejects.toThrow(
    'is of region 8,4,32,24, downsample 2, this run is of whole frames',
  );
});
