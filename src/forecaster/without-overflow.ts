import { allFinite } from '../pipeline/intake/gaps.js';

/** What a network makes of an overflow says nothing. `instead`: what stands in its place; 0 without it. */
export const withoutOverflow = (values: Float32Array, instead?: Float32Array): Float32Array =>
  allFinite(values)
    ? values
    : values.map((value, i) => (Number.isFinite(value) ? value : (instead?.[i] ?? 0)));
