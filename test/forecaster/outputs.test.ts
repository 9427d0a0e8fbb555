import { afterAll, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor4D } from '@tensorflow/tfjs-core';
import { openEngine } from '../../src/engine/index.js';
import type { HostTensor } from '../../src/engine/types.js';
import { buildNetwork } from '../../src/forecaster/forecaster.js';
import { fromLogOdds, logOdds } from '../../src/forecaster/layers.js';
import type { Boundary } from '../../src/forecaster/network.js';
import { inflow, nextFrame } from '../../src/forecaster/outputs.js';
import { randomTensor, runOnce } from '../support/engine-compare.js';
import { forecastWith, largestDifference } from '../support/forecast-with.js';
import { movingField, tinyForecaster, tinySettings } from '../support/tiny.js';
import type { FrameShape } from '../../src/pipeline/frame.js';

const engine = await openEngine('cpu', 1);
afterAll(() => engine.dispose());

/** Mean of one channel, in double precision. */
const meanOf = (frame: Float32Array, channels: number, channel: number): number => {
  let sum = 0;
  for (let k = channel; k < frame.length; k += channels) sum += frame[k] ?? NaN;
  return (sum * channels) / frame.length;
};

test.each(
  (['periodic', 'replicate'] as const).flatMap((boundary) =>
    (['frame', 'velocity'] as const).flatMap((base) => [
      { boundary, base, decoder: 'conv', encoder: { name: 'conv', options: { width: 8, latent: 8 } } },
      { boundary, base, decoder: 'patch', encoder: { name: 'patch', options: { patch: 2 } } },
    ]),
  ),
)(
  'in flux form the mean of every channel stays: boundary $boundary, base $base, decoder $decoder',
  async ({ boundary, base, decoder, encoder }) => {
    const [shape, channels]: [FrameShape, number] = [[16, 24, 2], 2];
    const frames = [0, 1, 2, 3].map((t) => movingField(t, shape));
    const last = frames.at(-1) as Float32Array;
    const make = (conserve: boolean) =>
      tinyForecaster(5, 2, {
        boundary,
        channels,
        encoder,
        decoder: { name: decoder, options: { base, conserve } },
      });
    // Few leads: what a roll-out is held to beyond -0.5 and 1.5 is cut off, and counted as gone.
    const leads = await forecastWith(engine, await make(true), shape, frames, 4);
    for (const channel of [0, 1]) {
      for (const lead of leads)
        expect(Math.abs(meanOf(lead, channels, channel) - meanOf(last, channels, channel))).toBeLessThan(
          1e-6,
        );
    }
    // It moves all the same, by amounts that without flux form change the mean.
    expect(largestDifference(leads.slice(-1), [last])).toBeGreaterThan(0.01);
    const free = (await forecastWith(engine, await make(false), shape, frames, 4)).at(-1) as Float32Array;
    expect(Math.abs(meanOf(free, channels, 0) - meanOf(last, channels, 0))).toBeGreaterThan(1e-3);
  },
);

test.each<[Boundary, number[]]>([
  // Through the right faces flow 1, 2, 3; in the first row nothing flows down, in the second 10 each.
  ['periodic', [10 + 3 - 1, 10 + 1 - 2, 10 + 2 - 3, -10 + 3 - 1, -10 + 1 - 2, -10 + 2 - 3]],
  ['replicate', [-1, 1 - 2, 2, -1, 1 - 2, 2]],
])('a flux goes from a pixel to the next: %s', async (boundary, expected) => {
  const flux: HostTensor = {
    shape: [1, 2, 3, 2],
    dtype: 'float32',
    data: Float32Array.from([0, 1, 0, 2, 0, 3, 10, 1, 10, 2, 10, 3]),
  };
  const { y } = await runOnce(engine, (inputs) => ({ y: inflow(inputs['flux'] as Tensor4D, boundary) }), {
    flux,
  });
  expect([...(y?.data ?? [])]).toEqual(expected);
});

