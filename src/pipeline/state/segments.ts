/**
 * Which stretches of a series its recurrent state is made of. A state that ran over thousands of frames would be far
 * from anything the network was trained on, and could only be rebuilt from all of them. So a new stretch begins every
 * `length` steps, and takes over from the one before once it has seen `context` frames: a forecast stands on the last
 * context .. context + length - 1 frames, and on nothing else.
 */
export interface SegmentOptions {
  readonly context: number;
  readonly length: number;
}

/** Steps after which a new stretch begins: about as long as sequences in training. */
export const SEGMENT_LENGTH = 20;

/** First step of the stretch that a forecast at step n (from 0) stands on. */
export const segmentOf = (n: number, { context, length }: SegmentOptions): number =>
  Math.max(0, Math.floor((n - context + 1) / length)) * length;

/** First steps of all stretches that step n goes into: the current one, and those about to take over. */
export const segmentsAt = (n: number, options: SegmentOptions): readonly number[] => {
  const current = segmentOf(n, options);
  const later = Math.max(0, Math.floor((n - current) / options.length));
  return Array.from({ length: later + 1 }, (_, k) => current + k * options.length);
};
