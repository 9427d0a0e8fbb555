import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { openEngine } from '../../src/engine/index.js';
import type { Engine } from '../../src/engine/types.js';
import { loadForecaster } from '../../src/forecaster/folder.js';
import { createRunner, type Runner, type StateHandles } from '../../src/forecaster/programs.js';
import { layTiles, tiled } from '../../src/forecaster/tiles.js';
import { createPlugin } from '../../src/pipeline/plugins/registry.js';
import { createEnsembleRunner } from '../../src/uncertainty/ensemble.js';
import { lagged } from '../../src/uncertainty/lagged.js';
import { tinyForecaster } from '../support/tiny.js';

describe('tiles along an axis', () => {
  const cases = [16, 64, 100, 132, 260].flatMap((length) =>
    [true, false].map((periodic) => ({ length, periodic })),
  );
  test.each(cases)(
    'cover $length pixels, periodic: $periodic; weights add up to 1',
    ({ length, periodic }) => {
      const { size, starts, weights } = layTiles(length, { tile: 64, halo: 12, periodic, latentStride: 4 });
      const sum = new Float32Array(length);
      starts.forEach((start, k) => {
        expect(Math.abs(start % 4)).toBe(0);
        if (!periodic || starts.length === 1) {
          expect(start).toBeGreaterThanOrEqual(0);
          expect(start + size).toBeLessThanOrEqual(length);
        }
        weights[k]?.forEach((w, i) => (sum[(start + i + length) % length]! += w));
      });
      for (const w of sum) expect(w).toBeCloseTo(1, 5);
      expect(starts.length).toBe(length <= 64 ? 1 : Math.ceil((periodic ? length : length - 24) / 40));
    },
  );

  test('reach the last pixel, whatever the rounding', () => {
    for (let length = 276; length <= 4400; length += 4) {
      const { starts, size } = layTiles(length, { tile: 272, halo: 64, periodic: false, latentStride: 4 });
      expect([length, starts.at(-1)! + size]).toEqual([length, length]);
    }
  });

  test('that have no inside are refused', () => {
    expect(() => layTiles(100, { tile: 64, halo: 32, periodic: false, latentStride: 4 })).toThrow(
      'tiles of 64 pixels have no inside within a halo of 32',
    );
  });
});

let engine: Engine;
beforeAll(async () => {
  engine = await openEngine('cpu', 1);
});
afterAll(() => engine.dispose());

/** What a runner makes of frames: all leads after the last. */
const rollOut = async (
  runner: Runner,
  side: number,
  frames: readonly Float32Array[],
  horizon: number,
): Promise<Float32Array> => {
  const shape = [side, side, 1] as const;
  let state: StateHandles | undefined;
  for (const [k, frame] of frames.entries()) {
    const previous = frames[Math.max(0, k - 1)]!;
    const [next] = await runner.observe(shape, [{ frame, previous, state }]);
    state?.forEach((handle) => handle.release());
    state = next;
  }
  const [frame, previous] = [frames.at(-1)!, frames.at(-2)!];
  const rolled = await runner.rollOut(shape, [{ frame, previous, state }], horizon);
  const { data } = await engine.read(rolled);
  rolled.release();
  state?.forEach((handle) => handle.release());
  return data as Float32Array;
};
const largest = (a: Float32Array, b: Float32Array): number =>
  a.reduce((worst, value, i) => Math.max(worst, Math.abs(value - b[i]!)), 0);

/** Normalised frames of a simulation. */
const simulated = async (name: string, side: number, count: number): Promise<Float32Array[]> => {
  const simulation = await createPlugin(
    'simulation',
    name,
    { height: side, width: side, seed: 3 },
    undefined,
  );
  const [low, high] = simulation.range;
  return Array.from({ length: count }, () => simulation.next().map((value) => (value - low) / (high - low)));
};

test.each([
  ['alone', 1, (runner: Runner) => runner],
  ['two members', 2, (runner: Runner) => runner],
  ['lagged', 1, lagged],
])(
  'forecasts in tiles are those of the whole frame where a halo holds all that they see: %s',
  async (_, members, told) => {
    const forecaster = await tinyForecaster();
    const whole = told(createEnsembleRunner([forecaster], engine, members));
    const inTiles = tiled(whole, { tile: 96, halo: 40, periodic: false, latentStride: 4 });
    const frames = await simulated('plane_wave', 128, 2);
    const live = engine.liveHandles;
    const [a, b] = [await rollOut(whole, 128, frames, 1), await rollOut(inTiles, 128, frames, 1)];
    expect(a.length).toBe(b.length);
    expect(largest(a, b)).toBeLessThan(2e-5);
    const blind = tiled(whole, { tile: 96, halo: 4, periodic: false, latentStride: 4 });
    expect(largest(a, await rollOut(blind, 128, frames, 1))).toBeGreaterThan(1e-4);
    expect(engine.liveHandles).toBe(live);
    await whole.dispose();
  },
);

test('the forecaster that ships: leads in tiles are those of the whole frame to 1 % of the range', async () => {
  const forecaster = await loadForecaster('dendrite');
  const runner = createRunner(forecaster, engine);
  const latentStride = forecaster.network.encoder.stride;
  const frames = await simulated('dendrite', 96, 3);
  const whole = await rollOut(runner, 96, frames, 3);
  const inTiles = (halo: number): Promise<Float32Array> =>
    rollOut(tiled(runner, { tile: 80, halo, periodic: false, latentStride }), 96, frames, 3);
  expect(largest(whole, await inTiles(32))).toBeLessThan(0.01);
  await runner.dispose();
});
