import type { Plane } from './plane.js';

/** A complex plane [H, W]. */
export interface Spectrum {
  readonly height: number;
  readonly width: number;
  readonly re: Float64Array;
  readonly im: Float64Array;
}
type Line = Pick<Spectrum, 're' | 'im'>;

const smallestFactor = (n: number): number => {
  for (let p = 2; p * p <= n; p++) if (n % p === 0) return p;
  return n;
};

const tables = new Map<number, { readonly cos: Float64Array; readonly sin: Float64Array }>();
/** cos and sin of 2 pi k / n, kept: frames of a series have one size. */
const table = (n: number) => {
  const known = tables.get(n) ?? {
    cos: Float64Array.from({ length: n }, (_, k) => Math.cos((2 * Math.PI * k) / n)),
    sin: Float64Array.from({ length: n }, (_, k) => Math.sin((2 * Math.PI * k) / n)),
  };
  tables.set(n, known);
  return known;
};

/**
 * Discrete Fourier transform along the first axis of [n, inner], sum_j x_j exp(-2 pi i j k / n), by the factors of n
 * (Stockham's ordering, which sorts itself; Cochran et al., Proc. IEEE 55, 1967): O(n times the sum of its prime
 * factors) for each of the inner columns, which are worked on together.
 */
const transform = (line: Line, n: number, inner: number): Line => {
  let from = line;
  let to: Line = { re: new Float64Array(line.re.length), im: new Float64Array(line.im.length) };
  for (let [left, run] = [n, inner]; left > 1;) {
    const p = smallestFactor(left);
    const m = left / p;
    const { cos, sin } = table(left);
    to.re.fill(0);
    to.im.fill(0);
    for (let j = 0; j < m; j++)
      for (let k = 0; k < p; k++)
        for (let r = 0; r < p; r++) {
          const angle = ((r * m + j) * k) % left;
          turn(from, (r * m + j) * run, to, (j * p + k) * run, run, cos[angle]!, sin[angle]!);
        }
    [from, to] = [to, from];
    left = m;
    run *= p;
  }
  return from;
};

/** Adds `count` values turned by -angle. */
const turn = (x: Line, at: number, y: Line, into: number, count: number, cos: number, sin: number): void => {
  const [{ re: a, im: b }, { re: c, im: d }] = [x, y];
  for (let q = 0; q < count; q++) {
    c[into + q]! += a[at + q]! * cos + b[at + q]! * sin;
    d[into + q]! += b[at + q]! * cos - a[at + q]! * sin;
  }
};

const transposed = ({ re, im }: Line, rows: number, columns: number): Line => {
  const turned = { re: new Float64Array(re.length), im: new Float64Array(im.length) };
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) {
      turned.re[column * rows + row] = re[row * columns + column]!;
      turned.im[column * rows + row] = im[row * columns + column]!;
    }
  return turned;
};

/** Two-dimensional transform, the zero frequency first: `numpy.fft.fft2(values)`. */
export const fft2 = ({ height, width, values }: Plane): Spectrum => {
  const plane = { re: Float64Array.from(values), im: new Float64Array(values.length) };
  const downwards = transposed(transform(plane, height, width), height, width);
  const both = transposed(transform(downwards, width, height), width, height);
  return { height, width, ...both };
};

/** |F(k)|^2, [H, W], the zero frequency first. */
export const powerSpectrum = (plane: Plane): Plane => {
  const { height, width, re, im } = fft2(plane);
  return { height, width, values: re.map((value, i) => value * value + im[i]! * im[i]!) };
};

/** Frequency of the k-th coefficient of n, in cycles a pixel: -1/2 .. 1/2. */
export const frequency = (k: number, n: number): number => (k <= (n - 1) / 2 ? k : k - n) / n;
