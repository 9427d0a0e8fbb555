import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { loadForecaster } from '../../src/forecaster/folder.js';
import { writeAtomically } from '../../src/pipeline/atomic.js';
import type { SampleType } from '../../src/pipeline/frame.js';
import { forecastOnce } from '../../src/pipeline/forecast-once.js';
import {
  denormalise,
  denormaliseDifferences,
  fixNormalisation,
  normalise,
} from '../../src/pipeline/intake/normalisation.js';
import { codecForExtension } from '../../src/pipeline/plugins/registry.js';
import { evaluate } from '../../src/evaluation/evaluate.js';
import { trainSchema, type TrainOptions } from '../../src/training/options.js';
import { train } from '../../src/training/train.js';
import { smallRun } from '../support/runs.js';
import { framePath, movingField } from '../support/tiny.js';

const [LOW, WIDTH] = [300, 128];
let home: string;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'mesocast-ranges-'));
  const npy = await codecForExtension('.npy');
  // The same field twice, the second once as it is and once as a temperature.
  for (const seed of [0, 1])
    for (let t = 0; t < 14; t++) {
      const [phase, heat] = [movingField(t, [16, 16, 1], 1, seed), movingField(t, [16, 16, 1], 1, seed + 3)];
      const both = (second: (value: number) => number): Float32Array =>
        Float32Array.from({ length: 512 }, (_, k) =>
          k % 2 === 0 ? phase[k / 2]! : second(heat[(k - 1) / 2]!),
        );
      for (const [name, data] of [
        ['plain', both((value) => value)],
        ['kelvin', both((value) => LOW + WIDTH * value)],
      ] as const)
        await writeAtomically(
          framePath(join(home, name, `run${seed}`), t, '.npy'),
          await npy.encode({ shape: [16, 16, 2], data, sampleType: 'float32' }),
        );
    }
});
afterAll(() => rm(home, { recursive: true }));

const trained = async (data: string, more: Partial<TrainOptions> = {}): Promise<number[]> => {
  const losses: number[] = [];
  await train(
    trainSchema.parse({
      data: [join(home, data)],
      out: join(home, `${data}-out`),
      channels: 2,
      encoderOptions: { width: 4, latent: 4 },
      predictorOptions: { layers: 1, hidden: 4 },
      decoderOptions: { width: 4 },
      ...{ validation: 1, context: 4, leads: 2, horizon: 3, iterations: 3, batch: 2, rate: 0.01 },
      ...{ device: 'cpu', threads: 1, fresh: true },
      ...more,
    }),
    (event) => {
      if (event.type === 'step') losses.push(event.loss);
    },
    new AbortController().signal,
  );
  return losses;
};

test('each channel has its own range: measured, declared, or what the forecaster is used to', () => {
  const frames = [Float32Array.of(0, 300, 1, 350), Float32Array.of(0.5, 400, 0.2, 310)].map((data) => ({
    data,
    sampleType: 'float32' as const,
  }));
  const normalisation = fixNormalisation(frames, { ownRanges: 2 });
  expect(normalisation).toEqual({
    low: 0,
    high: 400,
    channels: [
      { low: 0, high: 1 },
      { low: 300, high: 400 },
    ],
  });
  const values = normalise(frames[0]!.data, normalisation);
  expect([...values]).toEqual([0, 0, 1, 0.5]);
  expect([...denormalise(values, normalisation)]).toEqual([0, 300, 1, 350]);
  expect([...denormaliseDifferences(Float32Array.of(0.5, 0.5), normalisation)]).toEqual([0.5, 50]);
  expect(fixNormalisation(frames)).toEqual({ low: 0, high: 400 });
  expect(fixNormalisation(frames, { range: [0, 2, 0, 500], ownRanges: 2 }).channels).toEqual([
    { low: 0, high: 2 },
    { low: 0, high: 500 },
  ]);
  // The first channel fits what the forecaster is used to, the second does not.
  expect(fixNormalisation(frames, { usual: [[0, 1.5, 0, 1]], ownRanges: 2 }).channels).toEqual([
    { low: 0, high: 1.5 },
    { low: 300, high: 400 },
  ]);
});

