import { neighboursOf, type Boundary, type Neighbours } from './boundary.js';

/** A stretch of an axis. Cells `first` .. `last` are computed; others are its empty border. */
interface Stretch extends Neighbours {
  /** Place of its first cell on the axis; may lie beyond a periodic edge. */
  readonly start: number;
  readonly length: number;
  readonly first: number;
  readonly last: number;
  /** For each cell, its place on the axis. */
  readonly at: Int32Array;
}

/**
 * A field that is zero but for a small part of a plane, such as one grain's order parameter: the values of a rectangle
 * around that part, row by row. It costs memory and time for the rectangle alone.
 */
export interface Patch {
  readonly rows: Stretch;
  readonly columns: Stretch;
  readonly values: Float64Array;
  /** Room for the values to come, of the same size. */
  readonly next: Float64Array;
}

/** Rows and columns, counted from the first row and column of whatever they are in. */
export interface Extent {
  readonly top: number;
  readonly bottom: number;
  readonly left: number;
  readonly right: number;
}

/** Empty cells around what is not zero: as many steps of a field that grows by a cell at most, less one. */
const MARGIN = 4;
/** A rectangle that is longer than needed by this is cut. */
const SLACK = 12;

/** Places low .. high of an axis and a margin. A periodic axis that is nearly full is taken whole. */
const stretchOf = (low: number, high: number, size: number, boundary: Boundary): Stretch => {
  const periodic = boundary === 'periodic';
  const [from, to] = [low - MARGIN, high + MARGIN];
  const whole = periodic ? to - from + 1 >= size : from <= 0 && to >= size - 1;
  if (whole) {
    const at = Int32Array.from({ length: size }, (_, i) => i);
    return { start: 0, length: size, first: 0, last: size - 1, at, ...neighboursOf(size, boundary) };
  }
  const start = periodic ? from : Math.max(0, from);
  const length = (periodic ? to : Math.min(size - 1, to)) - start + 1;
  const atStart = !periodic && start === 0;
  const atEnd = !periodic && start + length === size;
  return {
    start,
    length,
    first: atStart ? 0 : 1,
    last: atEnd ? length - 1 : length - 2,
    at: Int32Array.from({ length }, (_, i) => (((start + i) % size) + size) % size),
    ...neighboursOf(length, 'no_flux'),
  };
};

/** A patch with room for places of the plane in `extent`, all zero. */
export const emptyPatch = (extent: Extent, height: number, width: number, boundary: Boundary): Patch => {
  const rows = stretchOf(extent.top, extent.bottom, height, boundary);
  const columns = stretchOf(extent.left, extent.right, width, boundary);
  const cells = rows.length * columns.length;
  return { rows, columns, values: new Float64Array(cells), next: new Float64Array(cells) };
};

const isWhole = ({ first, last, length }: Stretch, size: number): boolean =>
  length === size && first === 0 && last === size - 1;
const isTight = (stretch: Stretch, low: number, high: number, size: number): boolean => {
  if (isWhole(stretch, size)) return false;
  return (stretch.first === 1 && low <= 1) || (stretch.last === stretch.length - 2 && high >= stretch.last);
};
const isLoose = (stretch: Stretch, low: number, high: number, size: number): boolean =>
  !isWhole(stretch, size) && stretch.length - (high - low + 1) > 2 * MARGIN + SLACK;

/**
 * The same field in a rectangle that leaves room around `used`, the part of the patch (rows and columns of it) that is
 * not zero; the patch itself while that is so.
 */
export const refit = (
  patch: Patch,
  used: Extent,
  height: number,
  width: number,
  boundary: Boundary,
): Patch => {
  const { rows, columns } = patch;
  const { top, bottom, left, right } = used;
  const fits =
    !isTight(rows, top, bottom, height) &&
    !isTight(columns, left, right, width) &&
    !isLoose(rows, top, bottom, height) &&
    !isLoose(columns, left, right, width);
  if (fits) return patch;
  const wanted = {
    top: rows.start + top,
    bottom: rows.start + bottom,
    left: columns.start + left,
    right: columns.start + right,
  };
  // Where a whole axis begins is no property of the field: it stays whole.
  if (isWhole(rows, height)) [wanted.top, wanted.bottom] = [0, height - 1];
  if (isWhole(columns, width)) [wanted.left, wanted.right] = [0, width - 1];
  const moved = emptyPatch(wanted, height, width, boundary);
  const place = (to: Stretch, from: Stretch, i: number, size: number): number =>
    isWhole(to, size) ? from.at[i]! : from.start + i - to.start;
  for (let row = top; row <= bottom; row++) {
    const to = place(moved.rows, rows, row, height) * moved.columns.length;
    for (let column = left; column <= right; column++)
      moved.values[to + place(moved.columns, columns, column, width)] =
        patch.values[row * columns.length + column]!;
  }
  return moved;
};
