import type { FrameShape } from '../pipeline/frame.js';

/** One channel of a frame, [H, W]. */
export interface Plane {
  readonly height: number;
  readonly width: number;
  readonly values: Float64Array;
}

/**
 * A channel of a frame [H, W, C], the first unless said otherwise.
 * @throws RangeError when the length does not fit the shape
 */
export const planeOf = (frame: Float32Array, [height, width, channels]: FrameShape, channel = 0): Plane => {
  if (frame.length !== height * width * channels)
    throw new RangeError(`${frame.length} values of a ${height}x${width}x${channels} frame`);
  const values = new Float64Array(height * width);
  for (let i = 0; i < values.length; i++) values[i] = frame[i * channels + channel]!;
  return { height, width, values };
};
