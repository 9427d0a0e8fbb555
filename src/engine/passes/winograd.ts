import { constantOf, type Builder, type Value } from '../graph.js';
import { reshape, transpose } from '../kernels/layout.js';
import { shape4, type Geometry, type Shape4 } from './geometry.js';

/** A convolution without strides and dilations: filters `kernel` x `kernel`, zeros around the image. */
export interface Sliding {
  readonly kernel: number;
  readonly pads: Geometry['pads'];
}
type Matrix = readonly (readonly number[])[];
const range = (size: number): number[] => [...Array(size).keys()];
const table = (rows: number, columns: number, at: (row: number, column: number) => number): Matrix =>
  range(rows).map((row) => range(columns).map((column) => at(row, column)));
const entry = (matrix: Matrix, row: number, column: number): number => matrix[row]?.[column] ?? 0;

/** Outputs of a tile along each axis. */
export const TILE = 2;

/** Where polynomials are evaluated, besides infinity, by size of the filter: those that lose the fewest digits. */
const POINTS: Record<number, readonly number[]> = { 3: [0, 1, -1], 5: [0, 1, -1, 1 / 2, -2] };

/** Coefficients, lowest first, of the polynomial with these roots. */
const withRoots = (roots: readonly number[]): number[] =>
  roots.reduce((p, root) => [...p, 0].map((c, k) => (p[k - 1] ?? 0) - root * c), [1]);

/**
 * Matrices with outputs = output . ((filter . w) * (image . d)): two neighbouring outputs of a filter w along one axis
 * with as many products as the image d has pixels. Toom and Cook's interpolation, which Winograd made an algorithm of.
 */
const interpolation = (kernel: number): { image: Matrix; filter: Matrix; output: Matrix } => {
  const points = POINTS[kernel] ?? [];
  const n = points.length + 1;
  const others = points.map((p) => points.filter((q) => q !== p));
  const rows = [...others.map(withRoots), withRoots(points)];
  const scale = points.map((p, i) => (others[i] ?? []).reduce((product, q) => product * (p - q), 1));
  const power = (i: number, exponent: number, last: number): number =>
    i < points.length ? (points[i] as number) ** exponent : Number(exponent === last);
  return {
    image: table(n, n, (i, k) => entry(rows, i, k)),
    filter: table(n, kernel, (i, k) => power(i, k, kernel - 1) / (scale[i] ?? 1)),
    output: table(TILE, n, (k, i) => power(i, k, TILE - 1)),
  };
};

const constants = new Map<string, Value>();

/** A constant of this shape, made once under its name: equal constants are one, and so is what is done with them. */
const constant = (name: string, shape: readonly number[], at: (...index: number[]) => number): Value => {
  const key = `${name} ${shape.join()}`;
  const known = constants.get(key);
  if (known !== undefined) return known;
  const indices = shape.reduce<number[][]>(
    (list, size) => list.flatMap((index) => range(size).map((i) => [...index, i])),
    [[]],
  );
  const data = Float32Array.from(indices, (index) => at(...index));
  const made = constantOf(data, shape, 'float32');
  constants.set(key, made);
  return made;
};

/** Matrix products, of a batch or of one for all. */
export const multiply = (a: Value, b: Value, out: Builder): Value => {
  const batch = a.shape.length > b.shape.length ? a.shape.slice(0, -2) : b.shape.slice(0, -2);
  return out.add('MatMul', [a, b], [...batch, a.shape.at(-2) ?? 1, b.shape.at(-1) ?? 1]);
};

/** Products of a batch of matrices, the second ones transposed. */
export const multiplyTransposed = (a: Value, b: Value, out: Builder): Value => {
  const shape = [...a.shape.slice(0, -1), b.shape.at(-2) ?? 1];
  return out.add('FusedMatMul', [a, b], shape, { domain: 'com.microsoft', attributes: { transB: 1 } });
};

/**
 * An image [N, C, H, W] as its tiles are evaluated: [n n, C, pixels of a tile's grid], n = kernel + 1. What overlaps and
 * what lies outside of the image is in the constants, so that there is nothing to cut out or to pad.
 */
