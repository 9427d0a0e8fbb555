import type { Engine } from '../../src/engine/types.js';
import type { Forecaster } from '../../src/forecaster/forecaster.js';
import { createRunner } from '../../src/forecaster/programs.js';
import type { Runner, StateHandles } from '../../src/forecaster/programs.js';
import type { FrameShape } from '../../src/pipeline/frame.js';

/** Leads 1..horizon after these normalised frames [H, W, C], one array [H, W, C] each. */
export const forecastWith = async (
  engine: Engine,
  forecaster: Forecaster,
  shape: FrameShape,
  frames: readonly Float32Array[],
  horizon = 3,
): Promise<Float32Array[]> => {
  const runner = createRunner(forecaster, engine);
  const data = await rolledOut(runner, shape, frames, horizon);
  await runner.dispose();
  const size = data.length / horizon;
  return Array.from({ length: horizon }, (_, lead) =>
    Float32Array.from(data.subarray(lead * size, (lead + 1) * size)),
  );
};

/** The same of a runner, from nothing, all leads in one array. */
export const rolledOut = async (
  runner: Runner,
  shape: FrameShape,
  frames: readonly Float32Array[],
  horizon: number,
): Promise<Float32Array> => {
  let state: StateHandles | undefined;
  const input = (t: number) => ({
    frame: frames[t] as Float32Array,
    previous: frames[Math.max(0, t - 1)] as Float32Array,
    state,
  });
  for (let t = 0; t < frames.length; t++) {
    const [next] = await runner.observe(shape, [input(t)]);
    state?.forEach((handle) => handle.release());
    state = next;
  }
  const rolled = await runner.rollOut(shape, [input(frames.length - 1)], horizon);
  const { data } = await runner.engine.read(rolled);
  rolled.release();
  state?.forEach((handle) => handle.release());
  return data as Float32Array;
};

const largest = (a: Float32Array, b: Float32Array): number =>
  a.reduce((most, value, k) => Math.max(most, Math.abs(value - (b[k] ?? NaN))), 0);

/** The largest difference of any value of any frame; NaN if one is missing. */
export const largestDifference = (a: readonly Float32Array[], b: readonly Float32Array[]): number =>
  Math.max(...a.map((frame, k) => largest(frame, b[k] ?? new Float32Array())));
