import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Engine, Handle } from '../../src/engine/types.js';
import type { FrameShape } from '../../src/pipeline/frame.js';
import { inMemory } from '../../src/training/series.js';
import { forecastWindows, type WindowForecast } from '../../src/training/window-forecasts.js';
import { evaluate, evaluateInDetail } from '../../src/evaluation/evaluate.js';
import type { EvaluateOptions } from '../../src/evaluation/evaluate.js';
import { collectStatistics } from '../../src/evaluation/statistics.js';
import { frameBytes, framePath, movingField, putFrames, saveTiny } from '../support/tiny.js';

const [CONTEXT, HORIZON] = [4, 3];
const files = { extension: '.npy', sampleType: 'float32' } as const;
const odd: FrameShape = [10, 14, 1];
let home: string;
const at = (name: string): string => join(home, name);
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'mesocast-evaluate-'));
  await saveTiny(at('silent'), 1, 0);
  await saveTiny(at('loud'), 1, 10);
  await putFrames(at('data/long'), 0, 30, files);
  await putFrames(at('data/deep/er'), 3, 20, { ...files, seed: 2 });
  await putFrames(at('data/short'), 0, 6, files);
  await putFrames(at('odd'), 0, 17, { ...files, shape: odd });
});
afterAll(() => rm(home, { recursive: true }));
const options = (more: Partial<EvaluateOptions> = {}): EvaluateOptions => ({
  forecaster: at('silent'),
  data: [at('data')],
  context: CONTEXT,
  horizon: HORIZON,
  stride: 1,
  every: 10,
  device: 'cpu',
  threads: 1,
  ...more,
});
const run = (more: Partial<EvaluateOptions> = {}) => evaluate(options(more));

/** The numbers as the definition has them: windows from 0, 10, 20, ..., each series normalised by its first frames, or a range. */
const persistenceByHand = (
  series: readonly (readonly Float32Array[])[],
  range?: readonly [low: number, high: number],
): { windows: number; rmse: number[]; linear: number[] } => {
  const sums = Array.from({ length: HORIZON }, () => ({ persistence: 0, linear: 0 }));
  let windows = 0;
  for (const frames of series) {
    const values = frames.slice(0, CONTEXT).flatMap((frame) => [...frame]);
    const [low, high] = range ?? [Math.min(...values), Math.max(...values)];
    const scaled = frames.map((frame) => [...frame].map((value) => (value - low) / (high - low)));
    for (let start = 0; start + CONTEXT + HORIZON <= scaled.length; start += 10) {
      windows++;
      const [before, last] = [scaled[start + CONTEXT - 2] ?? [], scaled[start + CONTEXT - 1] ?? []];
      for (let lead = 1; lead <= HORIZON; lead++) {
        const truth = scaled[start + CONTEXT - 1 + lead] ?? [];
        const sum = sums[lead - 1]!;
        /** To 0..1, or no further out than it is. */
        const clipped = (value: number, now: number): number =>
          Math.min(Math.max(1, now), Math.max(Math.min(0, now), value));
        truth.forEach((value, k) => {
          sum.persistence += (value - last[k]!) ** 2 / truth.length;
          sum.linear +=
            (value - clipped(last[k]! + lead * (last[k]! - before[k]!), last[k]!)) ** 2 / truth.length;
        });
      }
    }
  }
  return {
    windows,
    rmse: sums.map(({ persistence }) => Math.sqrt(persistence / windows)),
    linear: sums.map(({ linear }) => Math.sqrt(linear / windows)),
  };
};
const expectClose = (actual: readonly number[], expected: readonly number[]): void => {
  expect(actual).toHaveLength(expected.length);
  actual.forEach((value, k) => expect(value).toBeCloseTo(expected[k]!, 5));
};
const fields = (from: number, to: number, shape: FrameShape, seed = 0): Float32Array[] =>
  Array.from({ length: to - from }, (_, k) => movingField(from + k, shape, 1, seed));

