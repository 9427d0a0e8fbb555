import { CodecError } from '../pipeline/errors.js';

/** A regular grid that points were found to lie on. */
export interface PointGrid {
  readonly height: number;
  readonly width: number;
  /** Values at the points as an image [height, width, components]; where several points meet, their mean. */
  place(values: Float32Array, components: number): Float32Array;
}

/** Coordinates closer than this part of the extent are the same: single precision has 1e-7. */
const SAME = 1e-5;
/** Steps may differ by this part of their mean. */
const UNEVEN = 0.02;

/**
 * Finds the regular grid of a plane of points [x, y, z, x, y, z, ...] in any order; points may repeat.
 * @throws CodecError when they are no plane, leave holes, or are not evenly spaced
 */
export const layGrid = (points: Float32Array): PointGrid => {
  const count = points.length / 3;
  const axes = [0, 1, 2].map((axis) => {
    const values = new Float32Array(count);
    for (let i = 0; i < count; i++) values[i] = points[3 * i + axis] ?? NaN;
    if (!values.every(Number.isFinite)) throw new CodecError('its points are not all finite');
    const sorted = Float32Array.from(values).sort();
    return { values, sorted, extent: (sorted.at(-1) ?? 0) - (sorted[0] ?? 0) };
  });
  const largest = Math.max(...axes.map(({ extent }) => extent));
  const live = axes.filter(({ extent }) => extent > SAME * largest);
  const [across, down] = live;
  if (across === undefined || down === undefined || live.length > 2)
    throw new CodecError(`its points span ${live.length} dimensions: a frame has two`);
  const [columns, rows] = [linesOf(across), linesOf(down)];
  const [width, height] = [columns.count, rows.count];
  const holes = (filled: number): CodecError =>
    new CodecError(`its points fill ${filled} of the ${height}x${width} places of a regular grid`, {
      hint: 'an adaptive mesh has to be written on a uniform one (in PRISMS-PF: no adaptivity, or interpolated output)',
    });
  if (width * height > count) throw holes(count);
  const places = new Uint32Array(count);
  const hits = new Uint32Array(width * height);
  for (let i = 0; i < count; i++) {
    const place = rows.at(down.values[i] ?? 0) * width + columns.at(across.values[i] ?? 0);
    places[i] = place;
    hits[place] = (hits[place] ?? 0) + 1;
  }
  const filled = hits.reduce((sum, n) => sum + (n > 0 ? 1 : 0), 0);
  if (filled < hits.length) throw holes(filled);
  return {
    height,
    width,
    place: (values, components) => {
      const sums = new Float64Array(width * height * components);
      for (let i = 0; i < count; i++) {
        const to = (places[i] ?? 0) * components;
        for (let c = 0; c < components; c++)
          sums[to + c] = (sums[to + c] ?? 0) + (values[i * components + c] ?? 0);
      }
      return Float32Array.from(sums, (sum, i) => sum / (hits[Math.floor(i / components)] ?? 1));
    },
  };
};

/** How many different coordinates there are, and which of them a value is. @throws CodecError when they are uneven */
const linesOf = ({ sorted, extent }: { sorted: Float32Array; extent: number }) => {
  const lines: number[] = [];
  for (const value of sorted)
    if (lines.length === 0 || value - (lines.at(-1) ?? 0) > SAME * extent) lines.push(value);
  const step = extent / (lines.length - 1);
  for (let i = 1; i < lines.length; i++) {
    const own = (lines[i] ?? 0) - (lines[i - 1] ?? 0);
    if (Math.abs(own - step) > UNEVEN * step)
      throw new CodecError(`its points are not evenly spaced: ${own} and ${step} apart`, {
        hint: 'write the fields on a uniform grid',
      });
  }
  const first = lines[0] ?? 0;
  return { count: lines.length, at: (value: number): number => Math.round((value - first) / step) };
};
