import type { ForecastRecord, ForecastStore } from '../../src/pipeline/state/outstanding.js';

export { exampleForecast as forecastOf, exampleFrame as frameOf } from '../../src/testing/examples.js';

/** A store that outlives what uses it, like the ledger does a crash. */
export const memoryStore = (): ForecastStore => {
  const records = new Map<string, ForecastRecord>();
  const finished = new Set<string>();
  return {
    outstanding: () => [...records.values()],
    isFinished: (id) => finished.has(id),
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