export const evaluateImage = (x: Value, { kernel, pads }: Sliding, out: Builder): Value => {
  const [n, c, h, w] = shape4(x);
  const { image } = interpolation(kernel);
  const size = image.length;
  const [top, left, bottom, right] = pads;
  const [down, across] = [(h + top + bottom - kernel + 1) / TILE, (w + left + right - kernel + 1) / TILE];
  const rows = constant(`rows ${top}`, [size, down, h], (i, tile, row) =>
    entry(image, i, row + top - TILE * tile),
  );
  const columns = constant(`columns ${left}`, [size, w, across], (i, column, tile) =>
    entry(image, i, column + left - TILE * tile),
  );
  const byRow = reshape(out, transpose(out, x, [2, 1, 0, 3]), [h, c * n * w]);
  const high = multiply(reshape(out, rows, [size * down, h]), byRow, out);
  const byTile = transpose(out, reshape(out, high, [size, down, c, n * w]), [0, 2, 1, 3]);
  const wide = multiply(reshape(out, byTile, [size * c * down * n, w]), columns, out);
  return reshape(out, wide, [size * size, c, down * n * across]);
};

/** Gradients [N, C, H, W] of a convolution's results, with respect to the products: as `evaluateImage` has them. */
export const evaluateGradient = (dy: Value, kernel: number, out: Builder): Value => {
  const [n, c, h, w] = shape4(dy);
  const { output } = interpolation(kernel);
  const size = kernel + 1;
  const spread = constant(
    'gradient',
    [size, size, TILE, TILE],
    (j, i, row, column) => entry(output, row, i) * entry(output, column, j),
  );
  const tiles = transpose(out, reshape(out, dy, [n, c, h / TILE, TILE, w]), [3, 1, 2, 0, 4]);
  const split = transpose(out, reshape(out, tiles, [TILE, (c * n * h * w) / TILE ** 2, TILE]), [0, 2, 1]);
  const parts = reshape(out, split, [TILE * TILE, (c * n * h * w) / TILE ** 2]);
  const all = multiply(reshape(out, spread, [size * size, TILE * TILE]), parts, out);
  return reshape(out, all, [size * size, c, (n * h * w) / TILE ** 2]);
};

/** Filters [K, K, I, O] evaluated: [n n, I, O]; `turned` by 180 degrees if that is asked for. */
export const evaluateFilter = (filter: Value, turned: boolean, out: Builder): Value => {
  const [kernel, , ci, co] = shape4(filter);
  const matrix = interpolation(kernel).filter;
  const size = kernel + 1;
  const at = (k: number): number => (turned ? kernel - 1 - k : k);
  const spread = constant(
    `filter ${turned}`,
    [size, size, kernel, kernel],
    (j, i, row, column) => entry(matrix, i, at(row)) * entry(matrix, j, at(column)),
  );
  const all = multiply(
    reshape(out, spread, [size * size, kernel * kernel]),
    reshape(out, filter, [kernel * kernel, ci * co]),
    out,
  );
  return reshape(out, all, [size * size, ci, co]);
};

/** Gradients of evaluated filters [n n, I, O] back to those of filters [K, K, I, O]. */
export const gatherFilter = (evaluated: Value, kernel: number, out: Builder): Value => {
  const [size, ci, co] = evaluated.shape as [number, number, number];
  const n = kernel + 1;
  const { filter } = interpolation(kernel);
  const gather = constant(
    'gather filter',
    [kernel, kernel, n, n],
    (row, column, j, i) => entry(filter, i, row) * entry(filter, j, column),
  );
  const all = multiply(
    reshape(out, gather, [kernel * kernel, size]),
    reshape(out, evaluated, [size, ci * co]),
    out,
  );
  return reshape(out, all, [kernel, kernel, ci, co]);
};

/** Products [n n, C, pixels of a tile's grid] as the image [N, C, H, W] that they stand for. */
export const interpolate = (products: Value, [n, c, h, w]: Shape4, kernel: number, out: Builder): Value => {
  const { output } = interpolation(kernel);
  const size = kernel + 1;
  const gather = constant(
    'interpolate',
    [TILE, TILE, size, size],
    (row, column, j, i) => entry(output, row, i) * entry(output, column, j),
  );
  const grid = (c * n * h * w) / TILE ** 2;
  const parts = multiply(
    reshape(out, gather, [TILE * TILE, size * size]),
    reshape(out, products, [size * size, grid]),
    out,
  );
  const joined = transpose(out, reshape(out, parts, [TILE, TILE, grid]), [0, 2, 1]);
  const tiles = transpose(out, reshape(out, joined, [TILE, c, h / TILE, n, w]), [3, 1, 2, 0, 4]);
  return reshape(out, tiles, [n, c, h, w]);
};
