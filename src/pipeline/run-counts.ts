import type { Ledger } from './ledger/ledger.js';
import type { LedgerCounts } from './ledger/records.js';
import { addDeliveryCounts } from './delivery/delivery-counts.js';
import type { SinkSet } from './delivery/sink-set.js';
import type { Outcome, Summary } from './run.js';

const since = (before: LedgerCounts, after: LedgerCounts) => ({
  late: after.late - before.late,
  duplicate: after.duplicate - before.duplicate,
  revised: after.revised - before.revised,
  missing: after.missing - before.missing,
});

/** Counts of this run, for its summary. */
export const counting = (ledger: Ledger, sinks: Pick<SinkSet, 'counts'>) => {
  const frames: Record<Outcome, number> = { forecast: 0, observed: 0, 'warm-up': 0, rejected: 0, lost: 0 };
  const scores = { final: 0, expired: 0 };
  const [started, before] = [performance.now(), ledger.counts()];
  const counts = { frames, scores, forecasts: 0 };
  const summary = (): Summary => ({
    ...counts,
    missed: Object.values(sinks.counts()).reduce((sum, { dropped }) => sum + dropped, 0),
    deliveries: sinks.counts(),
    ...since(before, ledger.counts()),
    seconds: (performance.now() - started) / 1000,
  });
  return { counts, summary };
};

const sums = <K extends string>(a: Readonly<Record<K, number>>, b: Readonly<Record<NoInfer<K>, number>>) =>
  Object.fromEntries(Object.entries<number>(a).map(([key, value]) => [key, value + b[key as K]])) as Record<
    K,
    number
  >;

/** The summary of a run that was begun again with other settings: of both stretches. */
export const addSummaries = (earlier: Summary | undefined, later: Summary): Summary => {
  if (earlier === undefined) return later;
  const { frames, scores, deliveries, ...counts } = earlier;
  return {
    ...sums(counts, later),
    frames: sums(frames, later.frames),
    scores: sums(scores, later.scores),
    deliveries: {
      // What a sink that is no longer there had in its queue came again to those that are, or lies on disk.
      ...Object.fromEntries(Object.entries(deliveries).map(([sink, one]) => [sink, { ...one, queued: 0 }])),
      ...Object.fromEntries(
        Object.entries(later.deliveries).map(([sink, one]) => [
          sink,
          addDeliveryCounts(deliveries[sink], one),
        ]),
      ),
    },
  };
};
