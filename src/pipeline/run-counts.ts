import type { Ledger } from './ledger/ledger.js';
import type { LedgerCounts } from './ledger/records.js';
import type { SinkQueue } from './delivery/sink-queue.js';
import type { Outcome, Summary } from './run.js';

const since = (before: LedgerCounts, after: LedgerCounts) => ({
  late: after.late - before.late,
  duplicate: after.duplicate - before.duplicate,
  revised: after.revised - before.revised,
  missing: after.missing - before.missing,
});

/** Counts of this run, for its summary. */
export const counting = (ledger: Ledger, queues: readonly SinkQueue[]) => {
  const frames: Record<Outcome, number> = { forecast: 0, observed: 0, 'warm-up': 0, rejected: 0, lost: 0 };
  const scores = { final: 0, expired: 0 };
  const [started, before] = [performance.now(), ledger.counts()];
  const counts = { frames, scores, forecasts: 0 };
  const summary = (): Summary => ({
    ...counts,
    missed: queues.reduce((sum, queue) => sum + queue.counts().dropped, 0),
    deliveries: Object.fromEntries(queues.map((queue) => [queue.name, queue.counts()])),
    ...since(before, ledger.counts()),
    seconds: (performance.now() - started) / 1000,
  });
  return { counts, summary };
};
