import { openEngine } from '../src/engine/index.js';
import { loadForecaster } from '../src/forecaster/folder.js';
import { createRunner, type Runner, type StateHandles } from '../src/forecaster/programs.js';
import type { FrameShape } from '../src/pipeline/frame.js';
import { median, type BenchOptions, type Result } from './table.js';

const THREADS = 2;
const RUNS = 15;
const [CONTEXT, HORIZON] = [10, 50];

/** Takes in the frames of one series, [H, W, C] each, from nothing, and brings a forecast of `horizon` leads to the host. */
export const forecastFrom = async (
  runner: Runner,
  shape: FrameShape,
  frames: readonly Float32Array[],
  horizon: number,
): Promise<void> => {
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
  await runner.engine.read(rolled);
  rolled.release();
  state?.forEach((handle) => handle.release());
};

/** Ten frames of a moving pattern. */
export const contextOf = ([height, width, channels]: FrameShape): Float32Array[] =>
  Array.from({ length: CONTEXT }, (_, t) =>
    Float32Array.from(
      { length: height * width * channels },
      (_value, k) => 0.5 + 0.5 * Math.sin(k / 9 + t / 5),
    ),
  );

/** From ten frames of one 64 x 64 series to fifty forecast frames on the host, from nothing: 10 observations, one roll-out. */
export const benchForecast = async ({ device }: BenchOptions): Promise<Result> => {
  const engine = await openEngine(device, THREADS);
  try {
    const runner = createRunner(await loadForecaster('dendrite'), engine);
    const shape: FrameShape = [64, 64, 1];
    const frames = contextOf(shape);
    const once = async (): Promise<number> => {
      const start = performance.now();
      await forecastFrom(runner, shape, frames, HORIZON);
      return performance.now() - start;
    };
    await once(); // compiles
    const times: number[] = [];
    for (let run = 0; run < RUNS; run++) times.push(await once());
    await runner.dispose();
    const ms = median(times);
    return {
      tables: [[[`forecast ${CONTEXT} -> ${HORIZON} of one 64 x 64 series`, { ms }]]],
      figures: { forecast_ms: ms },
    };
  } finally {
    await engine.dispose();
  }
};
