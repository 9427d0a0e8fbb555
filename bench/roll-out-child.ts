// One case of bench/roll-out.ts, in a process of its own for the sake of its memory. Prints RollOutFigures.
import * as tf from '@tensorflow/tfjs-core';
import { openEngine, type Engine, type Handle, type HostTensor } from '../src/engine/index.js';
import { count, type Graph } from '../src/engine/graph.js';
import { trace } from '../src/engine/tracer.js';
import { loadForecaster } from '../src/forecaster/folder.js';
import { createRunner } from '../src/forecaster/programs.js';
import { rollOut, stateShapes } from '../src/forecaster/network-functions.js';
import { median } from './table.js';

export interface RollOutFigures {
  readonly ms: number;
  /** Of the convolutions: two for each product. */
  readonly gflop: number;
  /** GFLOP/s of a product of two matrices. */
  readonly productRate: number;
  readonly peakMb: number;
}

const HORIZON = 50;
const RUNS = 7;
const SIDE = 2048;

const { device, threads, batch, size } = JSON.parse(process.argv[2] ?? '') as {
  device: string;
  threads: number;
  batch: number;
  size: number;
};

const random = (shape: readonly number[]): HostTensor => ({
  shape,
  dtype: 'float32',
  data: Float32Array.from({ length: count(shape) }, (_, k) => 0.5 + 0.5 * Math.sin(k * 0.37)),
});

const forecaster = await loadForecaster('dendrite');

/** The convolutions are all recorded as such before the passes. */
const gflopOf = (): number => {
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
  const flop = graph.nodes
    .filter(({ op, domain }) => op === 'Conv' && domain === 'mesocast')
    .map(({ inputs, outputs }) => {
      const [kh = 1, kw = 1, channels = 1] = inputs[1]?.shape ?? [];
      return 2 * kh * kw * channels * count(outputs[0]?.shape ?? []);
    });
  return flop.reduce((a, b) => a + b, 0) / 1e9;
};

const timed = async (action: () => Promise<Handle>, engine: Engine): Promise<number> => {
  const times: number[] = [];
  for (let run = 0; run < RUNS; run++) {
    const start = performance.now();
    const result = await action();
    await engine.read(result);
    times.push(performance.now() - start);
    result.release();
  }
  return median(times.slice(1)); // the first run finds its memory
};

/** What the engine reaches at its best: a sum over the product, so that reading it costs nothing. */
const productRate = async (engine: Engine): Promise<number> => {
  const spec = { shape: [SIDE, SIDE], dtype: 'float32' as const };
  const program = await engine.compile(
    ({ a, b }) => ({ y: tf.max(tf.matMul(a as tf.Tensor2D, b as tf.Tensor2D)) }),
    { a: spec, b: spec },
  );
  const [a, b] = [await engine.upload(random(spec.shape)), await engine.upload(random(spec.shape))];
  const ms = await timed(async () => (await program.run({ a, b }))['y'] as Handle, engine);
  return (2 * SIDE ** 3) / 1e6 / ms;
};

const engine = await openEngine(device, threads);
const runner = createRunner(forecaster, engine);
const shape = [size, size, 1] as const;
const frames = Array.from({ length: batch }, () => random(shape).data as Float32Array);
const observed = await runner.observe(
  shape,
  frames.map((frame) => ({ frame, previous: frame, state: undefined })),
);
const inputs = frames.map((frame, k) => ({ frame, previous: frame, state: observed[k] }));
const ms = await timed(() => runner.rollOut(shape, inputs, HORIZON), engine);
const peakMb = process.resourceUsage().maxRSS / 1024; // before the product, which has memory of its own
const figures: RollOutFigures = { ms, gflop: gflopOf(), productRate: await productRate(engine), peakMb };
console.log(JSON.stringify(figures));
await runner.dispose();
await engine.dispose();
