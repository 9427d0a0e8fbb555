/** A quantity per lead over several series. Index 0 is lead 1. */
export interface OverSeries {
  readonly mean: readonly number[];
  /** 10 % and 90 % of the series lie below; with fewer than five series the least and the greatest. */
  readonly low: readonly number[];
  readonly high: readonly number[];
}

/** The quantile of values by linear interpolation, as numpy has it. */
export const quantile = (values: readonly number[], level: number): number => {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (sorted.length - 1) * level;
  const [below, above] = [sorted[Math.floor(at)] ?? 0, sorted[Math.ceil(at)] ?? 0];
  return below + (at - Math.floor(at)) * (above - below);
};

export const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

/** @param each one list per series, an entry for each lead */
export const overSeries = (each: readonly (readonly number[])[]): OverSeries => {
  const [low, high] = each.length < 5 ? [0, 1] : [0.1, 0.9];
  const leads = (each[0] ?? []).map((_, l) => each.map((values) => values[l]!));
  return {
    mean: leads.map(mean),
    low: leads.map((values) => quantile(values, low)),
    high: leads.map((values) => quantile(values, high)),
  };
};
