import type { HostTensor } from '../../src/engine/types.js';

export { runOnce } from '../../src/testing/run-once.js';

/** A small generator of reproducible numbers in -1..1 (mulberry32). */
export const randomNumbers = (seed: number): (() => number) => {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * 2 - 1;
  };
};

export const randomTensor = (shape: readonly number[], seed: number, scale = 1): HostTensor => {
  const next = randomNumbers(seed);
  return {
    shape,
    dtype: 'float32',
    data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => next() * scale),
  };
};

/**
 * Largest difference, relative to the largest finite magnitude of the expected values (at least `floor`). Infinite for
 * values that are undefined or infinite in one alone.
 */
export const relativeError = (actual: HostTensor, expected: HostTensor, floor = 1e-3): number => {
  let [difference, size] = [0, floor];
  for (let i = 0; i < expected.data.length; i++) {
    const [a, e] = [actual.data[i] ?? Number.NaN, expected.data[i] ?? Number.NaN];
    if (Number.isFinite(e)) size = Math.max(size, Math.abs(e));
    if (Object.is(a, e)) continue;
    if (!Number.isFinite(a) || !Number.isFinite(e)) return Infinity;
    difference = Math.max(difference, Math.abs(a - e));
  }
  return actual.data.length === expected.data.length ? difference / size : Infinity;
};
