import * as tf from '@tensorflow/tfjs-core';
import type { Tensor } from '@tensorflow/tfjs-core';
import { at, at3, type Case } from './case.js';

const named = (name: string, kernel: string, draw: Case['draw']): Case => ({ name, kernel, draw });

/** Mean 0 and variance 1 over the given axes. */
const normalised = (x: Tensor, axes: number[]): Tensor => {
  const { mean, variance } = tf.moments(x, axes, true);
  return tf.mul(tf.sub(x, mean), tf.rsqrt(tf.add(variance, 1e-3)));
};

/** What networks are made of, where it is several kernels: they must also work together. */
export const networks: Case[] = [
  named('gelu', 'Erf', (d) => ({
    inputs: { x: d.floats(d.shape(3), -3, 3) },
    fn: (t) => tf.mul(tf.mul(at(t, 'x'), 0.5), tf.add(tf.erf(tf.mul(at(t, 'x'), Math.SQRT1_2)), 1)),
  })),
  named('silu', 'Sigmoid', (d) => ({
    inputs: { x: d.floats(d.shape(3), -3, 3) },
    fn: (t) => tf.mul(at(t, 'x'), tf.sigmoid(at(t, 'x'))),
  })),
  named('mish', 'Softplus', (d) => ({
    inputs: { x: d.floats(d.shape(3), -3, 3) },
    fn: (t) => tf.mul(at(t, 'x'), tf.tanh(tf.softplus(at(t, 'x')))),
  })),
  named('layer normalisation', 'Mean', (d) => ({
    inputs: { x: d.floats([2, 3, 5]), g: d.floats([5]), b: d.floats([5]) },
    fn: (t) => tf.add(tf.mul(normalised(at(t, 'x'), [2]), at(t, 'g')), at(t, 'b')),
  })),
  named('group normalisation', 'Mean', (d) => ({
    inputs: { x: d.floats([2, 3, 4, 6]), g: d.floats([6]) },
    fn: (t) => {
      const groups = normalised(tf.reshape(at(t, 'x'), [2, 3, 4, 2, 3]), [1, 2, 4]);
      return tf.mul(tf.reshape(groups, [2, 3, 4, 6]), at(t, 'g'));
    },
  })),
  named('attention of several heads', 'Softmax', (d) => ({
    inputs: { x: d.floats([2, 5, 8]), q: d.floats([8, 8]), k: d.floats([8, 8]), v: d.floats([8, 8]) },
    fn: (t) => {
      const heads = (name: string): Tensor => {
        const y = tf.matMul(tf.reshape(at(t, 'x'), [10, 8]), at(t, name));
        return tf.transpose(tf.reshape(y, [2, 5, 2, 4]), [0, 2, 1, 3]);
      };
      const weights = tf.softmax(tf.mul(tf.matMul(heads('q'), heads('k'), false, true), 0.5));
      return tf.reshape(tf.transpose(tf.matMul(weights, heads('v')), [0, 2, 1, 3]), [2, 5, 8]);
    },
  })),
  named('local response normalisation', 'LRN', (d) => {
    const radius = d.whole(1, 4);
    return {
      inputs: { x: d.floats([2, 3, 2, d.whole(1, 9)]) },
      fn: (t) => tf.localResponseNormalization(at(t, 'x') as tf.Tensor4D, radius, 1.5, 0.4, 0.7),
    };
  }),
  named('gradient of local response normalisation', 'LRNGrad', (d) => ({
    inputs: { x: d.floats([1, 2, 3, 7]) },
    fn: (t) => tf.localResponseNormalization(at(t, 'x') as tf.Tensor4D, 2),
  })),
  named('selu and elu', 'Selu', (d) => ({
    inputs: { x: d.floats(d.shape(3), -3, 3) },
    fn: (t) => tf.mul(tf.selu(at(t, 'x')), tf.elu(at(t, 'x'))),
  })),
  named('cross entropy of a softmax', 'OneHot', (d) => ({
    inputs: { x: d.floats([6, 4], -3, 3), labels: d.wholes([6], 0, 3) },
    fn: (t) => tf.losses.softmaxCrossEntropy(tf.oneHot(at(t, 'labels'), 4), at(t, 'x')),
  })),
  named('log of a softmax', 'Exp', (d) => ({
    inputs: { x: d.floats([3, 7], -4, 4) },
    fn: (t) => tf.logSoftmax(at(t, 'x')),
  })),
  named('exclusive or', 'LogicalAnd', (d) => ({
    inputs: { a: d.truths([3, 4]), b: d.truths([3, 4]) },
    fn: (t) => tf.logicalXor(at(t, 'a'), at(t, 'b')),
  })),
  named('log-sum-exp', 'Max', (d) => ({
    inputs: { x: d.floats([3, 4, 5], -5, 5) },
    fn: (t) => tf.logSumExp(at3(t, 'x'), [1, 2]),
  })),
  named('norm', 'Sqrt', (d) => ({
    inputs: { x: d.floats([3, 4, 5]) },
    fn: (t) => tf.norm(at(t, 'x'), 'euclidean', [1]),
  })),
  named('dropout by a mask that is passed in', 'Select', (d) => ({
    inputs: { x: d.floats([4, 6]), noise: d.floats([4, 6], 0, 1) },
    fn: (t) => tf.where(tf.less(at(t, 'noise'), 0.7), tf.div(at(t, 'x'), 0.7), tf.zerosLike(at(t, 'x'))),
    gradients: ['x'],
  })),
  named('a mixed gate between two frames', 'SplitV', (d) => ({
    inputs: { x: d.floats([2, 4, 4, 6]), w: d.floats([3, 3, 6, 8], -0.3, 0.3) },
    fn: (t) => {
      const y = tf.conv2d(
        tf.pad(at(t, 'x') as tf.Tensor4D, [
          [0, 0],
          [1, 1],
          [1, 1],
          [0, 0],
        ]),
        at(t, 'w') as tf.Tensor4D,
        1,
        'valid',
      );
      const [gate, value] = tf.split(tf.leakyRelu(y), 2, 3) as [Tensor, Tensor];
      return tf.concat([tf.mul(tf.sigmoid(gate), value), tf.slice(y, [0, 0, 0, 1], [2, 4, 4, 2])], 3);
    },
  })),
];
