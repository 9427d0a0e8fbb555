import * as tf from '@tensorflow/tfjs-core';
import type { Tensor5D } from '@tensorflow/tfjs-core';

/** Pixels in each direction of a block, where frames are no smaller. */
const BLOCK = 8;
/** Added to the square of the gradient: its root has no slope at 0. */
const FLAT = 1e-4;

/** Means over blocks of 8 x 8 pixels, [T, N, H, W, C] to [T, N, H / 8, W / 8, C]; rows and columns that fill no block are left out. */
export const overBlocks = (of: Tensor5D): Tensor5D => {
  const [t, n, height, width, c] = of.shape;
  const block = Math.min(BLOCK, height, width);
  const [rows, columns] = [Math.floor(height / block), Math.floor(width / block)];
  const whole = tf.slice(of, [0, 0, 0, 0, 0], [t, n, rows * block, columns * block, c]);
  const blocks = tf.reshape(whole, [t * n * rows, block, columns, block, c]);
  return tf.reshape(tf.mean(blocks, [1, 3]), [t, n, rows, columns, c]);
};

/**
 * What can be foretold of a frame when its details cannot, three fields of means over blocks of 8 x 8 pixels: of the values
 * x, of x (1 - x) and of how steep they are. The first says how much of a phase there is, the second how much lies between
 * phases, the third how much interface there is. Each [T, N, H, W, C] to [T, N, H / 8, W / 8, C].
 */
export const coarse = (fields: Tensor5D): readonly Tensor5D[] => {
  const [t, n, height, width, c] = fields.shape;
  const upTo = ([y, x]: readonly [number, number], [down, right]: readonly [number, number]): Tensor5D =>
    tf.slice(fields, [0, 0, y, x, 0], [t, n, down, right, c]);
  const below = tf.concat<Tensor5D>(
    [upTo([1, 0], [height - 1, width]), upTo([height - 1, 0], [1, width])],
    2,
  );
  const beside = tf.concat<Tensor5D>(
    [upTo([0, 1], [height, width - 1]), upTo([0, width - 1], [height, 1])],
    3,
  );
  const squares = tf.add(tf.squaredDifference(below, fields), tf.squaredDifference(beside, fields));
  const steepness = tf.sqrt<Tensor5D>(tf.add(squares, FLAT));
  return [fields, tf.mul<Tensor5D>(fields, tf.sub(1, fields)), steepness].map(overBlocks);
};