test('bounded forecasts stay within the bounds, and what is beyond them still learns', async () => {
  const shape: FrameShape = [16, 16, 1];
  const frames = [0, 1, 2, 3].map((t) => movingField(t, shape));
  const make = (options: Record<string, unknown>) =>
    tinyForecaster(6, 200, { decoder: { name: 'conv', options: { width: 8, ...options } } });
  const range = (leads: readonly Float32Array[]): [number, number] => [
    Math.min(...leads.map((lead) => Math.min(...lead))),
    Math.max(...leads.map((lead) => Math.max(...lead))),
  ];
  expect(range(await forecastWith(engine, await make({ bounds: [0.1, 0.9] }), shape, frames))).toEqual([
    Math.fround(0.1),
    Math.fround(0.9),
  ]);
  const [low, high] = range(await forecastWith(engine, await make({}), shape, frames));
  expect(low < 0.1 && high > 0.9).toBe(true);

  const x = randomTensor([1, 2, 2, 1], 1, 5);
  const { gradient } = await runOnce(
    engine,
    ({ output, frame }) => {
      const next = (value: Tensor4D): tf.Scalar =>
        tf.sum(
          nextFrame(
            value,
            frame as Tensor4D,
            frame as Tensor4D,
            'periodic',
            {
              base: 'frame',
              space: 'value',
              conserve: false,
              bounds: [0, 1],
            },
            {},
          ),
        );
      return { gradient: tf.grad((value) => next(value as Tensor4D))(output as Tensor4D) };
    },
    { output: x, frame: randomTensor([1, 2, 2, 1], 2) },
  );
  expect([...(gradient?.data ?? [])]).toEqual([1, 1, 1, 1]);
});

test('log-odds go on where they went, stay between 0 and 1, and are found again', async () => {
  const column = (...data: number[]): HostTensor => ({
    shape: [1, data.length, 1, 1],
    dtype: 'float32',
    data: Float32Array.from(data),
  });
  const { next, same } = await runOnce(
    engine,
    (inputs) => {
      const [output, frame, previous] = [inputs['output'], inputs['frame'], inputs['previous']] as [
        Tensor4D,
        Tensor4D,
        Tensor4D,
      ];
      const made = (base: 'frame' | 'velocity') =>
        nextFrame(output, frame, previous, 'replicate', { base, space: 'logit', conserve: false }, {});
      return { next: made('velocity'), same: fromLogOdds(logOdds(frame)) };
    },
    {
      output: column(0, 0.25, 0, -0.1),
      frame: column(0.8, 0.5, 1, 0),
      previous: column(0.5, 0.5, 1, 0),
    },
  );
  // Odds: 1 to 4 after 1 to 1 gives 1 to 16; a change by 1/4 multiplies odds by e; 0 and 1 are odds of 1 to 9999.
  const expected = [16 / 17, Math.E / (1 + Math.E), 0.9999, 1 / (1 + 9999 * Math.exp(0.4))];
  for (const [k, value] of expected.entries()) expect(next?.data[k]).toBeCloseTo(value, 6);
  for (const [k, value] of [0.8, 0.5, 0.9999, 0.0001].entries()) expect(same?.data[k]).toBeCloseTo(value, 6);
});

test('scalars that a network is told stay as they are where it sees log-odds of frames', async () => {
  const settings = tinySettings({
    encoder: { name: 'patch', options: { patch: 1, velocityScale: 0, space: 'logit' } },
    decoder: { name: 'patch', options: {} },
    parameters: [{ name: 'drive', low: 0, high: 1 }],
  });
  const { encoder, seen } = await buildNetwork(settings);
  const { latent } = await runOnce(
    engine,
    ({ frame }) => ({ latent: encoder.encode({}, frame as Tensor4D, frame as Tensor4D, seen).latent }),
    { frame: { shape: [1, 1, 1, 2], dtype: 'float32', data: Float32Array.of(0.5, 0.9) } },
  );
  expect(latent?.data[0]).toBeCloseTo(0, 6);
  expect(latent?.data[1]).toBeCloseTo(0.9, 6);
});

test('a damped last change goes on by its factor, one for each channel, and keeps a conserved mean', async () => {
  const [frame, previous] = [randomTensor([1, 3, 4, 2], 5), randomTensor([1, 3, 4, 2], 6)];
  const { next, kept } = await runOnce(
    engine,
    (inputs) => {
      const [now, before, factors] = [inputs['frame'], inputs['previous'], inputs['factors']] as [
        Tensor4D,
        Tensor4D,
        Tensor,
      ];
      const made = (conserve: boolean) =>
        nextFrame(
          tf.zeros([1, 3, 4, conserve ? 4 : 2]),
          now,
          before,
          'periodic',
          { base: 'damped', space: 'value', conserve },
          { 'frame.damping': factors },
        );
      return { next: made(false), kept: made(true) };
    },
    {
      frame,
      previous,
      factors: { shape: [2], dtype: 'float32', data: Float32Array.of(0.9, 0) },
    },
  );
  frame.data.forEach((value, k) => {
    const expected = k % 2 === 0 ? value + 0.9 * (value - previous.data[k]!) : value;
    expect(next?.data[k]).toBeCloseTo(expected, 6);
  });
  const mean = (values: ArrayLike<number> | undefined): number =>
    Array.from(values ?? [], (value, k) => (k % 2 === 0 ? value : 0)).reduce((a, b) => a + b, 0) / 12;
  expect(mean(kept?.data)).toBeCloseTo(mean(frame.data), 6);
  expect(mean(next?.data)).not.toBeCloseTo(mean(frame.data), 3);
});
