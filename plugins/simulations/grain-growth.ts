import { z } from 'zod';
import { defineSimulation } from '../../src/pipeline/plugins/plugin.js';
import { streamSeed, uniformNumbers } from '../../src/pipeline/random.js';
import { boundaryOption, type Boundary } from '../../src/simulation/boundary.js';
import { emptyPatch, refit, type Extent, type Patch } from '../../src/simulation/patch.js';

const options = z.strictObject({
  height: z.number().int().min(16).default(64).describe('rows of the grid'),
  width: z.number().int().min(16).default(64).describe('columns of the grid'),
  boundary: boundaryOption('periodic'),
  seed: z.number().int().default(0).describe('draws the nuclei of the grains'),
  grains: z
    .number()
    .int()
    .min(2)
    .max(65535)
    .optional()
    .describe('grains at the start; default: one for 60 cells of the grid'),
  stepsBefore: z.number().int().nonnegative().default(30).describe('time steps before the first frame'),
  stepsPerFrame: z.number().int().positive().default(12).describe('time steps between frames, of 0.1 each'),
  show: z
    .enum(['squares', 'ids'])
    .default('squares')
    .describe(
      'what frames are: the sum of squared order parameters, or in each cell the number of the grain that fills it, 1 and up',
    ),
});

/** Fan and Chen's model with alpha = beta = gamma = L = 1; grid spacing 1, interfaces about four cells wide. */
const GRADIENT_ENERGY = 1;
const TIME_STEP = 0.1;
/** An order parameter below this everywhere near a cell cannot grow there, and is not computed. */
const ABSENT = 1e-4;
/** A grain that is nowhere above this is gone. */
const GONE = 0.1;

interface Grain {
  readonly id: number;
  readonly patch: Patch;
}

/** Each grain's order parameter at the start: 1 in the cells that are nearest to its nucleus, 0 elsewhere. */
const voronoi = (
  nuclei: readonly (readonly [row: number, column: number])[],
  height: number,
  width: number,
  boundary: Boundary,
): Grain[] => {
  const nearest = new Int32Array(height * width);
  const extents = nuclei.map(() => ({ top: Infinity, bottom: -Infinity, left: Infinity, right: -Infinity }));
  /** The image of a place that is nearest to the nucleus, around periodic edges. */
  const image = (at: number, nucleus: number, size: number): number =>
    boundary === 'no_flux' || Math.abs(at - nucleus) <= size / 2 ? at : at < nucleus ? at + size : at - size;
  for (let k = 0; k < nearest.length; k++) {
    const [row, column] = [Math.floor(k / width), k % width];
    let least = Infinity;
    for (let i = 0; i < nuclei.length; i++) {
      const [r, c] = nuclei[i]!;
      const distance = (image(row, r, height) - r) ** 2 + (image(column, c, width) - c) ** 2;
      if (distance < least) [nearest[k], least] = [i, distance];
    }
    const [[r, c], extent] = [nuclei[nearest[k]!]!, extents[nearest[k]!]!];
    extent.top = Math.min(extent.top, image(row, r, height));
    extent.bottom = Math.max(extent.bottom, image(row, r, height));
    extent.left = Math.min(extent.left, image(column, c, width));
    extent.right = Math.max(extent.right, image(column, c, width));
  }
  return nuclei.flatMap((_, i) => {
    if (extents[i]!.top === Infinity) return []; // another nucleus is nearer to every cell
    const patch = emptyPatch(extents[i]!, height, width, boundary);
    const { rows, columns, values } = patch;
    for (let row = rows.first; row <= rows.last; row++)
      for (let column = columns.first; column <= columns.last; column++)
        if (nearest[rows.at[row]! * width + columns.at[column]!] === i)
          values[row * columns.length + column] = 1;
    return [{ id: i + 1, patch }];
  });
};

