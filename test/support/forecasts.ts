import type { VerifiedRow, VerifiedStore } from '../../src/pipeline/ledger/verified-store.js';
import type { ForecastRecord, ForecastStore } from '../../src/pipeline/state/outstanding.js';

export { exampleForecast as forecastOf, exampleFrame as frameOf } from '../../src/testing/examples.js';

/** A store that outlives what uses it, like the ledger does a crash. */
export const memoryStore = (): ForecastStore => {
  const records = new Map<string, ForecastRecord>();
  const finished = new Set<string>();
  return {
    outstanding: () => [...records.values()],
    isFinished: ({ id }) => finished.has(id),
    put: async (changed) => {
      for (const record of changed) records.set(record.id, structuredClone(record));
    },
    finish: async (ids) => {
      for (const id of ids) {
        records.delete(id);
        finished.add(id);
      }
    },
  };
};

/** Verified scores that outlive the judge. */
export const memoryVerified = (): VerifiedStore => {
  const rows = new Map<string, VerifiedRow>();
  const of = (series: string): VerifiedRow[] =>
    [...rows.values()].filter((row) => row.series === series).sort((a, b) => a.position - b.position);
  return {
    rows: of,
    put: (row) => void rows.set(`${row.position}:${row.series}`, row),
    forget: (series, before) => {
      for (const [key, row] of rows) if (row.series === series && row.position < before) rows.delete(key);
    },
  };
};
