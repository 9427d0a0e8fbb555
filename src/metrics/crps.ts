/**
 * Continuous ranked probability score of one value, in the value's unit; 0 is perfect, and for a forecast without any
 * width it is the absolute error. The forecast is given by its central intervals `centre ± halves[k]` at the levels
 * k/J, k = 1..J-1 (0.1, 0.2, ... 0.9 for nine halves): with the median these are the quantiles j/2J, and the score is
 * the mean over them of twice the quantile score (Gneiting and Ranjan, J. Bus. Econ. Stat. 29, 2011, eq. 17).
 */
export const crpsOfIntervals = (centre: number, halves: ArrayLike<number>, value: number): number => {
  const levels = halves.length + 1;
  const error = Math.abs(value - centre);
  let sum = error / 2;
  for (let k = 1; k < levels; k++) {
    const half = halves[k - 1]!;
    // The two ends of an interval together: (1 - level)/2 of its width, and what the value lies beyond it.
    sum += (1 - k / levels) * half + Math.max(0, error - half);
  }
  return (2 * sum) / (2 * levels - 1);
};
