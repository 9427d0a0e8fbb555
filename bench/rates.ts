import * as tf from '@tensorflow/tfjs-core';
import type { Engine, Handle, HostTensor } from '../src/engine/index.js';
import { count, type Graph } from '../src/engine/graph.js';
import { median } from './table.js';

const RUNS = 7;
const SIDE = 2048;

/** Values that differ, the same every time. */
export const waves = (shape: readonly number[]): HostTensor => ({
  shape,
  dtype: 'float32',
  data: Float32Array.from({ length: count(shape) }, (_, k) => 0.5 + 0.5 * Math.sin(k * 0.37)),
});

/** GFLOP of the convolutions of a traced graph, two for each product. They are all recorded as such before the passes. */
export const gflopOf = ({ nodes }: Graph): number =>
  nodes
    .filter(({ op, domain }) => op === 'Conv' && domain === 'mesocast')
    .map(({ inputs, outputs }) => {
      const [kh = 1, kw = 1, channels = 1] = inputs[1]?.shape ?? [];
      return (2 * kh * kw * channels * count(outputs[0]?.shape ?? [])) / 1e9;
    })
    .reduce((a, b) => a + b, 0);

/** Milliseconds from the start of some work to its result on the host. */
export const timed = async (action: () => Promise<Handle>, engine: Engine): Promise<number> => {
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

/** GFLOP/s that the engine reaches at its best: a product of two matrices, and a sum over it, so that reading it costs nothing. */
export const productRate = async (engine: Engine): Promise<number> => {
  const spec = { shape: [SIDE, SIDE], dtype: 'float32' as const };
  const program = await engine.compile(
    ({ a, b }) => ({ y: tf.max(tf.matMul(a as tf.Tensor2D, b as tf.Tensor2D)) }),
    { a: spec, b: spec },
  );
  const [a, b] = [await engine.upload(waves(spec.shape)), await engine.upload(waves(spec.shape))];
  const ms = await timed(async () => (await program.run({ a, b }))['y'] as Handle, engine);
  return (2 * SIDE ** 3) / 1e6 / ms;
};
