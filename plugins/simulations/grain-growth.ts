import { z } from 'zod';
import { defineSimulation } from '../../src/pipeline/plugins/plugin.js';
import { streamSeed, uniformNumbers } from '../../src/pipeline/random.js';

const options = z.strictObject({
  height: z.number().int().min(16).default(64).describe('rows of the grid'),
  width: z.number().int().min(16).default(64).describe('columns of the grid'),
  seed: z.number().int().default(0).describe('draws the nuclei of the grains'),
  grains: z
    .number()
    .int()
    .min(2)
    .optional()
    .describe('grains at the start; default: one for 60 cells of the grid'),
  stepsBefore: z.number().int().nonnegative().default(30).describe('time steps before the first frame'),
  stepsPerFrame: z.number().int().positive().default(12).describe('time steps between frames, of 0.1 each'),
});

/** Fan and Chen's model with alpha = beta = gamma = L = 1; grid spacing 1, interfaces about four cells wide. */
const GRADIENT_ENERGY = 1;
const TIME_STEP = 0.1;
/** An order parameter below this everywhere near a cell cannot grow there, and is not computed. */
const ABSENT = 1e-4;

/**
 * Grain growth: D. Fan and L.-Q. Chen, Acta Materialia 45 (1997) 611-622, one order parameter for each grain:
 *   eta_i_t = eta_i - eta_i^3 - 2 eta_i sum_{j != i} eta_j^2 + kappa laplace eta_i
 * Frames are sum_i eta_i^2, [H, W, 1]: about 1 inside grains, less on boundaries. Periodic. Explicit Euler; each grain
 * that has vanished is no longer computed.
 */
export const grainGrowth = defineSimulation({
  name: 'grain_growth',
  summary: 'grain growth (Fan and Chen 1997), sum of squared order parameters, periodic',
  options,
  create: ({ height, width, seed, grains, stepsBefore, stepsPerFrame }) => {
    const random = uniformNumbers(streamSeed(seed, 0));
    const cells = height * width;
    const count = grains ?? Math.max(4, Math.round(cells / 60));
    const nuclei = Array.from({ length: count }, () => [random() * height, random() * width] as const);
    const wrap = (d: number, size: number): number => Math.min(Math.abs(d), size - Math.abs(d));
    const fields = nuclei.map(() => new Float64Array(cells));
    for (let k = 0; k < cells; k++) {
      const [row, column] = [Math.floor(k / width), k % width];
      let [nearest, least] = [0, Infinity];
      nuclei.forEach(([r, c], i) => {
        const distance = wrap(row - r, height) ** 2 + wrap(column - c, width) ** 2;
        if (distance < least) [nearest, least] = [i, distance];
      });
      fields[nearest]![k] = 1;
    }

    const sum = new Float64Array(cells);
    const total = (): void => {
      sum.fill(0);
      for (const field of fields) for (let k = 0; k < cells; k++) sum[k]! += field[k]! * field[k]!;
    };
    const rates = new Float64Array(cells);
    /** True while the grain is there. */
    const evolve = (field: Float64Array): boolean => {
      let alive = false;
      for (let row = 0, k = 0; row < height; row++) {
        const up = (row === 0 ? height - 1 : row - 1) * width;
        const down = (row === height - 1 ? 0 : row + 1) * width;
        for (let column = 0; column < width; column++, k++) {
          const left = column === 0 ? k + width - 1 : k - 1;
          const right = column === width - 1 ? k - width + 1 : k + 1;
          const v = field[k]!;
          const around = field[up + column]! + field[down + column]! + field[left]! + field[right]!;
          if (v < ABSENT && around < ABSENT) {
            rates[k] = -v / TIME_STEP;
            continue;
          }
          alive = alive || v > 0.1;
          const others = sum[k]! - v * v;
          rates[k] = v - v * v * v - 2 * v * others + GRADIENT_ENERGY * (around - 4 * v);
        }
      }
      for (let k = 0; k < cells; k++) field[k] = field[k]! + TIME_STEP * rates[k]!;
      return alive;
    };
    const step = (): void => {
      total();
      for (let i = fields.length - 1; i >= 0; i--) if (!evolve(fields[i]!)) fields.splice(i, 1);
    };

    let steps = stepsBefore;
    return {
      shape: [height, width, 1],
      range: [0, 1],
      next: () => {
        for (let n = 0; n < steps; n++) step();
        steps = stepsPerFrame;
        total();
        return Float32Array.from(sum);
      },
    };
  },
});
