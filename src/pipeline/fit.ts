import type { FrameShape } from './frame.js';

/** The next multiples of `stride`: the frame size that a network with that stride takes. */
export const fittedShape = ([h, w, c]: FrameShape, stride: number): FrameShape => [
  Math.ceil(h / stride) * stride,
  Math.ceil(w / stride) * stride,
  c,
];

/** Copies between [H, W, C] arrays of different sizes; rows and columns beyond the source repeat its last ones. */
const copied = (data: Float32Array, from: FrameShape, to: FrameShape): Float32Array => {
  const result = new Float32Array(to[0] * to[1] * to[2]);
  const channels = to[2];
  for (let row = 0; row < to[0]; row++) {
    const source = Math.min(row, from[0] - 1) * from[1];
    for (let column = 0; column < to[1]; column++) {
      const at = (source + Math.min(column, from[1] - 1)) * channels;
      const target = (row * to[1] + column) * channels;
      for (let c = 0; c < channels; c++) result[target + c] = data[at + c] as number;
    }
  }
  return result;
};

/** A frame enlarged at the bottom and right by copies of its edge, until the stride divides it. */
export const fit = (data: Float32Array, shape: FrameShape, stride: number): Float32Array => {
  const target = fittedShape(shape, stride);
  return target[0] === shape[0] && target[1] === shape[1] ? data : copied(data, shape, target);
};

/** The inverse of `fit`: cuts what was added. */
export const crop = (data: Float32Array, shape: FrameShape, stride: number): Float32Array => {
  const fitted = fittedShape(shape, stride);
  return fitted[0] === shape[0] && fitted[1] === shape[1] ? data : copied(data, fitted, shape);
};
