// One case of bench/roll-out.ts, in a process of its own for the sake of its memory. Prints RollOutFigures.
import * as tf from '@tensorflow/tfjs-core';
import { openEngine } from '../src/engine/index.js';
import type { Graph } from '../src/engine/graph.js';
import { trace } from '../src/engine/tracer.js';
import { loadForecaster } from '../src/forecaster/folder.js';
import { createRunner } from '../src/forecaster/programs.js';
import { rollOut, stateShapes } from '../src/forecaster/network-functions.js';
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

const gflopOfRollOut = (): number => {
  const { network, weights } = forecaster;
  const shapes = stateShapes(network, batch, size, size);
  const frames = { shape: [batch, size, size, 1], dtype: 'float32' as const };
  const states = shapes.map((shape, k) => [`state${k}`, { shape, dtype: 'float32' as const }] as const);
  const graph: Graph = trace(
    ({ frame, previous, ...state }) => {
      const params = Object.entries(weights).map(
        ([name, { shape, data }]) => [name, tf.tensor(data, [...shape])] as const,
      );
      const memory = shapes.map((_, k) => state[`state${k}`] as tf.Tensor4D);
      const [now, before] = [frame, previous] as [tf.Tensor4D, tf.Tensor4D];
      const leads = rollOut(network, Object.fromEntries(params), now, before, memory, HORIZON);
      return { frames: tf.stack(leads, 1) };
    },
    { frame: frames, previous: frames, ...Object.fromEntries(states) },
  );
  return gflopOf(graph);
};

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
const figures: RollOutFigures = {
  ms,
  gflop: gflopOfRollOut(),
  productRate: await productRate(engine),
  peakMb,
};
console.log(JSON.stringify(figures));
await runner.dispose();
await engine.dispose();
