import { afterAll, expect, test } from '@jest/globals';
import { openEngine } from '../../src/engine/index.js';
import { assemble, type Forecaster } from '../../src/forecaster/forecaster.js';
import type { FrameShape } from '../../src/pipeline/frame.js';
import { forecastWith, largestDifference } from '../support/forecast-with.js';
import { tinySettings } from '../support/tiny.js';

const engine = await openEngine('cpu', 1);
afterAll(() => engine.dispose());

/** The decoder hands the predicted change through as it is. */
const handing = (channels: number, options: Record<string, unknown>): Promise<Forecaster> =>
  assemble(
    tinySettings({
      channels,
      encoder: { name: 'patch', options: { patch: 1, velocityScale: 0 } },
      predictor: { name: 'linear_prediction', options: { channels, ...options } },
      decoder: { name: 'patch', options: {} },
    }),
    {
      'decoder.frame.weight': {
        shape: [1, 1, channels, channels],
        data: Float32Array.from({ length: channels ** 2 }, (_, k) => (k % (channels + 1) === 0 ? 1 : 0)),
      },
      'decoder.frame.bias': { shape: [channels], data: new Float32Array(channels) },
    },
  );

/** Two damped oscillations of other frequencies in each channel, with phases that differ from pixel to pixel. */
const oscillating = (t: number, [h, w, c]: FrameShape): Float32Array =>
  Float32Array.from({ length: h * w * c }, (_, k) => {
    const [channel, x, y] = [k % c, Math.floor(k / c) % w, Math.floor(k / (c * w))];
    const first = Math.exp(-0.01 * t) * Math.sin(0.5 * x + 0.2 * y + (0.3 + 0.1 * channel) * t);
    const second = Math.exp(-0.02 * t) * Math.sin(0.3 * y - 0.2 * x + (0.55 + 0.1 * channel) * t + 1);
    return 0.5 + 0.15 * first + 0.1 * second;
  });

const frames = (from: number, count: number, shape: FrameShape): Float32Array[] =>
  Array.from({ length: count }, (_, t) => oscillating(from + t, shape));

test.each([1, 2])(
  'two oscillations in each of %d channels go on as they were, 30 steps ahead',
  async (channels) => {
    // A mean that stays is one more root, so order 5.
    const forecaster = await handing(channels, { order: 5, spacing: 2 });
    const shape: FrameShape = [12, 20, channels];
    const leads = await forecastWith(engine, forecaster, shape, frames(0, 16, shape), 30);
    expect(largestDifference(leads, frames(16, 30, shape))).toBeLessThan(0.01);
    // One oscillation and the mean do not describe it.
    const short = await handing(channels, { order: 3, spacing: 2 });
    const wrong = await forecastWith(engine, short, shape, frames(0, 16, shape), 30);
    expect(largestDifference(wrong, frames(16, 30, shape))).toBeGreaterThan(0.05);
  },
);

test('with more order than there are oscillations a long roll-out stays where it was', async () => {
  const shape: FrameShape = [12, 20, 1];
  const one = (t: number): Float32Array =>
    Float32Array.from({ length: 240 }, (_, k) => 0.5 * Math.sin(0.3 * (k % 20) + 0.3 * t));
  const forecaster = await handing(1, { order: 6, spacing: 1 });
  const given = Array.from({ length: 12 }, (_, t) => one(t));
  const leads = await forecastWith(engine, forecaster, shape, given, 150);
  const truth = Array.from({ length: 150 }, (_, t) => one(12 + t));
  expect(largestDifference(leads, truth)).toBeLessThan(0.05);
});

test('before enough frames are known, and for frames of zeros, it is persistence', async () => {
  const shape: FrameShape = [12, 20, 1];
  const forecaster = await handing(1, { order: 4, spacing: 2 });
  const known = frames(0, 8, shape);
  const last = known.at(-1) as Float32Array;
  expect(await forecastWith(engine, forecaster, shape, known, 1)).toEqual([last]);
  const zeros = Array.from({ length: 12 }, () => new Float32Array(240));
  for (const lead of await forecastWith(engine, forecaster, shape, zeros, 3))
    expect(lead.every((value) => value === 0)).toBe(true);
});

test('an encoder that makes other channels is refused with what to set', async () => {
  const settings = tinySettings({
    encoder: { name: 'patch', options: { patch: 2, velocityScale: 0 } },
    predictor: { name: 'linear_prediction', options: {} },
    decoder: { name: 'patch', options: {} },
  });
  await expect(assemble(settings, {})).rejects.toThrow('set predictor.channels=4');
});
