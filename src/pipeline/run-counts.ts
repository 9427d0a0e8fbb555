import type { Ledger } from './ledger/ledger.js';
import type { SinkQueue } from './delivery/sink-queue.js';
import type { Outcome, Summary } from './run.js';

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
    revised: ledger.counts().revised - before.revised,
    missing: ledger.counts().missing - before.missing,
    seconds: (performance.now() - started) / 1000,
  });
  return { counts, summary };
};
