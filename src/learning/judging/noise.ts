/** Student's t at 90 %, one-sided, for 0.3, 0.4, ... 0.9 degrees of freedom: forecasts that overlap are worth so few. */
const T90_BELOW_ONE = [64.787, 20.083, 10.27, 6.704, 5.01, 4.063, 3.474];
/** The same for 1, 2, ... degrees of freedom. */
const T90 = [3.078, 1.886, 1.638, 1.533, 1.476, 1.44, 1.415, 1.397, 1.383, 1.372];
const T90_MANY = [
  { freedom: 15, t: 1.341 },
  { freedom: 20, t: 1.325 },
  { freedom: 30, t: 1.31 },
  { freedom: 60, t: 1.296 },
] as const;
const NORMAL90 = 1.282;

/** The quantile for the next smaller number of degrees of freedom, which is on the safe side; infinite below 0.3. */
export const studentT90 = (freedom: number): number => {
  if (freedom < 1) return T90_BELOW_ONE[Math.floor(10 * freedom) - 3] ?? Infinity;
  const small = T90[Math.floor(freedom) - 1];
  if (small !== undefined) return small;
  if (freedom > 200) return NORMAL90;
  return T90_MANY.findLast((entry) => entry.freedom <= freedom)?.t ?? 1.372;
};

/** Errors below this do not differ: it is below the rounding of 12 bits. */
export const FLOOR = 1e-4;

export const meanOf = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

export const median = (values: readonly number[]): number => {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
};

/** By how much `other` is more than `own`, as a share of both, -1 to 1: errors that all grow leave it as it is. */
export const gainOver = (other: number, own: number): number =>
  own + other > 0 ? (other - own) / (own + other) : 0;

/** Sum of squared deviations from the mean. */
const spreadOf = (values: readonly number[], mean: number): number =>
  values.reduce((sum, value) => sum + (value - mean) ** 2, 0);

/** What values that stay alike for the whole sequence are worth. */
const LEAST_UNLIKE = 2;

/**
 * How many independent values a sequence is worth. Forecasts whose spans overlap share most of their errors: of n values
 * that overlap `overlap` fold there are at most n / overlap independent ones, and fewer where the values themselves
 * stay alike for longer (first-order autocorrelation; Bayley and Hammersley, 1946), though not fewer than two for that: a
 * skill that drifts slowly, from .9 to .8, is like itself from first to last and says a lot all the same.
 */
export const effectiveSize = (values: readonly number[], overlap: number): number => {
  const n = values.length;
  if (n < 2) return n;
  const mean = meanOf(values);
  const spread = spreadOf(values, mean);
  let together = 0;
  for (let k = 1; k < n; k++) together += (values[k]! - mean) * (values[k - 1]! - mean);
  const correlation = spread === 0 ? 0 : Math.min(0.99, Math.max(0, together / spread));
  const unlike = Math.max(LEAST_UNLIKE, (n * (1 - correlation)) / (1 + correlation));
  return Math.max(1, Math.min(n / Math.max(1, overlap), unlike));
};

/**
 * The value that the mean of the sequence lies above with 90 % confidence: paired differences of forecasts, in the order
 * of their frames, as Diebold and Mariano (1995) compare forecasts. -Infinity when they are too few to say.
 */
export const surelyAbove = (values: readonly number[], overlap: number): number => {
  const size = effectiveSize(values, overlap);
  if (values.length < 3 || size <= 1) return -Infinity;
  const mean = meanOf(values);
  // What `size` independent values would have as their variance: values that stay alike understate it.
  const variance = spreadOf(values, mean) / values.length / (1 - 1 / size);
  return mean - studentT90(size - 1) * Math.sqrt(variance / size);
};

/** The mean is above zero by more than its standard error: enough to prefer one forecast to another, not to promise. */
export const likelyAbove = (values: readonly number[]): boolean => {
  const n = values.length;
  if (n < 3) return false;
  const mean = meanOf(values);
  return mean > Math.sqrt(spreadOf(values, mean) / (n - 1) / n);
};
