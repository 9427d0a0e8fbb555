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

/** Mean difference of neighbours that meet around the edges, of neighbours inside. */
const seam = (frame: Float32Array, size: number): number => {
  let [across, inside] = [0, 0];
  for (let r = 0; r < size; r++)
    for (let c = 0; c < size; c++) {
      const difference = Math.abs(frame[r * size + c]! - frame[r * size + ((c + 1) % size)]!);
      if (c === size - 1) across += difference;
      else inside += difference / (size - 1);
    }
  return across / inside;
};

test.each([
  ['spinodal', 'no_flux', { stepsBefore: 1500 }],
  ['grain_growth', 'no_flux', { stepsBefore: 60 }],
  ['plane_wave', 'open', { modes: 1 }],
])('%s: fields are continuous around periodic edges, and not around others', async (name, other, options) => {
  const size = 64;
  const at = { height: size, width: size, seed: 4, ...options };
  const [periodic] = await framesOf(name, { ...at, boundary: 'periodic' }, 1);
  const [open] = await framesOf(name, { ...at, boundary: other }, 1);
  expect(seam(periodic as Float32Array, size)).toBeLessThan(1.6);
  expect(seam(open as Float32Array, size)).toBeGreaterThan(2);
});

test('dendrite: through periodic edges a crystal comes in at the other side', async () => {
  const at = { height: 64, width: 16, seed: 6 };
  /** Greatest difference of first and last column while the crystal fills the frame. */
  const greatest = async (boundary: string): Promise<number> => {
    const frames = await framesOf('dendrite', { ...at, boundary }, 20);
    return Math.max(
      ...frames.flatMap((frame) =>
        Array.from({ length: 64 }, (_, r) => Math.abs(frame[r * 16]! - frame[r * 16 + 15]!)),
      ),
    );
  };
  expect(await greatest('periodic')).toBeLessThan(0.65); // no more than neighbours on an interface
  expect(await greatest('no_flux')).toBeGreaterThan(0.75);
});

test.each(['periodic', 'no_flux'])(
  'spinodal, %s: the mean is conserved and the free energy never rises',
  async (boundary) => {
    const [size, kappa] = [32, 1];
    const options = { height: size, width: size, seed: 3, stepsPerFrame: 40, boundary };
    const frames = await framesOf('spinodal', options, 30);
    const after = (k: number): number =>
      boundary === 'periodic' ? (k + 1) % size : Math.min(k + 1, size - 1);
    const energy = (c: Float32Array): number => {
      let sum = 0;
      for (let r = 0; r < size; r++) {
        for (let k = 0; k < size; k++) {
          const v = c[r * size + k]!;
          const [right, down] = [c[r * size + after(k)]!, c[after(r) * size + k]!];
          sum += v ** 2 * (1 - v) ** 2 + (kappa / 2) * ((right - v) ** 2 + (down - v) ** 2);
        }
      }
      return sum;
    };
    const first = mean(frames[0] as Float32Array);
    for (const frame of frames) expect(Math.abs(mean(frame) - first)).toBeLessThan(1e-6);
    const energies = frames.map(energy);
    for (let n = 1; n < energies.length; n++) expect(energies[n]).toBeLessThan(energies[n - 1] as number);
  },
);

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

test('plane wave: around the edges of a small frame goes one wave at least', async () => {
  for (let seed = 0; seed < 8; seed++) {
    const small = { seed, height: 8, width: 12, boundary: 'periodic' };
    const [frame] = (await framesOf('plane_wave', small, 1)) as [Float32Array];
    expect(Math.max(...frame) - Math.min(...frame)).toBeGreaterThan(0.5);
  }
});

test('the example of docs/plugins.md: the seed decides where stripes grow from, the size is free', async () => {
  const series = (seed: number) =>
    framesOf('./examples/my-simulation.mjs', { seed, height: 48, width: 64 }, 8);
  const [one, same, other] = [await series(1), await series(1), await series(2)];
  expect(same).toEqual(one);
  expect(other[0]).not.toEqual(one[0]);
  const covered = (frame: Float32Array): number => frame.filter((value) => value > 0.1).length / (48 * 64);
  expect(one.flatMap((frame) => [...frame]).every((value) => value >= 0 && value < 0.6)).toBe(true);
  expect(covered(one[7]!)).toBeGreaterThan(1.5 * covered(one[0]!));
});

test('spinodal: four times the mobility is four times as fast, a stiffer interface takes shorter steps for the same time', async () => {
  const of = (options: Record<string, unknown>, count: number) =>
    framesOf('spinodal', { height: 24, width: 24, seed: 3, ...options }, count);
  const slow = await of({}, 9);
  const fast = await of({ mobility: 4, stepsBefore: 125 }, 3); // the first frame is at the same time over mobility
  const largest = (a: Float32Array, b: Float32Array): number =>
    Math.max(...a.map((value, k) => Math.abs(value - b[k]!)));
  for (const frame of [0, 1, 2]) expect(largest(fast[frame]!, slow[4 * frame]!)).toBeLessThan(1e-6);
  // Steps of 0.02 in two parts each, and half the mobility for twice the time.
  const [divided] = await of({ gradientEnergy: 2.2, stepsBefore: 50 }, 1);
  const [lazy] = await of({ gradientEnergy: 2.2, stepsBefore: 100, mobility: 0.5 }, 1);
  expect(largest(divided!, lazy!)).toBeLessThan(1e-6);
});
