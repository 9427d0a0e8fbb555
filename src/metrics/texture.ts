import { frequency, powerSpectrum } from './fft.js';
import { meanOf } from './phase-fraction.js';
import type { Plane } from './plane.js';

/** Cycles a pixel of waves four pixels long. */
const SHORT = 0.25;

/**
 * Share of the variance, 0..1, that is in waves shorter than four pixels: mottling and checkerboards have it, smooth
 * interfaces have little, blurred frames less than their truth. 0 for a flat plane.
 */
export const shortWaves = (plane: Plane): number => {
  const mean = meanOf(plane);
  const { height, width, values } = powerSpectrum({
    ...plane,
    values: plane.values.map((value) => value - mean),
  });
  let [short, all] = [0, 0];
  for (let row = 0; row < height; row++)
    for (let column = 0; column < width; column++) {
      const power = values[row * width + column]!;
      all += power;
      if (Math.hypot(frequency(row, height), frequency(column, width)) > SHORT) short += power;
    }
  return all / values.length > 1e-12 ? short / all : 0;
};

/**
 * Root mean square, in the unit of the values, of the pattern that repeats every `period` pixels along rows and columns:
 * what networks that work on blocks of pixels may leave, and microstructures do not have. Rows and columns that fill no
 * block are left out; 0 for a plane smaller than a block.
 */
export const checkerboard = ({ height, width, values }: Plane, period: number): number => {
  const [down, across] = [Math.floor(height / period), Math.floor(width / period)];
  if (down * across === 0) return 0;
  const tile = new Float64Array(period * period);
  for (let row = 0; row < down * period; row++)
    for (let column = 0; column < across * period; column++)
      tile[(row % period) * period + (column % period)]! += values[row * width + column]! / (down * across);
  const mean = tile.reduce((a, b) => a + b, 0) / tile.length;
  return Math.sqrt(tile.reduce((sum, value) => sum + (value - mean) ** 2, 0) / tile.length);
};
