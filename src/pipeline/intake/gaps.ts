import { FrameError } from '../errors.js';
import type { Field, FrameShape } from '../frame.js';

/*
 * A frame's mask is in its values: NaN where nothing is known. So it goes wherever the frame goes, onto the disk and back,
 * and no file needs a second one.
 */

/** Some value is not known. */
export const hasGaps = (data: Float32Array): boolean => {
  for (let i = 0; i < data.length; i++) if (Number.isNaN(data[i])) return true; // twelve times as fast as `some`
  return false;
};

/** All values are finite: any other makes a sum of products with zero NaN. Four sums, which need not wait for each other. */
export const allFinite = (data: Float32Array): boolean => {
  let [a, b, c, d] = [0, 0, 0, 0];
  const whole = data.length - (data.length % 4);
  for (let i = 0; i < whole; i += 4) {
    a += data[i]! * 0;
    b += data[i + 1]! * 0;
    c += data[i + 2]! * 0;
    d += data[i + 3]! * 0;
  }
  for (let i = whole; i < data.length; i++) a += data[i]! * 0;
  return a + b + c + d === 0;
};

/**
 * Values may be NaN, which is a gap, but not infinite, and some have to be known.
 * @throws FrameError that says how many are wrong and where the first one is
 */
export const requireKnown = ({ data, shape }: Field): void => {
  if (data.length > 0 && allFinite(data)) return;
  let [infinite, first, known] = [0, -1, 0];
  for (let i = 0; i < data.length; i++) {
    const value = data[i]!;
    if (Number.isFinite(value)) known++;
    else if (!Number.isNaN(value) && infinite++ === 0) first = i;
  }
  if (infinite > 0) {
    const [, width, channels] = shape;
    const [row, column] = [Math.floor(first / (width * channels)), Math.floor(first / channels) % width];
    throw new FrameError(
      `${infinite} of its ${data.length} values ${infinite === 1 ? 'is' : 'are'} infinite, the first in row ${row}, column ${column}`,
      { hint: 'write NaN where there is no value' },
    );
  }
  if (known === 0) throw new FrameError('none of its values is known: all are NaN, masked or missing');
};

/** `values` [n, H, W, C] with the gaps of a frame [H, W, C] in each of the n. */
export const withGapsOf = (values: Float32Array, frame: Float32Array): Float32Array => {
  if (!hasGaps(frame)) return values;
  return values.map((value, i) => (Number.isNaN(frame[i % frame.length]) ? NaN : value));
};

/** `values` with those of `others` in its gaps; same length. */
export const patched = (values: Float32Array, others: Float32Array): Float32Array =>
  hasGaps(values) ? values.map((value, i) => (Number.isNaN(value) ? others[i]! : value)) : values;

/** One level of a pyramid over one channel: sums of known values, and how much they count. */
interface Level {
  readonly height: number;
  readonly width: number;
  readonly value: Float32Array;
  readonly known: Uint8Array;
}

/** Half the size: each value the mean of the known ones of four. */
const coarser = ({ height, width, value, known }: Level): Level => {
  const [h, w] = [Math.ceil(height / 2), Math.ceil(width / 2)];
  const [sum, count] = [new Float32Array(h * w), new Uint8Array(h * w)];
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const [from, to] = [y * width + x, (y >> 1) * w + (x >> 1)];
      if (known[from] === 0) continue;
      sum[to]! += value[from]!;
      count[to]!++;
    }
  return {
    height: h,
    width: w,
    value: sum.map((total, i) => total / Math.max(1, count[i]!)),
    known: count.map((n) => Math.min(1, n)),
  };
};

/** Fills the gaps of a level from the one above it, interpolated bilinearly. */
const push = ({ height, width, value, known }: Level, above: Level): void => {
  const at = (y: number, x: number): number =>
    above.value[
      Math.min(above.height - 1, Math.max(0, y)) * above.width + Math.min(above.width - 1, Math.max(0, x))
    ]!;
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      if (known[y * width + x] !== 0) continue;
      const [cy, cx] = [(y - 0.5) / 2, (x - 0.5) / 2];
      const [y0, x0] = [Math.floor(cy), Math.floor(cx)];
      const [v, u] = [cy - y0, cx - x0];
      value[y * width + x] =
        (1 - v) * ((1 - u) * at(y0, x0) + u * at(y0, x0 + 1)) +
        v * ((1 - u) * at(y0 + 1, x0) + u * at(y0 + 1, x0 + 1));
    }
};

/**
 * A frame as the network sees it: gaps are filled smoothly from their surroundings (pull-push over a pyramid), a function
 * of this frame alone, so that a state that is rebuilt from its frames is the same. Known values stay as they are.
 */
export const filled = (data: Float32Array, [height, width, channels]: FrameShape): Float32Array => {
  if (!hasGaps(data)) return data;
  const result = data.slice();
  for (let channel = 0; channel < channels; channel++) {
    const size = height * width;
    const value = Float32Array.from({ length: size }, (_, i) => data[i * channels + channel]!);
    const known = Uint8Array.from(value, (v) => (Number.isNaN(v) ? 0 : 1));
    const levels: Level[] = [{ height, width, value: value.map((v) => (Number.isNaN(v) ? 0 : v)), known }];
    for (let top = levels[0]!; top.known.includes(0) && top.height * top.width > 1; top = levels.at(-1)!)
      levels.push(coarser(top));
    for (let k = levels.length - 2; k >= 0; k--) push(levels[k]!, levels[k + 1]!);
    for (let i = 0; i < size; i++) result[i * channels + channel] = levels[0]!.value[i]!;
  }
  return result;
};
