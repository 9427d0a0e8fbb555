// A simulation of your own: two substances that react and diffuse (Gray and Scott 1984; Pearson, Science 261, 189, 1993).
//   mesocast simulate ./examples/my-simulation.mjs --frames 60 --seed 3 --out patterns
//   mesocast train --simulation ./examples/my-simulation.mjs --out my-forecaster
import { defineSimulation, z } from 'mesocast';

const [DIFFUSION_U, DIFFUSION_V, STEP] = [0.16, 0.08, 1];

/** Pseudo-random numbers, 0 to 1, that the seed decides (a linear congruential generator). */
const numbers = (seed) => {
  let state = (seed + 1) >>> 0;
  return () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
};

export const grayScott = defineSimulation({
  name: 'gray_scott',
  summary: 'spots and stripes of a reaction that feeds on what flows in',
  options: z.strictObject({
    height: z.number().int().min(16).default(64).describe('rows of the grid'), // --size sets these two
    width: z.number().int().min(16).default(64).describe('columns of the grid'),
    seed: z.number().int().default(0).describe('where the reaction begins'), // --count and `train` need it
    feed: z.number().positive().default(0.037).describe('how fast u flows in, per unit of time'),
    kill: z.number().positive().default(0.06).describe('how fast v is taken out, besides, per unit of time'),
    stepsPerFrame: z.number().int().positive().default(40).describe('time steps of 1 from frame to frame'),
  }),
  create: ({ height, width, seed, feed, kill, stepsPerFrame }) => {
    const size = height * width;
    let [u, v] = [new Float32Array(size).fill(1), new Float32Array(size)];
    const random = numbers(seed);
    for (let spot = 0; spot < 12; spot++) {
      const [top, left] = [Math.floor(random() * height), Math.floor(random() * width)];
      for (let k = 0; k < 36; k++) {
        const cell = ((top + Math.floor(k / 6)) % height) * width + ((left + (k % 6)) % width);
        [u[cell], v[cell]] = [0.5, 0.25];
      }
    }
    /** Five-point Laplacian; the edges are periodic. */
    const laplacian = (field, row, column) =>
      field[((row + height - 1) % height) * width + column] +
      field[((row + 1) % height) * width + column] +
      field[row * width + ((column + width - 1) % width)] +
      field[row * width + ((column + 1) % width)] -
      4 * field[row * width + column];
    const step = () => {
      const [nextU, nextV] = [new Float32Array(size), new Float32Array(size)];
      for (let k = 0; k < size; k++) {
        const [row, column] = [Math.floor(k / width), k % width];
        const reaction = u[k] * v[k] * v[k];
        nextU[k] = u[k] + STEP * (DIFFUSION_U * laplacian(u, row, column) - reaction + feed * (1 - u[k]));
        nextV[k] = v[k] + STEP * (DIFFUSION_V * laplacian(v, row, column) + reaction - (feed + kill) * v[k]);
      }
      [u, v] = [nextU, nextV];
    };
    let isFirst = true;
    return {
      shape: [height, width, 1],
      range: [0, 0.6], // what images map to their full scale
      parameters: { feed, kill }, // what a network may be told
      next: () => {
        for (let n = 0; n < stepsPerFrame && !isFirst; n++) step();
        isFirst = false;
        return Float32Array.from(v);
      },
    };
  },
});
