import { frequency, powerSpectrum } from './fft.js';
import { meanOf } from './phase-fraction.js';
import type { Plane } from './plane.js';

/** S(k), averaged over directions. Entry n is of wave numbers around k[n]. */
export interface StructureFactor {
  /** Mean wave number of the entry, radians a pixel, ascending, without 0. */
  readonly k: readonly number[];
  /** |F(k)|^2 / (H W) of the deviations from the mean; the unit of the values, squared. */
  readonly s: readonly number[];
  /** 2 pi / <k>, <k> = sum k S(k) / sum S(k): the length that patterns repeat after, in pixels; 0 for a flat plane. */
  readonly characteristicLength: number;
}

/**
 * Radially averaged structure factor up to the Nyquist wave number pi, in rings as wide as the lowest wave number of
 * the longer side. The transform takes the plane as periodic: for others the jump across the edges adds power at
 * long waves, the same to a forecast and to its truth.
 */
export const structureFactor = (plane: Plane): StructureFactor => {
  const { height, width } = plane;
  const mean = meanOf(plane);
  const deviations = plane.values.map((value) => value - mean);
  const variance = deviations.reduce((sum, value) => sum + value ** 2, 0) / deviations.length;
  const { values } = powerSpectrum({ ...plane, values: deviations });
  const longer = Math.max(height, width);
  const rings = Array.from({ length: Math.floor(longer / 2) }, () => ({ k: 0, s: 0, count: 0 }));
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const cycles = Math.hypot(frequency(row, height), frequency(column, width));
      const ring = rings[Math.round(cycles * longer) - 1];
      if (ring === undefined) continue;
      ring.k += 2 * Math.PI * cycles;
      ring.s += values[row * width + column]! / (height * width);
      ring.count++;
    }
  }
  const known = rings.filter(({ count }) => count > 0);
  const k = known.map((ring) => ring.k / ring.count);
  const s = known.map((ring) => ring.s / ring.count);
  const total = s.reduce((a, b) => a + b, 0);
  const moment = s.reduce((sum, value, n) => sum + value * k[n]!, 0);
  // What rounding leaves of a flat plane has no length.
  const isFlat = variance <= 1e-12 || moment === 0;
  return { k, s, characteristicLength: isFlat ? 0 : (2 * Math.PI * total) / moment };
};
