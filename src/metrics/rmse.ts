type Values = Float32Array | Float64Array;

/**
 * Mean squared error over all values, summed in double precision.
 * @throws RangeError when the lengths differ
 */
export const mse = (a: Values, b: Values): number => {
  if (a.length !== b.length) throw new RangeError(`mse of ${a.length} against ${b.length} values`);
  let sum = 0;
  for (let i = 0; i < a.length; i++) {
    const difference = a[i]! - b[i]!;
    sum += difference * difference;
  }
  return a.length === 0 ? 0 : sum / a.length;
};

/** Root mean squared error over all values, in the unit of the values. */
export const rmse = (a: Values, b: Values): number => Math.sqrt(mse(a, b));
