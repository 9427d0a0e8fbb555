import { FrameError } from '../errors.js';
import type { Normalisation } from '../forecast.js';
import type { Field } from '../frame.js';

/** Ranges of values that are known before there are any frames. */
export interface KnownRanges {
  /** What the user says: taken as it is. */
  readonly range?: readonly [low: number, high: number] | undefined;
  /** What the forecaster was trained with: taken where the frames fit it. */
  readonly usual?: readonly [low: number, high: number] | undefined;
}

/** Values fit a range when they leave it by no more than this share of it, and fill at least that share. */
const [MOST_BEYOND, LEAST_FILLED] = [0.05, 0.3];

const measured = (frames: readonly Float32Array[]): Normalisation => {
  let [low, high] = [Infinity, -Infinity];
  for (const frame of frames) {
    for (const value of frame) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  return { low, high };
};

/**
 * What becomes 0..1: the user's range; else the forecaster's, if these frames fit it; else the range of these frames.
 * A flat field keeps a unit range, so that what appears in it is seen.
 */
export const fixNormalisation = (
  frames: readonly Float32Array[],
  { range, usual }: KnownRanges = {},
): Normalisation => {
  if (range !== undefined) return { low: range[0], high: range[1] };
  const { low, high } = measured(frames);
  if (usual !== undefined) {
    const width = usual[1] - usual[0];
    const beyond = Math.max(usual[0] - low, high - usual[1]);
    if (beyond <= MOST_BEYOND * width && high - low >= LEAST_FILLED * width)
      return { low: usual[0], high: usual[1] };
  }
  return high > low ? { low, high } : { low, high: low + 1 };
};

/** Physical values to 0..1. */
export const normalise = (data: Float32Array, { low, high }: Normalisation): Float32Array => {
  const scale = 1 / (high - low);
  return data.map((value) => (value - low) * scale);
};

/** Back to physical values. */
export const denormalise = (data: Float32Array, { low, high }: Normalisation): Float32Array =>
  data.map((value) => low + value * (high - low));

/** Luma weights of ITU-R BT.601. */
const LUMA = [0.299, 0.587, 0.114] as const;

/**
 * A field with the channels that a network takes: colour becomes grey for a network of one channel, grey becomes
 * colour for one of three (codecs give colour images that happen to be all grey one channel).
 * @throws FrameError when the channels cannot be had
 */
export const toChannels = (field: Field, channels: number): Field => {
  const [h, w, c] = field.shape;
  if (c === channels) return field;
  if (c === 1 && channels === 3) {
    const data = Float32Array.from({ length: h * w * 3 }, (_, k) => field.data[Math.floor(k / 3)] ?? 0);
    return { ...field, shape: [h, w, 3], data };
  }
  if (c !== 3 || channels !== 1) {
    throw new FrameError(`the frame has ${c} channels, the forecaster takes ${channels}`, {
      hint: `train a forecaster on frames with ${c} channels`,
    });
  }
  const data = new Float32Array(h * w);
  for (let k = 0; k < data.length; k++) {
    data[k] =
      LUMA[0] * (field.data[3 * k] ?? 0) +
      LUMA[1] * (field.data[3 * k + 1] ?? 0) +
      LUMA[2] * (field.data[3 * k + 2] ?? 0);
  }
  return { ...field, shape: [h, w, 1], data };
};
