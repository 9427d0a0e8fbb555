import type { LedgerCounts, SeriesCounts } from './records.js';
import { NO_SERIES_COUNTS, totalOf } from './records.js';
import type { Store } from './store.js';

/** The totals of each series, kept beside the records that they count. */
export interface Counting {
  of(series: string): SeriesCounts;
  total(): LedgerCounts;
  /** Series that anything was counted of. */
  readonly series: readonly string[];
  update(series: string, change: (counts: SeriesCounts) => SeriesCounts): void;
}

export const openCounts = (store: Store): Counting => {
  const table = store.table<SeriesCounts & { readonly series: string }>('counts');
  const known = new Map<string, SeriesCounts>(
    [...table.all()].map(({ series, ...counts }) => [series, counts]),
  );
  const of = (series: string): SeriesCounts => known.get(series) ?? NO_SERIES_COUNTS;
  return {
    of,
    total: () => totalOf(known.values()),
    get series() {
      return [...known.keys()];
    },
    update: (series, change) => {
      const counts = change(of(series));
      if (counts === known.get(series)) return;
      known.set(series, counts);
      table.put([series], { ...counts, series });
    },
  };
};
