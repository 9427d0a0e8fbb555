import { rmse } from './rmse.js';

/** Persistence: every lead looks like the last observed frame. */
export const persistence = (last: Float32Array): Float32Array => last;

/**
 * How many times its last change a frame has changed by `lead` steps on, where each change is `damping` times the one
 * before: 0 for a damping of 0, which is persistence; `lead` for one of 1, which is linear extrapolation.
 */
export const trendReach = (damping: number, lead: number): number =>
  damping === 1 ? lead : (damping * (1 - damping ** lead)) / (1 - damping);

/** A value in `low`..`high`, or as far out as it is `now`. */
export const clipped = (value: number, now: number, low: number, high: number): number =>
  Math.min(Math.max(value, Math.min(low, now)), Math.max(high, now));

/** `last + reach * (last - previous)`, clipped to 0..1, or to as far out as `last` is. */
const carriedOn = (last: Float32Array, previous: Float32Array, reach: number): Float32Array => {
  const result = new Float32Array(last.length);
  for (let i = 0; i < last.length; i++) {
    const now = last[i]!;
    result[i] = clipped(now + reach * (now - previous[i]!), now, 0, 1);
  }
  return result;
};

/**
 * The damped trend of normalised frames (Gardner and McKenzie, Management Science 31, 1985):
 * `last + trendReach(damping, lead) * (last - previous)`, clipped to 0..1, or to as far out as `last` is.
 * @param previous the frame one stride before `last`
 */
export const dampedTrend = (
  last: Float32Array,
  previous: Float32Array,
  lead: number,
  damping: number,
): Float32Array => carriedOn(last, previous, trendReach(damping, lead));

/** Linear extrapolation of normalised frames: `last + lead * (last - previous)`, clipped to 0..1, or to as far out as `last` is. */
export const linearExtrapolation = (last: Float32Array, previous: Float32Array, lead: number): Float32Array =>
  carriedOn(last, previous, lead);

/** Shares of the change that linear extrapolation expects: closer together where trends that fade soon lie. */
export const BETWEEN = [1 / 16, 1 / 4, 9 / 16] as const;
/** Errors of what lies between persistence and linear extrapolation, as a damped trend does. */
export interface BetweenRmse {
  /** Of 1/16, 1/4 and 9/16 of the change that linear extrapolation expects, clipped like it. */
  readonly betweenRmse: readonly [number, number, number];
}

export const betweenRmse = (
  truth: Float32Array,
  last: Float32Array,
  previous: Float32Array,
  lead: number,
): BetweenRmse => {
  const error = (share: number): number => rmse(carriedOn(last, previous, share * lead), truth);
  const [first, second, third] = BETWEEN;
  return { betweenRmse: [error(first), error(second), error(third)] };
};