test('a channel of which nothing is known in the first frames has a range that can be counted with', () => {
  const frames = [{ data: Float32Array.of(0, NaN, 2, NaN), sampleType: 'float32' as const }];
  const second = (usual?: [low: number, high: number, ...others: number[]]) =>
    fixNormalisation(frames, { ownRanges: 2, usual: usual && [usual] }).channels?.[1];
  expect(second()).toEqual({ low: 0, high: 1 });
  expect(second([0, 1, 300, 400])).toEqual({ low: 300, high: 400 });
});

test('what a forecaster is used to may be a share of the full scale of integer images', () => {
  const of = (sampleType: SampleType, ...values: number[]) =>
    fixNormalisation([{ data: Float32Array.from(values), sampleType }], { usual: [[0.5, 1]] });
  expect(of('uint16', 33_000, 60_000)).toEqual({ low: 65535 / 2, high: 65535 });
  expect(of('uint8', 130, 250)).toEqual({ low: 127.5, high: 255 });
  expect(of('float32', 33_000, 60_000)).toEqual({ low: 33_000, high: 60_000 }); // a float has no full scale
  expect(of('float32', 0.6, 0.9)).toEqual({ low: 0.5, high: 1 });
  expect(of('uint16', 40_000, 42_000)).toEqual({ low: 40_000, high: 42_000 }); // too little of it
  expect(of('uint16', 100, 60_000)).toEqual({ low: 100, high: 60_000 }); // too much
});

test('training, forecasts and their spread are the same in whatever unit a channel is', async () => {
  const losses = await trained('plain');
  const kelvin = await trained('kelvin');
  losses.forEach((loss, k) => expect(kelvin[k]! / loss).toBeCloseTo(1, 3));
  const forecaster = await loadForecaster(join(home, 'plain-out'));
  expect(forecaster.settings.channelRanges).toBe('each');

  const once = (name: string) =>
    forecastOnce({
      ...smallRun({ directory: join(home, name), forecaster: join(home, 'plain-out'), out: join(home, 'f') }),
      ensemble: 2,
      path: join(home, name, 'run0'),
    });
  const [plain, heated] = [await once('plain'), await once('kelvin')];
  const worst = [0, 0, 0, 0];
  plain.frames.forEach((value, k) => {
    const [spread, other] = [plain.uncertainty!.spread![k]!, heated.uncertainty!.spread![k]!];
    const differences =
      k % 2 === 0
        ? [value - heated.frames[k]!, spread - other]
        : [LOW + WIDTH * value - heated.frames[k]!, WIDTH * spread - other];
    differences.forEach((d, j) => (worst[2 * (k % 2) + j] = Math.max(worst[2 * (k % 2) + j]!, Math.abs(d))));
  });
  expect(Math.max(worst[0]!, worst[1]!)).toBeLessThan(1e-4);
  expect(Math.max(worst[2]!, worst[3]!)).toBeLessThan(1e-4 * WIDTH);

  const scored = (name: string) =>
    evaluate({
      ...{ forecaster: join(home, 'plain-out'), data: [join(home, name)], context: 4, horizon: 3 },
      ...{ stride: 1, every: 5, device: 'cpu', threads: 1 },
    });
  const [a, b] = [await scored('plain'), await scored('kelvin')];
  a.rmse.forEach((value, l) => expect(b.rmse[l]! / value).toBeCloseTo(1, 3));
});

test('channels may share one range, as they did before there was a choice', async () => {
  await trained('kelvin', { channelRanges: 'shared', iterations: 1 });
  const { settings } = await loadForecaster(join(home, 'kelvin-out'));
  expect(settings).not.toHaveProperty('channelRanges');
  await expect(trained('kelvin', { channelRanges: 'shared', range: [0, 1, 0, 9] })).rejects.toThrow(
    "the forecaster's channels share one range",
  );
  await expect(trained('kelvin', { range: [0, 1, 0, 9, 0, 1] })).rejects.toThrow(
    'range has 6 numbers, there are 2 channels',
  );
});