/** One step of a grain; `sum` is that of all grains' squares. What it does not fill any more is zero. */
const evolve = ({ rows, columns, values, next }: Patch, sum: Float64Array, width: number) => {
  let greatest = 0;
  let [top, bottom, left, right] = [rows.length, -1, columns.length, -1];
  for (let row = rows.first; row <= rows.last; row++) {
    const here = row * columns.length;
    const up = rows.before[row]! * columns.length;
    const down = rows.after[row]! * columns.length;
    const inFrame = rows.at[row]! * width;
    for (let column = columns.first; column <= columns.last; column++) {
      const k = here + column;
      const v = values[k]!;
      const around =
        values[up + column]! +
        values[down + column]! +
        values[here + columns.before[column]!]! +
        values[here + columns.after[column]!]!;
      if (v < ABSENT && around < ABSENT) {
        next[k] = 0;
        continue;
      }
      const others = sum[inFrame + columns.at[column]!]! - v * v;
      next[k] = v + TIME_STEP * (v - v * v * v - 2 * v * others + GRADIENT_ENERGY * (around - 4 * v));
      if (v > greatest) greatest = v;
      if (row < top) top = row;
      if (row > bottom) bottom = row;
      if (column < left) left = column;
      if (column > right) right = column;
    }
  }
  return { greatest, used: { top, bottom, left, right } satisfies Extent };
};

/**
 * Grain growth: D. Fan and L.-Q. Chen, Acta Materialia 45 (1997) 611-622, one order parameter for each grain:
 *   eta_i_t = eta_i - eta_i^3 - 2 eta_i sum_{j != i} eta_j^2 + kappa laplace eta_i
 * Frames are sum_i eta_i^2, [H, W, 1]: about 1 inside grains, 2/3 on boundaries, 1/2 where boundaries meet. Space and
 * time are dimensionless, the grid spacing is 1. Five-point Laplacian, explicit Euler, in double precision; each grain is
 * computed where it is.
 */
export const grainGrowth = defineSimulation({
  name: 'grain_growth',
  summary: 'grain growth (Fan and Chen 1997), sum of squared order parameters or exact grain numbers',
  options,
  create: ({ height, width, boundary, seed, grains: wanted, stepsBefore, stepsPerFrame, show }) => {
    const random = uniformNumbers(streamSeed(seed, 0));
    const cells = height * width;
    const count = wanted ?? Math.max(4, Math.round(cells / 60));
    const nuclei = Array.from({ length: count }, () => [random() * height, random() * width] as const);
    let grains = voronoi(nuclei, height, width, boundary);

    /** Calls for each cell that a grain may be in: with its place in the frame, and the order parameter there. */
    const visit = ({ rows, columns, values }: Patch, seen: (cell: number, value: number) => void): void => {
      for (let row = rows.first; row <= rows.last; row++)
        for (let column = columns.first; column <= columns.last; column++)
          seen(rows.at[row]! * width + columns.at[column]!, values[row * columns.length + column]!);
    };
    const sum = new Float64Array(cells);
    const total = (): void => {
      sum.fill(0);
      for (const { patch } of grains) visit(patch, (cell, value) => (sum[cell]! += value * value));
    };
    const step = (): void => {
      total();
      grains = grains.flatMap(({ id, patch }) => {
        const { greatest, used } = evolve(patch, sum, width);
        if (greatest <= GONE) return [];
        const evolved = { ...patch, values: patch.next, next: patch.values };
        return [{ id, patch: refit(evolved, used, height, width, boundary) }];
      });
    };
    const ids = (): Float32Array => {
      const greatest = new Float64Array(cells);
      const owner = new Float32Array(cells);
      for (const { id, patch } of grains)
        visit(patch, (cell, value) => {
          if (value > greatest[cell]!) [greatest[cell], owner[cell]] = [value, id];
        });
      return owner;
    };

    let steps = stepsBefore;
    return {
      shape: [height, width, 1],
      parameters: { grains: count, stepsPerFrame },
      range: show === 'ids' ? [0, 65535] : [0, 1],
      next: () => {
        for (let n = 0; n < steps; n++) step();
        steps = stepsPerFrame;
        if (show === 'ids') return ids();
        total();
        return Float32Array.from(sum);
      },
    };
  },
});
