import { z } from 'zod';
import { defineSimulation } from '../../src/pipeline/plugins/plugin.js';
import { streamSeed, uniformNumbers } from '../../src/pipeline/random.js';

const options = z.strictObject({
  height: z.number().int().min(8).default(64).describe('rows of the grid'),
  width: z.number().int().min(8).default(64).describe('columns of the grid'),
  boundary: z
    .enum(['open', 'periodic'])
    .default('open')
    .describe('open: the frame is a window on endless waves; periodic: wave vectors that fit the frame'),
  seed: z.number().int().default(0).describe('draws the waves'),
  modes: z
    .union([z.literal(1), z.literal(2)])
    .optional()
    .describe('waves that are added up; default: 1 or 2 by seed'),
  framesPerUnit: z.number().positive().default(100).describe('frames in one unit of time'),
});

/** Grid points along a unit of length. */
const RESOLUTION = 64;

/**
 * Travelling, decaying plane waves, the first system of Yang et al. (Patterns 2021):
 *   u = (tanh(2.3 sum_i sin(k_i x + omega_i t + phi_i) exp(-lambda_i t)) + 1) / 2
 * over the unit square (larger grids see more of the same waves at the same resolution), |k| 8 to 12, omega 15 to 20,
 * lambda 0.4 to 0.6. Frames are u, 0 to 1, [H, W, 1].
 */
export const planeWave = defineSimulation({
  name: 'plane_wave',
  summary: 'travelling plane waves that decay, 0 to 1',
  options,
  create: ({ height, width, boundary, seed, modes, framesPerUnit }) => {
    const random = uniformNumbers(streamSeed(seed, 0));
    const between = (low: number, high: number): number => low + (high - low) * random();
    /** The nearest wave vector that the edges allow; in a frame that is too small for any, one wave along the nearer axis. */
    const fitted = (kx: number, ky: number): { readonly kx: number; readonly ky: number } => {
      if (boundary === 'open') return { kx, ky };
      const [lowestX, lowestY] = [(2 * Math.PI * RESOLUTION) / width, (2 * Math.PI * RESOLUTION) / height];
      const [x, y] = [kx / lowestX, ky / lowestY];
      let [columns, rows] = [Math.round(x), Math.round(y)];
      if (columns === 0 && rows === 0)
        [columns, rows] = Math.abs(x) > Math.abs(y) ? [Math.sign(x), 0] : [0, Math.sign(y)];
      return { kx: columns * lowestX, ky: rows * lowestY };
    };
    const waves = Array.from({ length: modes ?? (random() < 0.5 ? 1 : 2) }, () => {
      const [length, angle] = [between(8, 12), between(0, 2 * Math.PI)];
      return {
        ...fitted(length * Math.cos(angle), length * Math.sin(angle)),
        omega: between(15, 20),
        phase: between(0, 2 * Math.PI),
        decay: between(0.4, 0.6),
      };
    });
    let frame = 0;
    return {
      shape: [height, width, 1],
      range: [0, 1],
      parameters: { modes: waves.length, framesPerUnit },
      next: () => {
        const t = frame++ / framesPerUnit;
        return Float32Array.from({ length: height * width }, (_, k) => {
          const [x, y] = [(k % width) / RESOLUTION, Math.floor(k / width) / RESOLUTION];
          let sum = 0;
          for (const { kx, ky, omega, phase, decay } of waves)
            sum += Math.sin(kx * x + ky * y + omega * t + phase) * Math.exp(-decay * t);
          return (Math.tanh(2.3 * sum) + 1) / 2;
        });
      },
    };
  },
});
