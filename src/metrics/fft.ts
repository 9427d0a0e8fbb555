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
 * Discrete Fourier transform of any length, sum_j x_j exp(-2 pi i j k / n), by the smallest factor of the length (Cooley
 * and Tukey, Math. Comput. 19, 1965): O(n times the sum of its prime factors).
 */
const transform = ({ re, im }: Line): Line => {
  const n = re.length;
  if (n <= 1) return { re, im };
  const p = smallestFactor(n);
  const m = n / p;
  const result = { re: new Float64Array(n), im: new Float64Array(n) };
  const { cos, sin } = table(n);
  for (let r = 0; r < p; r++) {
    const part = { re: new Float64Array(m), im: new Float64Array(m) };
    for (let j = 0; j < m; j++) {
      part.re[j] = re[j * p + r]!;
      part.im[j] = im[j * p + r]!;
    }
    const { re: a, im: b } = transform(part);
    for (let k = 0; k < n; k++) {
      const [at, angle] = [k % m, (r * k) % n];
      result.re[k]! += a[at]! * cos[angle]! + b[at]! * sin[angle]!;
      result.im[k]! += b[at]! * cos[angle]! - a[at]! * sin[angle]!;
    }
  }
  return result;
};

/** Two-dimensional transform, the zero frequency first: `numpy.fft.fft2(values)`. */
export const fft2 = ({ height, width, values }: Plane): Spectrum => {
  const re = Float64Array.from(values);
  const im = new Float64Array(values.length);
  for (let row = 0; row < height; row++) {
    const [from, to] = [row * width, (row + 1) * width];
    const line = transform({ re: re.subarray(from, to), im: im.subarray(from, to) });
    re.set(line.re, from);
    im.set(line.im, from);
  }
  for (let column = 0; column < width; column++) {
    const line = { re: new Float64Array(height), im: new Float64Array(height) };
    for (let row = 0; row < height; row++) {
      line.re[row] = re[row * width + column]!;
      line.im[row] = im[row * width + column]!;
    }
    const done = transform(line);
    for (let row = 0; row < height; row++) {
      re[row * width + column] = done.re[row]!;
      im[row * width + column] = done.im[row]!;
    }
  }
  return { height, width, re, im };
};

/** |F(k)|^2, [H, W], the zero frequency first. */
export const powerSpectrum = (plane: Plane): Plane => {
  const { height, width, re, im } = fft2(plane);
  return { height, width, values: re.map((value, i) => value * value + im[i]! * im[i]!) };
};

/** Frequency of the k-th coefficient of n, in cycles a pixel: -1/2 .. 1/2. */
export const frequency = (k: number, n: number): number => (k <= (n - 1) / 2 ? k : k - n) / n;
