/** A quantity per lead over the series that have it; NaN where none does. Index 0 is lead 1. */
export interface OverSeries {
  readonly mean: readonly number[];
  /** 10 % and 90 % of the series lie below; with fewer than five series the least and the greatest. */
  readonly low: readonly number[];
  readonly high: readonly number[];
}

/** The quantile of values by linear interpolation, as numpy has it; NaN of none. */
export const quantile = (values: readonly number[], level: number): number => {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (sorted.length - 1) * level;
  const [below, above] = [sorted[Math.floor(at)] ?? NaN, sorted[Math.ceil(at)] ?? NaN];
  return below + (at - Math.floor(at)) * (above - below);
};

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

/** @param each one list per series, an entry for each lead, NaN where a series does not have it */
export const overSeries = (each: readonly (readonly number[])[]): OverSeries => {
  const leads = (each[0] ?? []).map((_, l) =>
    each.map((values) => values[l]!).filter((value) => !Number.isNaN(value)),
  );
  const end = (level: number) => (values: readonly number[]) =>
    quantile(values, values.length < 5 ? Math.round(level) : level);
  return { mean: leads.map(mean), low: leads.map(end(0.1)), high: leads.map(end(0.9)) };
};
