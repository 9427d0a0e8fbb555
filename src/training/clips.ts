import type { HostTensor } from '../engine/types.js';
import { streamSeed, uniformNumbers } from '../pipeline/random.js';
import type { Series } from './series.js';
import type { ClipShape } from './train-step.js';

/** One of the eight symmetries of the square (four of the rectangle): transpose, then flip rows, then flip columns. */
interface Symmetry {
  readonly transpose: boolean;
  readonly flipRows: boolean;
  readonly flipColumns: boolean;
}

/** Copies frame [H, W, C] to `target` at `offset` under a symmetry; H = W where it transposes. */
const place = (
  frame: Float32Array,
  target: Float32Array,
  offset: number,
  [h, w, c]: readonly [number, number, number],
  s: Symmetry,
): void => {
  for (let row = 0; row < h; row++) {
    for (let column = 0; column < w; column++) {
      const r = s.flipRows ? h - 1 - row : row;
      const k = s.flipColumns ? w - 1 - column : column;
      const from = (s.transpose ? k * w + r : r * w + k) * c;
      const to = offset + (row * w + column) * c;
      for (let channel = 0; channel < c; channel++) target[to + channel] = frame[from + channel] as number;
    }
  }
};

/**
 * The clip of an iteration, [T, N, H, W, C]: random windows of random series, each under a random symmetry. A function
 * of seed and iteration alone, so that a resumed training sees what an uninterrupted one would have seen.
 */
export const sampleClip = (
  series: readonly Series[],
  shape: ClipShape,
  seed: number,
  iteration: number,
): HostTensor => {
  const random = uniformNumbers(streamSeed(seed, iteration));
  const pick = (n: number): number => Math.floor(random() * n);
  const [h, w, c] = shape.frame;
  const length = shape.context + shape.leads;
  const long = series.filter(({ frames }) => frames.length >= length);
  const size = h * w * c;
  const data = new Float32Array(length * shape.batch * size);
  for (let n = 0; n < shape.batch; n++) {
    const { frames } = long[pick(long.length)] as Series;
    const start = pick(frames.length - length + 1);
    const symmetry = {
      transpose: h === w && random() < 0.5,
      flipRows: random() < 0.5,
      flipColumns: random() < 0.5,
    };
    for (let t = 0; t < length; t++) {
      place(frames[start + t] as Float32Array, data, (t * shape.batch + n) * size, shape.frame, symmetry);
    }
  }
  return { shape: [length, shape.batch, h, w, c], dtype: 'float32', data };
};
