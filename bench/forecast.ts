import { openEngine } from '../src/engine/index.js';
import { loadForecaster } from '../src/forecaster/folder.js';
import { createRunner } from '../src/forecaster/programs.js';
import type { FrameShape } from '../src/pipeline/frame.js';
import { rolledOut } from '../test/support/forecast-with.js';
import { median, type BenchOptions, type Result } from './table.js';

const THREADS = 2;
const RUNS = 15;
const [CONTEXT, HORIZON] = [10, 50];

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
      await rolledOut(runner, shape, frames, HORIZON);
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
