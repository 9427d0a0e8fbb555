import type { ForecastRecord, ForecastStore } from '../state/outstanding.js';
import { withScore } from '../skill-sums.js';
import type { Counting } from './counts.js';
import type { FrameLedger } from './frame-ledger.js';
import type { Store } from './store.js';

/**
 * Forecasts that wait for their truth. The id of one that has ended is remembered for as long as its own frame may come
 * again, which is until that frame has an outcome.
 */
export const forecastStore = (
  store: Store,
  counting: Counting,
  frames: Pick<FrameLedger, 'frame' | 'isForgotten'>,
): ForecastStore => {
  const records = store.table<ForecastRecord>('forecasts');
  const finished = store.table<readonly [series: string, index: number, id: string]>('finished');
  const frameHasEnded = (series: string, index: number): boolean =>
    frames.isForgotten(series, index) || frames.frame(series, index)?.outcome !== undefined;
  return {
    outstanding: () => records.all(),
    isFinished: ({ id, series, index }) => finished.get([series, index, id]) !== undefined,
    put: (changed) => {
      for (const record of changed) records.put([record.id], record);
      return store.durable();
    },
    finish: (ids) => {
      for (const id of ids) {
        const record = records.get([id]);
        if (record === undefined) continue;
        const { series, index, horizon, leads, ended } = record;
        const status = ended?.status ?? 'expired';
        records.remove([id]);
        if (!frameHasEnded(series, index)) finished.put([series, index, id], [series, index, id]);
        counting.update(series, (counts) => ({
          ...counts,
          scores: { ...counts.scores, [status]: counts.scores[status] + 1 },
          skill: withScore(counts.skill, horizon, leads),
        }));
      }
      return store.durable();
    },
  };
};
