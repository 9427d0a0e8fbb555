import * as tf from '@tensorflow/tfjs-core';
import { count } from '../src/engine/graph.js';
import type { Engine, Handle, HostTensor, Named } from '../src/engine/index.js';
import { trace } from '../src/engine/tracer.js';
import type { Forecaster } from '../src/forecaster/forecaster.js';
import { stateShapes } from '../src/forecaster/network-functions.js';
import { median } from './table.js';

const RUNS = 7;
const SIDE = 2048;

/** Values that differ, the same every time. */
export const waves = (shape: readonly number[]): HostTensor => ({
  shape,
  dtype: 'float32',
  data: Float32Array.from({ length: count(shape) }, (_, k) => 0.5 + 0.5 * Math.sin(k * 0.37)),
});

type Work = (
  network: Forecaster['network'],
  params: Named<tf.Tensor>,
  ...frames: Frames
) => readonly tf.Tensor[];
type Frames = [frame: tf.Tensor4D, previous: tf.Tensor4D, state: tf.Tensor4D[]];

/**
 * GFLOP of the convolutions of some work of a forecaster on `batch` frames of `side` pixels squared, two for each product.
 * They are all recorded as such before the passes.
 */
export const gflopOf = (
  { network, weights }: Forecaster,
  batch: number,
  side: number,
  work: Work,
): number => {
  const shapes = stateShapes(network, batch, side, side);
  const frame = { shape: [batch, side, side, 1], dtype: 'float32' as const };
  const states = shapes.map((shape, k) => [`state${k}`, { shape, dtype: 'float32' as const }] as const);
  const { nodes } = trace(
    ({ now, before, ...state }) => {
      const params = Object.entries(weights).map(
        ([name, { shape, data }]) => [name, tf.tensor(data, [...shape])] as const,
      );
      const memory = shapes.map((_, k) => state[`state${k}`] as tf.Tensor4D);
      const [frames, previous] = [now, before] as [tf.Tensor4D, tf.Tensor4D];
      const made = work(network, Object.fromEntries(params), frames, previous, memory);
      return Object.fromEntries(made.map((tensor, k) => [`made${k}`, tensor]));
    },
    { now: frame, before: frame, ...Object.fromEntries(states) },
  );
  return nodes
    .filter(({ op, domain }) => op === 'Conv' && domain === 'mesocast')
    .map(({ inputs, outputs }) => {
      const [kh = 1, kw = 1, channels = 1] = inputs[1]?.shape ?? [];
      return (2 * kh * kw * channels * count(outputs[0]?.shape ?? [])) / 1e9;
    })
    .reduce((a, b) => a + b, 0);
};

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