test('a forecaster that says "nothing changes" has persistence as its error, and no skill', async () => {
  const shape: FrameShape = [16, 16, 1];
  const expected = persistenceByHand([fields(0, 30, shape), fields(3, 20, shape, 2)]);
  const { windows, series, rmse, persistence_rmse, linear_rmse, skill, ssim, mean_skill } = await run();
  expect({ windows, series }).toEqual({ windows: 5, series: 2 });
  expectClose(persistence_rmse, expected.rmse);
  expectClose(linear_rmse, expected.linear);
  expectClose(rmse, persistence_rmse);
  expectClose(skill, [0, 0, 0]);
  expect(mean_skill).toBeCloseTo(0, 5);
  expect(ssim[0]).toBeLessThan(1);
  expect(ssim[0]).toBeGreaterThan(ssim[2]!);
  expect(persistence_rmse[0]).toBeGreaterThan(0.001);
});

test('another one has other errors, and its skill follows from them', async () => {
  const { rmse, persistence_rmse, skill, mean_skill, trusted_leads } = await run({ forecaster: at('loud') });
  const lost = skill.findIndex((value) => value <= 0);
  expect(trusted_leads).toBe(lost < 0 ? HORIZON : lost);
  expectClose(
    skill,
    rmse.map((value, k) => 1 - value / persistence_rmse[k]!),
  );
  expect(mean_skill).toBeCloseTo(skill.reduce((a, b) => a + b, 0) / HORIZON, 10);
  expect(Math.abs(skill[0]!)).toBeGreaterThan(0.01);
});

test('a frozen forecast shows in the statistics: it does not change, what came does', async () => {
  const { report } = await evaluateInDetail(options({ data: [at('data/long')], every: 30 }));
  const { change, least, greatest } = report.statistics.leads;
  change.forecast.mean.forEach((value) => expect(value).toBeCloseTo(0, 5));
  expect(change.truth.mean[0]).toBeCloseTo(report.persistence_rmse[0]!, 6); // of the only window
  expect(change.truth.mean[1]).toBeLessThan(report.persistence_rmse[1]!);
  expect(greatest.truth.mean[0]).toBeGreaterThan(least.truth.mean[0]!);
});

test('extremes are those of the one series that goes furthest', () => {
  const { add, report } = collectStatistics(1, [], { threshold: 0.5, periodic: false });
  for (let k = 0; k < 12; k++) {
    const [truth, predicted] = [Float32Array.of(0, 1, 0, 1), Float32Array.of(0, k === 5 ? 9 : 1, 0, 1)];
    const before = { predicted: truth, truth };
    add(k, 1, { predicted, truth, before, shape: [2, 2, 1] });
  }
  const { extremes, leads } = report();
  expect(leads.greatest.forecast.high).toEqual([1]); // 90 % of the series
  expect(extremes).toEqual({ forecast: [0, 9], truth: [0, 1] });
});

test('what a frame does not have is left out of the means; what the forecast alone lacks is off by all of it', () => {
  const { add, report } = collectStatistics(2, [], { threshold: 0.5, periodic: false });
  const shape: FrameShape = [4, 4, 1];
  const grain = Float32Array.from({ length: 16 }, (_, k) => (k < 8 ? 1 : 0));
  const flat = new Float32Array(16);
  const window = (of: number, lead: number, predicted: Float32Array, truth: Float32Array): void =>
    add(of, lead, { predicted, truth, before: { predicted, truth }, shape });
  window(0, 1, grain, grain);
  window(0, 1, flat, grain);
  window(1, 1, flat, flat);
  for (const of of [0, 1]) window(of, 2, flat, grain);
  const { grain_area: area, characteristic_length: length, grains } = report().leads;
  expect([area.forecast.mean, area.truth.mean, area.error]).toEqual([
    [8, NaN],
    [8, 8],
    [4, 8],
  ]);
  expect(area.forecast.high).toEqual([8, NaN]);
  expect(length.forecast.mean[0]).toBeCloseTo(length.truth.mean[0]!, 12);
  expect(grains.error).toEqual([0.25, 1]);
});

test('frames that the network must enlarge are scored as they are', async () => {
  const { rmse, windows } = await run({ data: [at('odd')] });
  const expected = persistenceByHand([fields(0, 17, odd)]);
  expect(windows).toBe(expected.windows);
  expectClose(rmse, expected.rmse);
});

