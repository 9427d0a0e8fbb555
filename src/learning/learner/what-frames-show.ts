import type { FrameShape } from '../../pipeline/frame.js';

/** Root mean square of the difference of two rows or columns, over all frames. */
const step = (
  frames: readonly Float32Array[],
  [h, w, c]: FrameShape,
  axis: 0 | 1,
  from: number,
  to: number,
): number => {
  let [sum, count] = [0, 0];
  for (const frame of frames)
    for (let k = 0; k < (axis === 0 ? w : h); k++)
      for (let channel = 0; channel < c; channel++) {
        const at = (line: number): number => (axis === 0 ? line * w + k : k * w + line) * c + channel;
        sum += (frame[at(to)]! - frame[at(from)]!) ** 2;
        count++;
      }
  return Math.sqrt(sum / count);
};

/** The jump around the edge is no more than so many times what neighbouring rows and columns differ by. */
const MOST_JUMP = 1.5;
/** Edges where less happens than this share of what happens inside say nothing. */
const LEAST_ACTIVITY = 0.1;

/**
 * Whether frames are periodic along both axes: rows and columns that lie on opposite edges then differ no more than
 * neighbours do. Frames in which nothing reaches the edges are taken not to be.
 */
export const isPeriodic = (frames: readonly Float32Array[], shape: FrameShape): boolean =>
  ([0, 1] as const).every((axis) => {
    const size = shape[axis];
    if (size < 4) return false;
    const neighbours = Array.from({ length: size - 1 }, (_, k) => step(frames, shape, axis, k, k + 1));
    const inside = Math.sqrt(neighbours.reduce((sum, value) => sum + value ** 2, 0) / (size - 1));
    const edges = Math.max(neighbours[0]!, neighbours[size - 2]!);
    const jump = step(frames, shape, axis, size - 1, 0);
    return edges > LEAST_ACTIVITY * inside && jump < MOST_JUMP * Math.max(inside, edges);
  });

/** The mean of frames moves by no more than this share of how far their values move. */
const MOST_DRIFT = 2e-3;

/** Whether the mean of each channel stays what it is while values change: of a composition, say, which nothing is added to. */
export const isConserved = (frames: readonly Float32Array[], [h, w, c]: FrameShape): boolean => {
  const [first, ...later] = frames;
  if (first === undefined) return false;
  return Array.from({ length: c }, (_, channel) => channel).every((channel) => {
    let [moved, drifted] = [0, 0];
    for (const frame of later) {
      let sum = 0;
      for (let k = channel; k < frame.length; k += c) {
        const change = frame[k]! - first[k]!;
        moved += change ** 2;
        sum += change;
      }
      drifted += sum ** 2 / (h * w);
    }
    return moved > 0 && Math.sqrt(drifted / (h * w)) < MOST_DRIFT * Math.sqrt(moved);
  });
};

/** Root mean square over all values of frames of one size. */
const rms = (frames: readonly Float32Array[], value: (frame: number, pixel: number) => number): number => {
  let sum = 0;
  frames.forEach((frame, k) => {
    for (let i = 0; i < frame.length; i++) sum += value(k, i) ** 2;
  });
  return Math.sqrt(sum / frames.reduce((count, { length }) => count + length, 0));
};

/**
 * The factor that makes the change from frame to frame half as large as the frames' own variation, so that slow motion is
 * seen at all: a power of two from 1 to 64.
 */
export const velocityScale = (frames: readonly Float32Array[]): number => {
  const later = frames.slice(1);
  if (later.length === 0) return 1;
  const motion = rms(later, (k, i) => later[k]![i]! - frames[k]![i]!);
  const means = frames.map((frame) => frame.reduce((a, b) => a + b, 0) / frame.length);
  const variation = rms(frames, (k, i) => frames[k]![i]! - means[k]!);
  if (motion === 0 || variation === 0) return 1;
  return 2 ** Math.min(6, Math.max(0, Math.round(Math.log2((0.5 * variation) / motion))));
};
