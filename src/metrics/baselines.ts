import { mse } from './rmse.js';

/** Persistence: every lead looks like the last observed frame. */
export const persistence = (last: Float32Array): Float32Array => last;

/**
 * How many times its last change a frame has changed by `lead` steps on, where each change is `damping` times the one
 * before: 0 for a damping of 0, which is persistence; `lead` for one of 1, which is linear extrapolation.
 */
export const trendReach = (damping: number, lead: number): number =>
  damping === 1 ? lead : (damping * (1 - damping ** lead)) / (1 - damping);

/**
 * The damped trend of normalised frames (Gardner and McKenzie, Management Science 31, 1985):
 * `last + trendReach(damping, lead) * (last - previous)`, clipped to 0..1.
 * @param previous the frame one stride before `last`
 */
export const dampedTrend = (
  last: Float32Array,
  previous: Float32Array,
  lead: number,
  damping: number,
): Float32Array => {
  const reach = trendReach(damping, lead);
  const result = new Float32Array(last.length);
  for (let i = 0; i < last.length; i++) {
    const value = last[i]! + reach * (last[i]! - previous[i]!);
    result[i] = value < 0 ? 0 : value > 1 ? 1 : value;
  }
  return result;
};

/** Linear extrapolation of normalised frames: `last + lead * (last - previous)`, clipped to 0..1. */
export const linearExtrapolation = (last: Float32Array, previous: Float32Array, lead: number): Float32Array =>
  dampedTrend(last, previous, lead, 1);

/** How a truth lies to the last change before it. */
export interface Motion {
  /** Root mean square of `last - previous`. */
  readonly lastChangeRmse: number;
  /** By how many of these changes the truth has moved along it, by least squares; 0 where nothing changed. */
  readonly moved: number;
}

export const motionOf = (truth: Float32Array, last: Float32Array, previous: Float32Array): Motion => {
  let along = 0;
  for (let i = 0; i < last.length; i++) along += (truth[i]! - last[i]!) * (last[i]! - previous[i]!);
  const square = mse(last, previous);
  return {
    lastChangeRmse: Math.sqrt(square),
    moved: square === 0 ? 0 : along / last.length / square,
  };
};
