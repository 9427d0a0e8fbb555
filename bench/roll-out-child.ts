// One case of bench/roll-out.ts, in a process of its own for the sake of its memory. Prints RollOutFigures.
import { openEngine } from '../src/engine/index.js';
import { loadForecaster } from '../src/forecaster/folder.js';
import { createRunner } from '../src/forecaster/programs.js';
import { rollOut } from '../src/forecaster/network-functions.js';
import { gflopOf, productRate, timed, waves } from './rates.js';

export interface RollOutFigures {
  readonly ms: number;
  /** Of the convolutions: two for each product. */
  readonly gflop: number;
  /** GFLOP/s of a product of two matrices. */
  readonly productRate: number;
  readonly peakMb: number;
}

const HORIZON = 50;

const { device, threads, batch, size } = JSON.parse(process.argv[2] ?? '') as {
  device: string;
  threads: number;
  batch: number;
  size: number;
};

const forecaster = await loadForecaster('dendrite');

const engine = await openEngine(device, threads);
const runner = createRunner(forecaster, engine);
const shape = [size, size, 1] as const;
const frames = Array.from({ length: batch }, () => waves(shape).data as Float32Array);
const observed = await runner.observe(
  shape,
  frames.map((frame) => ({ frame, previous: frame, state: undefined })),
);
const inputs = frames.map((frame, k) => ({ frame, previous: frame, state: observed[k] }));
const ms = await timed(() => runner.rollOut(shape, inputs, HORIZON), engine);
const peakMb = process.resourceUsage().maxRSS / 1024; // before the product, which has memory of its own
const gflop = gflopOf(forecaster, batch, size, (...work) => rollOut(...work, HORIZON));
const figures: RollOutFigures = {
  ms,
  gflop,
  productRate: await productRate(engine),
  peakMb,
};
console.log(JSON.stringify(figures));
await runner.dispose();
await engine.dispose();
