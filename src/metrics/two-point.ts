import { fft2, powerSpectrum } from './fft.js';
import { meanOf } from './phase-fraction.js';
import type { Plane } from './plane.js';

/**
 * Two-point correlation of the deviations f from the mean, averaged over directions: entry r is
 * <f(x) f(x + d)> / <f^2> over all pairs with |d| rounding to r pixels, from 1 at r = 0 down towards 0 where places no
 * longer know of each other. r goes up to half the shorter side. Pairs reach around the edges of periodic planes only.
 * All 0 for a flat plane. Torquato, Random Heterogeneous Materials (2002), section 2.2.
 */
export const twoPointCorrelation = (plane: Plane, periodic: boolean): number[] => {
  const { height, width } = plane;
  const mean = meanOf(plane);
  // Room of zeros keeps the edges from meeting.
  const [rows, columns] = periodic ? [height, width] : [2 * height, 2 * width];
  const values = new Float64Array(rows * columns);
  for (let row = 0; row < height; row++)
    for (let column = 0; column < width; column++)
      values[row * columns + column] = plane.values[row * width + column]! - mean;
  const sums = correlate({ height: rows, width: columns, values });
  const reach = Math.floor(Math.min(height, width) / 2);
  const rings = Array.from({ length: reach + 1 }, () => ({ sum: 0, pairs: 0 }));
  for (let down = -reach; down <= reach; down++) {
    for (let right = -reach; right <= reach; right++) {
      const ring = rings[Math.round(Math.hypot(down, right))];
      if (ring === undefined) continue;
      ring.sum += sums[((down + rows) % rows) * columns + ((right + columns) % columns)]!;
      ring.pairs += periodic ? height * width : (height - Math.abs(down)) * (width - Math.abs(right));
    }
  }
  const variance = rings[0]!.sum / rings[0]!.pairs;
  return rings.map(({ sum, pairs }) => (variance > 1e-12 ? sum / pairs / variance : 0));
};

/** sum_x f(x) f(x + d) for every d, around the edges: the transform of the power (Wiener and Khinchin), which is even. */
const correlate = (plane: Plane): Float64Array =>
  fft2(powerSpectrum(plane)).re.map((value) => value / plane.values.length);
