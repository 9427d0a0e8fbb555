import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor4D } from '@tensorflow/tfjs-core';
import type { Boundary, ParamSpec } from './network.js';

/** Rows or columns `begin .. begin + size` of x [N, H, W, C]; axis 1 or 2. */
const strip = (x: Tensor4D, axis: 1 | 2, begin: number, size: number): Tensor4D => {
  const from: [number, number, number, number] = [0, 0, 0, 0];
  const shape: [number, number, number, number] = [...x.shape];
  from[axis] = begin;
  shape[axis] = size;
  return tf.slice(x, from, shape);
};

/** x with strips of itself before and behind it along one axis. */
const extended = (x: Tensor4D, axis: 1 | 2, width: number, boundary: Boundary): Tensor4D => {
  const size = x.shape[axis];
  if (boundary === 'periodic' && width > size) {
    const turns = Math.ceil(width / size);
    const around = tf.concat(Array<Tensor4D>(2 * turns + 1).fill(x), axis);
    return strip(around, axis, turns * size - width, size + 2 * width);
  }
  if (boundary === 'periodic') {
    return tf.concat([strip(x, axis, size - width, width), x, strip(x, axis, 0, width)], axis);
  }
  const repeat = (at: number): Tensor4D[] => Array<Tensor4D>(width).fill(strip(x, axis, at, 1));
  return tf.concat([...repeat(0), x, ...repeat(size - 1)], axis);
};

/** Rows, then columns. One copy of the edge is what mirroring gives too, in one operation instead of six. */
const bordered = (x: Tensor4D, width: number, boundary: Boundary): Tensor4D => {
  const once: [number, number][] = [
    [0, 0],
    [1, 1],
    [1, 1],
    [0, 0],
  ];
  if (boundary === 'replicate' && width === 1) return tf.mirrorPad(x, once, 'symmetric');
  return extended(extended(x, 1, width, boundary), 2, width, boundary);
};

/** Gradient along one axis: each border is added to the end that it repeats. */
const folded = (dy: Tensor4D, axis: 1 | 2, width: number, boundary: Boundary): Tensor4D => {
  const size = dy.shape[axis] - 2 * width;
  const parts = (...sizes: number[]): Tensor4D[] => tf.split(dy, sizes, axis);
  if (boundary === 'periodic') {
    const [before, first, middle, last, after] = parts(width, width, size - 2 * width, width, width) as [
      Tensor4D,
      Tensor4D,
      Tensor4D,
      Tensor4D,
      Tensor4D,
    ];
    return tf.concat([tf.add<Tensor4D>(first, after), middle, tf.add<Tensor4D>(last, before)], axis);
  }
  const [first, middle, last] = parts(width + 1, size - 2, width + 1) as [Tensor4D, Tensor4D, Tensor4D];
  const sum = (rows: Tensor4D): Tensor4D => tf.sum(rows, axis, true);
  return tf.concat([sum(first), middle, sum(last)], axis);
};

/**
 * x [N, H, W, C] with `width` more pixels on every side: those of the opposite edge (periodic), copies of the edge
 * (replicate: no flux through it), or zeros.
 */
export const padBoundary = (x: Tensor4D, width: number, boundary: Boundary): Tensor4D => {
  if (width === 0) return x;
  if (boundary === 'zero')
    return tf.pad(x, [
      [0, 0],
      [width, width],
      [width, width],
      [0, 0],
    ]);
  // tfjs's own gradient goes strip by strip, in 7 operations an axis instead of 4, but also where ends overlap.
  if (Math.min(x.shape[1], x.shape[2]) < Math.max(2, 2 * width)) return bordered(x, width, boundary);
  return tf.customGrad<Tensor4D>((image) => ({
    value: bordered(image as Tensor4D, width, boundary),
    gradFunc: (dy: Tensor) => folded(folded(dy as Tensor4D, 2, width, boundary), 1, width, boundary),
  }))(x);
};

/**
 * Convolution with odd square kernels, [N, H, W, I] -> [N, H/stride, W/stride, O], seeing the boundary beyond the edge.
 * `weight` is [k, k, I, O], `bias` [O].
 */
export const convolve = (
  x: Tensor4D,
  weight: Tensor,
  bias: Tensor | undefined,
  boundary: Boundary,
  stride = 1,
): Tensor4D => {
  const filter = weight as Tensor4D;
  const padded = padBoundary(x, (filter.shape[0] - 1) / 2, boundary);
  const y = tf.conv2d(padded, filter, stride, 'valid');
  return bias === undefined ? y : tf.add(y, bias);
};

