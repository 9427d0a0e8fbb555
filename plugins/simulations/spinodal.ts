import { z } from 'zod';
import { defineSimulation } from '../../src/pipeline/plugins/plugin.js';
import { normalNumbers, streamSeed, uniformNumbers } from '../../src/pipeline/random.js';
import { boundaryOption, neighboursOf } from '../../src/simulation/boundary.js';

const options = z.strictObject({
  height: z.number().int().min(8).default(64).describe('rows of the grid'),
  width: z.number().int().min(8).default(64).describe('columns of the grid'),
  boundary: boundaryOption('periodic'),
  seed: z
    .number()
    .int()
    .default(0)
    .describe('draws the initial noise, and the composition if it is not given'),
  composition: z
    .number()
    .min(0.05)
    .max(0.95)
    .optional()
    .describe('mean of c, 0 to 1; default: 0.35 to 0.65 by seed'),
  noise: z.number().positive().default(0.02).describe('standard deviation of the initial noise'),
  mobility: z.number().positive().default(1).describe('M, dimensionless'),
  gradientEnergy: z.number().positive().default(1).describe('kappa, dimensionless'),
  stepsBefore: z.number().int().nonnegative().default(500).describe('time steps before the first frame'),
  stepsPerFrame: z
    .number()
    .int()
    .positive()
    .default(150)
    .describe(
      'time steps of 0.02 between frames; they are divided where mobility or gradient energy ask for shorter ones',
    ),
});

/** Dimensionless; the grid spacing is 1. */
const TIME_STEP = 0.02;

/**
 * Spinodal decomposition of a binary mixture: J. W. Cahn and J. E. Hilliard, J. Chem. Phys. 28 (1958) 258-267, as
 *   c_t = M laplace(f'(c) - kappa laplace c),   f = c^2 (1 - c)^2,   f' = 2 c (1 - c) (1 - 2 c)
 * Frames are the composition c, [H, W, 1]; its mean is conserved. Five-point Laplacian, explicit Euler, in double
 * precision.
 */
export const spinodal = defineSimulation({
  name: 'spinodal',
  summary: 'spinodal decomposition (Cahn-Hilliard), composition 0 to 1',
  options,
  create: (settings) => {
    const { height, width, boundary, seed, noise, mobility, gradientEnergy, stepsBefore, stepsPerFrame } =
      settings;
    const random = uniformNumbers(streamSeed(seed, 0));
    const normal = normalNumbers(random);
    const composition = settings.composition ?? 0.35 + 0.3 * random();
    // An explicit step is stable up to 2 / (8 M (8 kappa + f'')), and f'' is at most 2 between the two phases.
    const stable = 1.6 / (mobility * (64 * gradientEnergy + 16));
    const parts = Math.ceil(TIME_STEP / stable);
    const dt = TIME_STEP / parts;
    const cells = height * width;
    const c = Float64Array.from({ length: cells }, () => noise * normal());
    const mean = c.reduce((a, b) => a + b, 0) / cells;
    for (let k = 0; k < cells; k++) c[k] = composition + c[k]! - mean;
    const potential = new Float64Array(cells);

    const rows = neighboursOf(height, boundary);
    const columns = neighboursOf(width, boundary);
    const step = (): void => {
      for (let row = 0, k = 0; row < height; row++) {
        const [up, down, here] = [rows.before[row]! * width, rows.after[row]! * width, row * width];
        for (let column = 0; column < width; column++, k++) {
          const v = c[k]!;
          const across = c[here + columns.before[column]!]! + c[here + columns.after[column]!]!;
          const laplacian = c[up + column]! + c[down + column]! + across - 4 * v;
          potential[k] = 2 * v * (1 - v) * (1 - 2 * v) - gradientEnergy * laplacian;
        }
      }
      for (let row = 0, k = 0; row < height; row++) {
        const [up, down, here] = [rows.before[row]! * width, rows.after[row]! * width, row * width];
        for (let column = 0; column < width; column++, k++) {
          const across =
            potential[here + columns.before[column]!]! + potential[here + columns.after[column]!]!;
          const laplacian = potential[up + column]! + potential[down + column]! + across - 4 * potential[k]!;
          c[k] = c[k]! + dt * mobility * laplacian;
        }
      }
    };

    let steps = stepsBefore;
    return {
      shape: [height, width, 1],
      range: [0, 1],
      parameters: { composition, noise, mobility, gradientEnergy, stepsPerFrame },
      next: () => {
        for (let n = 0; n < steps * parts; n++) step();
        steps = stepsPerFrame;
        return Float32Array.from(c);
      },
    };
  },
});
