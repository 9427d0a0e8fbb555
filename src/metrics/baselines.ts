/** Persistence: every lead looks like the last observed frame. */
export const persistence = (last: Float32Array): Float32Array => last;

/**
 * Linear extrapolation of normalised frames: `last + lead * (last - previous)`, clipped to 0..1.
 * @param previous the frame one stride before `last`
 */
export const linearExtrapolation = (
  last: Float32Array,
  previous: Float32Array,
  lead: number,
): Float32Array => {
  const result = new Float32Array(last.length);
  for (let i = 0; i < last.length; i++) {
    const value = last[i]! + lead * (last[i]! - previous[i]!);
    result[i] = value < 0 ? 0 : value > 1 ? 1 : value;
  }
  return result;
};