/** Each channel convolved with an odd square kernel of its own (depthwise), [N, H, W, C] -> [N, H, W, C]. `weight` is [k, k, C]. */
export const convolveEach = (x: Tensor4D, weight: Tensor, bias: Tensor, boundary: Boundary): Tensor4D => {
  const [k = 1, , channels = 1] = weight.shape;
  const padded = padBoundary(x, (k - 1) / 2, boundary);
  const filter = tf.reshape<tf.Rank.R4>(weight, [k, k, channels, 1]);
  return tf.add(tf.depthwiseConv2d(padded, filter, 1, 'valid'), bias);
};

const NORM_EPSILON = 1e-5;

/** Layer normalisation over the channels of each pixel (Ba et al. 2016), so of any size; `gain` and `shift` are [C]. */
export const normaliseChannels = (x: Tensor4D, gain: Tensor, shift: Tensor): Tensor4D => {
  const centred = tf.sub<Tensor4D>(x, tf.mean(x, 3, true));
  const variance = tf.mean<Tensor4D>(tf.square(centred), 3, true);
  const scaled = tf.mul<Tensor4D>(centred, tf.rsqrt(tf.add(variance, NORM_EPSILON)));
  return tf.add(tf.mul(scaled, gain), shift);
};

/** x sigmoid(x) (Elfwing et al. 2018). */
export const silu = (x: Tensor4D): Tensor4D => tf.mul(x, tf.sigmoid(x));

/** x P(X < x) of a standard normal X (Hendrycks & Gimpel 2016). */
export const gelu = (x: Tensor4D): Tensor4D =>
  tf.mul(tf.mul(x, 0.5), tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1));

/** Nearest-neighbour enlargement, [N, H, W, C] -> [N, f H, f W, C]. */
export const enlarge = (x: Tensor4D, factor: number): Tensor4D =>
  tf.image.resizeNearestNeighbor(x, [x.shape[1] * factor, x.shape[2] * factor]);

/** Groups of channels become blocks of pixels, [N, H, W, b b C] -> [N, b H, b W, C] (sub-pixel convolution, Shi et al. 2016). */
export const channelsToPixels = (x: Tensor4D, block: number): Tensor4D => {
  if (block === 1) return x;
  const [n, h, w, channels] = x.shape;
  const c = channels / block ** 2;
  const blocks = tf.transpose(tf.reshape(x, [n, h, w, block, block, c]), [0, 1, 3, 2, 4, 5]);
  return tf.reshape(blocks, [n, h * block, w * block, c]);
};

/** Blocks of pixels become channels, the inverse of channelsToPixels: [N, b H, b W, C] -> [N, H, W, b b C]. */
export const pixelsToChannels = (x: Tensor4D, block: number): Tensor4D => {
  if (block === 1) return x;
  const [n, h, w, c] = x.shape;
  const blocks = tf.reshape(x, [n, h / block, block, w / block, block, c]);
  return tf.reshape(tf.transpose(blocks, [0, 1, 3, 2, 4, 5]), [n, h / block, w / block, c * block ** 2]);
};

/** Least distance from 0 and 1 at which log-odds are taken: they stay between -2.3 and 2.3. */
const EDGE = 1e-4;

/**
 * Log-odds of values 0 to 1, a quarter of them, so that the slope at 1/2 is 1: ln(x / (1 - x)) / 4. A front with the
 * profile of a tanh, as phase fields have, becomes a straight ramp: the distance to the front.
 */
export const logOdds = (x: Tensor4D): Tensor4D => {
  const inside = tf.clipByValue<Tensor4D>(x, EDGE, 1 - EDGE);
  return tf.mul(tf.sub<Tensor4D>(tf.log(inside), tf.log(tf.sub<Tensor4D>(1, inside))), 0.25);
};

/** Values 0 to 1 of their `logOdds`. */
export const fromLogOdds = (x: Tensor4D): Tensor4D => tf.sigmoid(tf.mul<Tensor4D>(x, 4));

/** Leaky ReLU with slope 0.2 below zero. */
export const activate = (x: Tensor4D): Tensor4D => tf.leakyRelu(x, 0.2);

/** A k x k filter from `inputs` to `outputs` channels: He initialisation times `gain`. */
export const filterSpec = (kernel: number, inputs: number, outputs: number, gain = 1): ParamSpec => ({
  shape: [kernel, kernel, inputs, outputs],
  std: gain * Math.sqrt(2 / (1.04 * kernel * kernel * inputs)),
});

/** A bias of `outputs` channels, all `constant`. */
export const biasSpec = (outputs: number, constant = 0): ParamSpec => ({
  shape: [outputs],
  std: 0,
  constant,
});

/** A weight that must be there. @throws Error naming it */
export const weight = (params: Readonly<Record<string, Tensor>>, name: string): Tensor => {
  const tensor = params[name];
  if (tensor === undefined) throw new Error(`the network has no weight "${name}"`);
  return tensor;
};
