import type { Plane } from './plane.js';

/** Share of the pixels with a value above the threshold, 0..1: the fraction of the solid, of a phase, of crystal. */
export const phaseFraction = ({ values }: Plane, threshold: number): number =>
  values.reduce((count, value) => count + (value > threshold ? 1 : 0), 0) / values.length;

/** Mean value, in the unit of the values: what a conserved field keeps. */
export const meanOf = ({ values }: Plane): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;
