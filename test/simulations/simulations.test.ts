import { expect, test } from '@jest/globals';
import { builtInNames, createPlugin } from '../../src/pipeline/plugins/registry.js';

const framesOf = async (
  name: string,
  options: Record<string, unknown>,
  count: number,
): Promise<Float32Array[]> => {
  const simulation = await createPlugin('simulation', name, options, undefined);
  return Array.from({ length: count }, () => simulation.next());
};
const mean = (frame: Float32Array): number => frame.reduce((a, b) => a + b, 0) / frame.length;

test.each(builtInNames('simulation'))('%s: the seed decides the series, the size is free', async (name) => {
  const size = { height: 32, width: 24 };
  const [a, b, other] = await Promise.all([1, 1, 2].map((seed) => framesOf(name, { ...size, seed }, 3)));
  expect(a).toEqual(b);
  expect(a).not.toEqual(other);
  for (const frame of a ?? []) {
    expect(frame).toHaveLength(32 * 24);
    expect(frame.every(Number.isFinite)).toBe(true);
  }
  expect(a?.[2]).not.toEqual(a?.[1]); // it moves
});

test('spinodal: the mean is conserved and the free energy never rises', async () => {
  const [size, kappa] = [32, 1];
  const frames = await framesOf('spinodal', { height: size, width: size, seed: 3, stepsPerFrame: 40 }, 30);
  const energy = (c: Float32Array): number => {
    let sum = 0;
    for (let r = 0; r < size; r++) {
      for (let k = 0; k < size; k++) {
        const v = c[r * size + k] as number;
        const right = c[r * size + ((k + 1) % size)] as number;
        const down = c[((r + 1) % size) * size + k] as number;
        sum += v ** 2 * (1 - v) ** 2 + (kappa / 2) * ((right - v) ** 2 + (down - v) ** 2);
      }
    }
    return sum;
  };
  const first = mean(frames[0] as Float32Array);
  for (const frame of frames) expect(Math.abs(mean(frame) - first)).toBeLessThan(1e-6);
  const energies = frames.map(energy);
  for (let n = 1; n < energies.length; n++) expect(energies[n]).toBeLessThan(energies[n - 1] as number);
});

test('grain growth: boundaries vanish, so the mean of the squares rises', async () => {
  const means = (await framesOf('grain_growth', { height: 48, width: 48, seed: 2 }, 12)).map(mean);
  for (let n = 2; n < means.length; n++) expect(means[n]).toBeGreaterThan(means[n - 1] as number);
});

test('dendrite: the crystal grows', async () => {
  const fractions = (await framesOf('dendrite', { seed: 5 }, 20)).map(mean);
  for (let n = 1; n < fractions.length; n++) expect(fractions[n]).toBeGreaterThan(fractions[n - 1] as number);
});

test('plane wave: a wave travels at omega / |k| and decays', async () => {
  const frames = await framesOf('plane_wave', { seed: 1, modes: 1 }, 200);
  const contrast = (frame: Float32Array): number => Math.max(...frame) - Math.min(...frame);
  expect(contrast(frames[199] as Float32Array)).toBeLessThan(contrast(frames[0] as Float32Array));
  // One period later, 2 pi / omega with omega in 15..20, the phase is back: some frame between is close to the first.
  const distance = (n: number): number =>
    Math.hypot(...(frames[n] as Float32Array).map((v, k) => v - ((frames[0] as Float32Array)[k] as number))) /
    64;
  const back = Math.min(...Array.from({ length: 20 }, (_, n) => distance(30 + n)));
  expect(back).toBeLessThan(0.15);
  expect(distance(18)).toBeGreaterThan(0.4);
});
