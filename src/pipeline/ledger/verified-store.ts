import type { LeadScore } from '../forecast.js';
import type { Store } from './store.js';

/** One lead of one forecast that met its truth. */
export interface Verified extends Omit<LeadScore, 'skill' | 'ssim'> {
  /** Place in the series of the frame that the forecast was issued at. */
  readonly origin: number;
  /** Hash of the forecaster whose forecast it was. */
  readonly forecaster: string;
  /** How far the bounds of this lead reach once this score is known: see src/learning/judging/error-bounds.ts. */
  readonly reach: number;
}

/** All scores that one frame completed; they are kept by its place. */
export interface VerifiedRow {
  readonly series: string;
  readonly position: number;
  readonly scores: readonly Verified[];
}

/** Where verified scores outlive the process. */
export interface VerifiedStore {
  /** By position. */
  rows(series: string): Iterable<VerifiedRow>;
  /** Adds or replaces. */
  put(row: VerifiedRow): void;
  /** Removes the rows of a series before a position. */
  forget(series: string, before: number): void;
}

export const verifiedStore = (store: Store): VerifiedStore => {
  const rows = store.table<VerifiedRow>('verified');
  return {
    // What an older mesocast has left may know less of the trend: then judging begins anew.
    rows: (series) =>
      [...rows.range([series, 0], [series, Number.MAX_SAFE_INTEGER])].filter(({ scores }) =>
        scores.every((score) => 'betweenRmse' in score),
      ),
    put: (row) => {
      rows.put([row.series, row.position], row);
    },
    forget: (series, before) => {
      for (const { position } of [...rows.range([series, 0], [series, before - 1])])
        rows.remove([series, position]);
    },
  };
};
