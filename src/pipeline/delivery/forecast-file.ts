import { open } from 'node:fs/promises';
import { writeAtomically } from '../atomic.js';
import { StateError } from '../errors.js';
import type { Forecast } from '../forecast.js';
import type { FrameShape } from '../frame.js';
import { sizeOf } from '../frame.js';

/** What scoring one lead needs, each [H, W, C] in physical values. */
export interface LeadSlice {
  readonly last: Float32Array;
  readonly previous: Float32Array;
  readonly predicted: Float32Array;
}

/** Bytes of a forecast's file: the last frame, the one a stride before it, then the leads 1..horizon, float32. */
export const forecastFileSize = (shape: FrameShape, horizon: number): number =>
  4 * sizeOf(shape) * (horizon + 2);

const bytesOf = (values: Float32Array): Uint8Array =>
  new Uint8Array(values.buffer, values.byteOffset, values.byteLength);

/** Durable and whole when it resolves. `last` and `previous` [H, W, C], physical values like the forecast's. */
export const writeForecastFile = (
  path: string,
  forecast: Forecast,
  last: Float32Array,
  previous: Float32Array,
): Promise<void> =>
  writeAtomically(path, [bytesOf(last), bytesOf(previous), bytesOf(forecast.frames)], { durable: true });

/**
 * Reads what scoring `lead` needs, and no more.
 * @throws StateError when the file is gone or has another size than it should
 */
export const readLeadSlice = async (
  path: string,
  shape: FrameShape,
  horizon: number,
  lead: number,
): Promise<LeadSlice> => {
  const values = sizeOf(shape);
  try {
    const handle = await open(path, 'r');
    try {
      const { size } = await handle.stat();
      if (size !== forecastFileSize(shape, horizon))
        throw new StateError(`${path} has ${size} bytes, not ${forecastFileSize(shape, horizon)}`);
      const read = async (first: number, frames: number): Promise<Float32Array> => {
        const result = new Float32Array(frames * values);
        const { bytesRead } = await handle.read(bytesOf(result), 0, result.byteLength, 4 * first * values);
        if (bytesRead !== result.byteLength) throw new StateError(`${path} ends early`);
        return result;
      };
      const seen = await read(0, 2);
      const predicted = await read(lead + 1, 1);
      return { last: seen.subarray(0, values), previous: seen.subarray(values), predicted };
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (error instanceof StateError) throw error;
    throw new StateError(`cannot read the outstanding forecast ${path}`, { cause: error });
  }
};
