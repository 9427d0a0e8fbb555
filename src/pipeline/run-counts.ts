import type { Ledger } from './ledger.js';
import type { Outcome, Summary } from './run.js';

/** Counts of this run, for its summary. */
export const counting = (ledger: Ledger) => {
  const frames: Record<Outcome, number> = { forecast: 0, observed: 0, 'warm-up': 0, rejected: 0, lost: 0 };
  const scores = { final: 0, expired: 0 };
  const [started, before] = [performance.now(), ledger.counts()];
  const counts = { frames, scores, forecasts: 0, missed: 0 };
  const summary = (): Summary => ({
    ...counts,
    revised: ledger.counts().revised - before.revised,
    missing: ledger.counts().missing - before.missing,
    seconds: (performance.now() - started) / 1000,
  });
  return { counts, summary };
};