test('what a network makes of an overflow gives way to the last given frame, as where it is attached', async () => {
  const series = inMemory(
    { name: 'flat', shape: [2, 2, 1], normalisation: { low: 0, high: 1 } },
    [0.1, 0.2, 0.3, 0.4].map((value) => new Float32Array(4).fill(value)),
  );
  const rolled: Handle = {
    shape: [1, 2, 2, 2, 2, 1],
    ...{ dtype: 'float32', retain: () => rolled, release: () => undefined },
  };
  const data = Float32Array.from([1, 1, 1, 1, NaN, 2, Infinity, 2, 3, 3, 3, 3, NaN, 4, 4, 4]);
  const engine: Partial<Engine> = { read: () => Promise.resolve({ ...rolled, data }) };
  const windows = forecastWindows(
    {
      ...{ engine: engine as Engine, observe: () => Promise.resolve([[]]), members: () => 2 },
      ...{ rollOut: () => Promise.resolve(rolled), dispose: () => Promise.resolve() },
    },
    [series],
    { context: 2, horizon: 2, every: 1, latentStride: 1 },
  );
  const made: WindowForecast[] = [];
  for await (const batch of windows) made.push(...batch);
  const { frames, spread } = made[0]!;
  const last = Math.fround(0.2);
  expect(frames.map((frame) => [...frame])).toEqual([
    [1, 1, 1, 1],
    [last, 2, last, 2],
  ]);
  expect(spread?.map((frame) => [...frame])).toEqual([
    [3, 3, 3, 3],
    [0, 4, 4, 4],
  ]);
});

test('with a stride every phase of a series is a series of its own', async () => {
  const all = fields(0, 30, [16, 16, 1]);
  const phases = [0, 1].map((phase) => all.filter((_, k) => k % 2 === phase));
  const { windows, rmse } = await run({ data: [at('data/long')], stride: 2, range: [0, 1] });
  const expected = persistenceByHand(phases, [0, 1]);
  expect([windows, expected.windows]).toEqual([2, 2]);
  expectClose(rmse, expected.rmse);
  // A number that is missing breaks only its own phase.
  await putFrames(at('gappy'), 0, 13, files);
  await rm(framePath(at('gappy'), 5, '.npy'));
  expect((await run({ data: [at('gappy')], stride: 2 })).windows).toBe(1);
});

test('forecasts that stand on fewer frames than their maker was trained on are told of', async () => {
  await saveTiny(at('patient'), 1, 1, { context: CONTEXT + 1 });
  const said: string[] = [];
  await run({ forecaster: at('patient'), notice: (message) => said.push(message) });
  await run({ forecaster: at('patient'), context: CONTEXT + 1, notice: (message) => said.push(message) });
  expect(said.filter((message) => message.includes('was trained'))).toEqual([
    'tiny was trained to stand on 5 frames, and is given 4: --context 5 gives it as many',
  ]);
});

test('what cannot be scored is refused in words', async () => {
  await expect(run({ data: [at('data/short')] })).rejects.toThrow('need 7 frames, the longest has 6');
  await expect(run({ data: [at('nowhere')] })).rejects.toThrow(/there is no .*nowhere/);
  await mkdir(at('empty'));
  await expect(run({ data: [at('empty')] })).rejects.toThrow('there are no frames in');
  await expect(run({ forecaster: at('nosuch') })).rejects.toThrow('there is no forecaster');
  await putFrames(at('bad'), 0, 7, files);
  await writeFile(framePath(at('bad'), 3, '.npy'), (await frameBytes(3, files)).subarray(0, -8));
  await expect(run({ data: [at('bad')] })).rejects.toThrow(/frame_0003\.npy: /);
  await writeFile(framePath(at('bad'), 3, '.npy'), await frameBytes(3, { ...files, shape: [16, 12, 1] }));
  await expect(run({ data: [at('bad')] })).rejects.toThrow(
    'frame_0003.npy is 16x12x1, the frames before it are 16x16x1',
  );
  await putFrames(at('bad'), 3, 4, files);
  await putFrames(at('bad'), 5, 6);
  await expect(run({ data: [at('bad')] })).rejects.toThrow('frame_0005.png both have number 5');
});
