import type { FrameShape } from '../pipeline/frame.js';

/**
 * Where a normalised frame changes by more than this a pixel, an interface runs: a front from 0 to 1 that is five
 * pixels wide has twice as much.
 */
export const INTERFACE_GRADIENT = 0.1;

/** The neighbour's place: around the edge of a periodic frame, else the edge itself. */
const beside = (at: number, step: number, size: number, periodic: boolean): number => {
  const next = at + step;
  if (next >= 0 && next < size) return next;
  return periodic ? (next + size) % size : at;
};

/**
 * Magnitude of the gradient of each channel, [H, W, C], per pixel: central differences, around the edges of periodic
 * frames, one-sided at those of others, as numpy.gradient has them.
 */
export const gradientMagnitude = (
  frame: Float32Array,
  shape: FrameShape,
  periodic: boolean,
): Float32Array => {
  const [height, width, channels] = shape;
  const result = new Float32Array(frame.length);
  for (let row = 0; row < height; row++) {
    const [up, down] = [beside(row, -1, height, periodic), beside(row, 1, height, periodic)];
    const rows = periodic ? 2 : Math.max(1, down - up);
    for (let column = 0; column < width; column++) {
      const [left, right] = [beside(column, -1, width, periodic), beside(column, 1, width, periodic)];
      const columns = periodic ? 2 : Math.max(1, right - left);
      for (let c = 0; c < channels; c++) {
        const value = (r: number, k: number): number => frame[(r * width + k) * channels + c]!;
        result[(row * width + column) * channels + c] = Math.hypot(
          (value(down, column) - value(up, column)) / rows,
          (value(row, right) - value(row, left)) / columns,
        );
      }
    }
  }
  return result;
};

/** Root mean square over the 3 x 3 pixels around each, [H, W, C]; beyond the edge lie copies of it, or the other side. */
export const localRms = (values: Float32Array, shape: FrameShape, periodic: boolean): Float32Array => {
  const [height, width, channels] = shape;
  const sums = new Float32Array(values.length);
  const result = new Float32Array(values.length);
  for (let row = 0; row < height; row++)
    for (let column = 0; column < width; column++)
      for (let c = 0; c < channels; c++) {
        let sum = 0;
        for (let step = -1; step <= 1; step++)
          sum += values[(row * width + beside(column, step, width, periodic)) * channels + c]! ** 2;
        sums[(row * width + column) * channels + c] = sum;
      }
  for (let row = 0; row < height; row++)
    for (let column = 0; column < width; column++)
      for (let c = 0; c < channels; c++) {
        let sum = 0;
        for (let step = -1; step <= 1; step++)
          sum += sums[(beside(row, step, height, periodic) * width + column) * channels + c]!;
        result[(row * width + column) * channels + c] = Math.sqrt(sum / 9);
      }
  return result;
};
