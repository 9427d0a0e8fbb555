import { planeOf } from '../../src/metrics/plane.js';
import { structureFactor } from '../../src/metrics/structure-factor.js';
import { createPlugin } from '../../src/pipeline/plugins/registry.js';

/** What was measured in one run: a quantity over time, both in the simulation's units. */
export interface Measured {
  readonly times: readonly number[];
  readonly values: readonly number[];
}

const SIZE = 256;

/** Characteristic length of a 50:50 mixture from t = 40 to 2000. */
export const spinodalLength = async (): Promise<Measured> => {
  const [dt, steps, frames] = [0.02, 2000, 50];
  const options = { composition: 0.5, stepsBefore: steps, stepsPerFrame: steps };
  const run = await createPlugin(
    'simulation',
    'spinodal',
    { ...options, height: SIZE, width: SIZE },
    undefined,
  );
  const times = Array.from({ length: frames }, (_, n) => (n + 1) * steps * dt);
  return {
    times,
    values: times.map(() => structureFactor(planeOf(run.next(), run.shape)).characteristicLength),
  };
};

/** Mean area of a grain, cells over grains that are left, from t = 20 to 400. */
export const grainArea = async (): Promise<Measured> => {
  const [dt, steps, frames] = [0.1, 100, 39];
  const options = { stepsBefore: 2 * steps, stepsPerFrame: steps, show: 'ids' };
  const run = await createPlugin(
    'simulation',
    'grain_growth',
    { ...options, height: SIZE, width: SIZE },
    undefined,
  );
  const times = Array.from({ length: frames }, (_, n) => (n + 2) * steps * dt);
  return { times, values: times.map(() => (SIZE * SIZE) / new Set(run.next()).size) };
};

/** How far the crystal (above 0.5) reaches to the right of column 0, between pixels by linear interpolation. */
const reach = (frame: Float32Array): number => {
  let furthest = 0;
  for (let row = 0; row < SIZE; row++)
    for (let column = SIZE - 2; column > furthest - 1 && column >= 0; column--) {
      const [here, next] = [frame[row * SIZE + column]!, frame[row * SIZE + column + 1]!];
      if (here <= 0.5) continue;
      furthest = Math.max(furthest, column + (here - 0.5) / (here - next));
      break;
    }
  return furthest;
};

/** Quarter turns of a square frame. */
const turned = (frame: Float32Array): Float32Array =>
  frame.map((_, k) => frame[(SIZE - 1 - (k % SIZE)) * SIZE + Math.floor(k / SIZE)]!);

/** Length of the arms of a 4-armed crystal, mean over the four, in units of space, until they come near the edges. */
export const dendriteArm = async (): Promise<Measured> => {
  const [dt, steps, spacing] = [1e-4, 15, 0.03];
  const options = { symmetry: 4, orientation: 0, latentHeat: 1.8, stepsPerFrame: steps };
  const run = await createPlugin(
    'simulation',
    'dendrite',
    { ...options, height: SIZE, width: SIZE },
    undefined,
  );
  const [times, values]: [number[], number[]] = [[], []];
  for (let n = 0; n < 400; n++) {
    const sides = [run.next()];
    for (let turn = 1; turn < 4; turn++) sides.push(turned(sides[turn - 1] as Float32Array));
    const reaches = sides.map(reach);
    if (Math.max(...reaches) > SIZE - 20) break;
    times.push(n * steps * dt);
    // Opposite tips together: where the nucleus lies does not matter.
    values.push((spacing * (reaches.reduce((a, b) => a + b, 0) - 2 * (SIZE - 1))) / 4);
  }
  return { times, values };
};
