import { FrameError, UsageError } from '../errors.js';
import type { Normalisation, ValueRange } from '../forecast.js';
import { FULL_SCALE, type Field } from '../frame.js';

/** Low and high of the values, or of each channel's, one pair after the other. */
export type GivenRange = readonly [low: number, high: number, ...others: number[]];

/** What is known of the values' ranges before there are any frames. */
export interface KnownRanges {
  /** What the user says: taken as it is. */
  readonly range?: GivenRange | undefined;
  /**
   * What the forecaster, or those that are to be tried, were trained with: the first that the frames fit is taken. Of integer
   * images it may also be a share of the full scale: a composition of 0 to 1 is 0 to 65535 in images of 16 bits.
   */
  readonly usual?: readonly GivenRange[] | undefined;
  /** Channels, where each has a range of its own; without it they share one. */
  readonly ownRanges?: number | undefined;
}

/** Values fit a range when they leave it by no more than this share of it, and fill at least that share. */
const [MOST_BEYOND, LEAST_FILLED] = [0.05, 0.3];

/** Of every `step`-th value, from the first-th on. */
const measured = (frames: readonly Float32Array[], first: number, step: number): ValueRange => {
  let [low, high] = [Infinity, -Infinity];
  for (const frame of frames) {
    for (let k = first; k < frame.length; k += step) {
      const value = frame[k]!;
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  return { low, high };
};

const fits = ({ low, high }: ValueRange, usual: ValueRange): boolean => {
  const width = usual.high - usual.low;
  const beyond = Math.max(usual.low - low, high - usual.high);
  return beyond <= MOST_BEYOND * width && high - low >= LEAST_FILLED * width;
};

/**
 * The first of the usual ranges that fits; else the measured one. A flat field keeps a unit range, so that what appears in it
 * is seen. Where no value is known there is nothing to measure.
 */
const fitting = (found: ValueRange, usual: readonly ValueRange[]): ValueRange => {
  if (found.low > found.high) return usual[0] ?? { low: 0, high: 1 };
  const fitted = usual.find((range) => fits(found, range));
  return fitted ?? (found.high > found.low ? found : { low: found.low, high: found.low + 1 });
};

/** The k-th channel's pair, or the one that all share. */
const pairOf = (range: GivenRange, k: number): ValueRange => {
  const at = range.length > 2 ? 2 * k : 0;
  return { low: range[at] as number, high: range[at + 1] as number };
};

const ofChannels = (channels: readonly ValueRange[]): Normalisation => ({
  low: Math.min(...channels.map(({ low }) => low)),
  high: Math.max(...channels.map(({ high }) => high)),
  channels,
});

/** @throws UsageError for a range of another number of channels, or of each where they share one */
export const requireRange = (
  range: GivenRange | undefined,
  channels: number,
  ownRanges: number | undefined,
): void => {
  if (range === undefined || range.length === 2) return;
  if (ownRanges === undefined)
    throw new UsageError(`range has ${range.length} numbers, but the forecaster's channels share one range`, {
      hint: 'give a low and a high value',
    });
  if (range.length !== 2 * channels)
    throw new UsageError(`range has ${range.length} numbers, there are ${channels} channels`, {
      hint: 'give a low and a high value for each, or one pair for all',
    });
};

/** The normalisation that a range says. */
export const declared = (range: GivenRange): Normalisation =>
  range.length === 2
    ? pairOf(range, 0)
    : ofChannels(Array.from({ length: range.length / 2 }, (_, k) => pairOf(range, k)));

/** What becomes 0..1: the user's range; else the first of the usual ones that these frames fit; else the range of these frames. */
export const fixNormalisation = (
  frames: readonly Pick<Field, 'data' | 'sampleType'>[],
  { range, usual = [], ownRanges = 1 }: KnownRanges = {},
): Normalisation => {
  if (range !== undefined) return declared(range);
  const data = frames.map((frame) => frame.data);
  const full = frames[0] && FULL_SCALE[frames[0].sampleType];
  const channels = Array.from({ length: ownRanges }, (_, k) => {
    const known = usual.map((one) => pairOf(one, k));
    const ofFull =
      full === undefined ? [] : known.map(({ low, high }) => ({ low: low * full, high: high * full }));
    return fitting(measured(data, k, ownRanges), [...known, ...ofFull]);
  });
  return ownRanges === 1 ? (channels[0] as ValueRange) : ofChannels(channels);
};

/** Each value with what its channel's range makes of it. */
const mapped = (
  data: Float32Array,
  normalisation: Normalisation,
  make: (value: number, low: number, width: number) => number,
): Float32Array => {
  const ranges = normalisation.channels ?? [normalisation];
  const result = new Float32Array(data.length);
  ranges.forEach(({ low, high }, channel) => {
    const width = high > low ? high - low : 1;
    for (let k = channel; k < data.length; k += ranges.length) result[k] = make(data[k]!, low, width);
  });
  return result;
};

/** Physical values [..., C] to 0..1. */
export const normalise = (data: Float32Array, normalisation: Normalisation): Float32Array =>
  mapped(data, normalisation, (value, low, width) => (value - low) * (1 / width));

/** Back to physical values. */
export const denormalise = (data: Float32Array, normalisation: Normalisation): Float32Array =>
  mapped(data, normalisation, (value, low, width) => low + value * width);

/** Differences of normalised values [..., C] as differences of physical ones. */
export const denormaliseDifferences = (data: Float32Array, normalisation: Normalisation): Float32Array =>
  mapped(data, normalisation, (value, _low, width) => value * width);

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
