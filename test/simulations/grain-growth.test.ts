import { expect, test } from '@jest/globals';
import { createPlugin } from '../../src/pipeline/plugins/registry.js';
import { streamSeed, uniformNumbers } from '../../src/pipeline/random.js';

const [HEIGHT, WIDTH, GRAINS, SEED] = [36, 44, 9, 7];
const CELLS = HEIGHT * WIDTH;
const DT = 0.1;

const plugin = (options: Record<string, unknown>) =>
  createPlugin(
    'simulation',
    'grain_growth',
    {
      height: HEIGHT,
      width: WIDTH,
      grains: GRAINS,
      seed: SEED,
      stepsBefore: 0,
      stepsPerFrame: 10,
      ...options,
    },
    undefined,
  );

/** The equations for every grain in every cell, as they stand in the paper: slow, and without any bookkeeping. */
const reference = (periodic: boolean) => {
  const random = uniformNumbers(streamSeed(SEED, 0));
  const nuclei = Array.from({ length: GRAINS }, () => [random() * HEIGHT, random() * WIDTH] as const);
  const along = (a: number, b: number, size: number): number =>
    periodic ? Math.min(Math.abs(a - b), size - Math.abs(a - b)) : Math.abs(a - b);
  const distances = (k: number): number[] =>
    nuclei.map(([r, c]) => along(Math.floor(k / WIDTH), r, HEIGHT) ** 2 + along(k % WIDTH, c, WIDTH) ** 2);
  const owner = Array.from({ length: CELLS }, (_, k) => distances(k).indexOf(Math.min(...distances(k))));
  let etas: number[][] = nuclei.map((_, i) => owner.map((own) => (own === i ? 1 : 0)));
  const beside = (at: number, step: number, size: number): number =>
    periodic ? (at + step + size) % size : Math.min(Math.max(at + step, 0), size - 1);
  const neighbours = Array.from({ length: CELLS }, (_, k) => {
    const [r, c] = [Math.floor(k / WIDTH), k % WIDTH];
    return [
      beside(r, -1, HEIGHT) * WIDTH + c,
      beside(r, 1, HEIGHT) * WIDTH + c,
      r * WIDTH + beside(c, -1, WIDTH),
      r * WIDTH + beside(c, 1, WIDTH),
    ];
  });
  const squares = (): number[] =>
    Array.from({ length: CELLS }, (_, k) => etas.reduce((sum, eta) => sum + eta[k]! ** 2, 0));
  return {
    squares,
    step: (): void => {
      const sum = squares();
      etas = etas.map((eta) =>
        eta.map((v, k) => {
          const laplacian = neighbours[k]!.reduce((total, n) => total + eta[n]!, -4 * v);
          return v + DT * (v - v ** 3 - 2 * v * (sum[k]! - v * v) + laplacian);
        }),
      );
    },
    energy: (): number => {
      const sum = squares();
      let energy = 0;
      for (const eta of etas)
        eta.forEach((v, k) => {
          energy += -(v ** 2) / 2 + v ** 4 / 4 + (v * v * (sum[k]! - v * v)) / 2;
          for (const n of neighbours[k]!) energy += (eta[n]! - v) ** 2 / 4; // each pair is met twice
        });
      return energy;
    },
    largest: (): number[] =>
      Array.from({ length: CELLS }, (_, k) => {
        const values = etas.map((eta) => eta[k]!);
        return values.indexOf(Math.max(...values)) + 1;
      }),
  };
};

test.each(['periodic', 'no_flux'])(
  '%s: each grain where it is gives what all grains everywhere give, and the energy never rises',
  async (boundary) => {
    const simulation = await plugin({ boundary });
    const ids = await plugin({ boundary, show: 'ids' });
    const slow = reference(boundary === 'periodic');
    let before = Infinity;
    for (let frame = 0; frame < 12; frame++) {
      const expected = slow.squares();
      const off = simulation.next().map((value, k) => Math.abs(value - expected[k]!));
      expect(Math.max(...off)).toBeLessThan(2e-3); // what is below 1e-4 is not computed
      const shown = ids.next();
      const largest = slow.largest();
      const differing = largest.filter((id, k) => id !== shown[k]).length;
      expect(differing / CELLS).toBeLessThan(0.01); // two grains that are equal to rounding
      const energy = slow.energy();
      expect(energy).toBeLessThan(before);
      before = energy;
      for (let n = 0; n < 10; n++) slow.step();
    }
  },
);

test('grain numbers are exact in 16-bit images, and none comes back', async () => {
  const ids = await plugin({ show: 'ids', stepsPerFrame: 200 });
  expect(ids.range).toEqual([0, 65535]);
  let before = new Set(Array.from({ length: GRAINS }, (_, i) => i + 1));
  for (let frame = 0; frame < 5; frame++) {
    const now = new Set(ids.next());
    for (const id of now) expect(before.has(id)).toBe(true);
    before = now;
  }
  expect(before.size).toBeLessThan(GRAINS);
});
