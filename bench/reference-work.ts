import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor4D, Tensor5D } from '@tensorflow/tfjs-core';
import type { HostTensor, Named, TensorFunction } from '../src/engine/index.js';

/** Size of the reference work: N clips of T frames S x S, C channels in the recurrent layers, K x K filters there. */
export interface WorkSize {
  readonly n: number;
  readonly t: number;
  readonly size: number;
  readonly channels: number;
  readonly kernel: number;
}
export const REFERENCE: WorkSize = { n: 4, t: 10, size: 64, channels: 64, kernel: 3 };

/**
 * The reference work: two strided 3x3 convolutions, two ConvLSTM layers (gates i, f, o, g), two 3x3 convolutions on
 * nearest-neighbour enlargements; every frame given, loss the mean squared error of the next one. The same work, weights
 * and order of gates as the PyTorch program that it is timed against.
 */
export const shapes = ({ channels: c, kernel: k }: WorkSize): Record<string, number[]> => ({
  enc1: [3, 3, 1, 32],
  enc2: [3, 3, 32, c],
  dec1: [3, 3, c, 32],
  dec2: [3, 3, 32, 1],
  lstm0: [k, k, 2 * c, 4 * c],
  lstm0_bias: [4 * c],
  lstm1: [k, k, 2 * c, 4 * c],
  lstm1_bias: [4 * c],
});

const activate = (x: Tensor4D): Tensor4D => tf.leakyRelu(x, 0.2);
const up = (x: Tensor4D): Tensor4D => tf.image.resizeNearestNeighbor(x, [2 * x.shape[1], 2 * x.shape[2]]);
/** Explicit padding, as PyTorch's: the same on all sides whatever the stride. */
const convolve = (x: Tensor4D, w: Tensor, stride = 1): Tensor4D => {
  const p = (w.shape[0] - 1) / 2;
  return tf.conv2d(
    tf.pad(x, [
      [0, 0],
      [p, p],
      [p, p],
      [0, 0],
    ]),
    w as Tensor4D,
    stride,
    'valid',
  );
};

/** Loss of clip [N, T, S, S, 1]. */
export const loss = (clip: Tensor5D, w: Named<Tensor>, { n, t, size, channels }: WorkSize): tf.Scalar => {
  const weight = (name: string): Tensor => w[name] as Tensor;
  const frame = (at: number): Tensor4D =>
    tf.reshape(tf.slice(clip, [0, at, 0, 0, 0], [n, 1, size, size, 1]), [n, size, size, 1]);
  const zero = tf.zeros<tf.Rank.R4>([n, size / 4, size / 4, channels]);
  const state: [Tensor4D, Tensor4D][] = [
    [zero, zero],
    [zero, zero],
  ];
  const errors: tf.Scalar[] = [];
  for (let at = 0; at < t - 1; at++) {
    let x = activate(convolve(activate(convolve(frame(at), weight('enc1'), 2)), weight('enc2'), 2));
    for (let l = 0; l < 2; l++) {
      const [h, c] = state[l] as [Tensor4D, Tensor4D];
      const gates = tf.add<Tensor4D>(
        convolve(tf.concat([x, h], 3), weight(`lstm${l}`)),
        weight(`lstm${l}_bias`),
      );
      const [i, f, o, g] = tf.split(gates, 4, 3) as [Tensor4D, Tensor4D, Tensor4D, Tensor4D];
      const cell = tf.add<Tensor4D>(tf.mul(tf.sigmoid(f), c), tf.mul(tf.sigmoid(i), tf.tanh(g)));
      x = tf.mul(tf.sigmoid(o), tf.tanh(cell));
      state[l] = [x, cell];
    }
    const y = convolve(up(activate(convolve(up(x), weight('dec1')))), weight('dec2'));
    errors.push(tf.mean(tf.squaredDifference(y, frame(at + 1))));
  }
  return tf.div(tf.addN(errors), t - 1);
};

/** Loss alone. */
export const forward =
  (size: WorkSize): TensorFunction =>
  ({ clip, ...weights }) => ({ loss: loss(clip as Tensor5D, weights, size) });

/** Loss, all gradients, and one step of gradient descent; weights come out under their own names. */
export const step =
  (size: WorkSize): TensorFunction =>
  ({ clip, ...weights }) => {
    const names = Object.keys(weights);
    const { value, grads } = tf.valueAndGrads((...w) =>
      loss(clip as Tensor5D, Object.fromEntries(names.map((name, k) => [name, w[k] as Tensor])), size),
    )(names.map((name) => weights[name] as Tensor));
    return {
      loss: value,
      ...Object.fromEntries(
        names.map((name, k) => [name, tf.sub(weights[name] as Tensor, tf.mul(grads[k] as Tensor, 1e-3))]),
      ),
    };
  };

/** Weights and clip that are reproducible and without any symmetry. */
export const inputs = (size: WorkSize): Record<string, HostTensor> => {
  let seed = 7;
  const random = (): number => ((seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) / 2 ** 32) * 2 - 1;
  const tensor = (shape: readonly number[], scale: number): HostTensor => ({
    shape,
    dtype: 'float32',
    data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random() * scale),
  });
  const weights = Object.entries(shapes(size)).map(([name, shape]) => [name, tensor(shape, 0.08)] as const);
  return { clip: tensor([size.n, size.t, size.size, size.size, 1], 1), ...Object.fromEntries(weights) };
};
