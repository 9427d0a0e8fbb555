import type { LeadScore } from '../forecast.js';
import type { Store } from './store.js';

/** One lead of one forecast that met its truth. */
export interface Verified extends Omit<LeadScore, 'skill' | 'ssim'> {
  /** Place in the series of the frame that the forecast was issued at. */
  readonly origin: number;
  /** Hash of the forecaster whose forecast it was. */
  readonly forecaster: string;
  /** How far the bounds of this lead reach once this score is known, if any had one: src/learning/judging/error-bounds.ts. */
  readonly reach?: number;
}

/** All scores that one frame completed; they are kept by its place. */
export interface VerifiedRow {
  readonly series: string;
  readonly position: number;
  /** Frames per lead: a run with another one begins to judge anew. */
  readonly stride: number;
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

/** Series whose scores are kept, those that were scored last: a daemon of months sees many that end. */
const MOST_SERIES = 256;
/** The note that lists them. */
const LISTED = 'judged';

export const verifiedStore = (store: Store): VerifiedStore => {
  const rows = store.table<VerifiedRow>('verified');
  const notes = store.table<unknown>('notes');
  /** Series that this process has scored, the last one last. */
  const met = new Map<string, true>();
  const forget = (series: string, before: number): void => {
    for (const { position } of [...rows.range([series, 0], [series, before - 1])])
      rows.remove([series, position]);
  };
  const meet = (series: string): void => {
    const others = ((notes.get([LISTED]) as readonly string[] | undefined) ?? []).filter(
      (one) => one !== series && !met.has(one),
    );
    const listed = [...others, ...met.keys(), series];
    for (const old of listed.slice(0, -MOST_SERIES)) {
      forget(old, Number.MAX_SAFE_INTEGER);
      met.delete(old);
    }
    notes.put([LISTED], listed.slice(-MOST_SERIES));
  };
  return {
    // What an older mesocast has left may know less of the trend: then judging begins anew.
    rows: (series) =>
      [...rows.range([series, 0], [series, Number.MAX_SAFE_INTEGER])].filter(({ scores }) =>
        scores.every((score) => 'betweenRmse' in score),
      ),
    put: (row) => {
      if (!met.delete(row.series)) meet(row.series);
      met.set(row.series, true);
      rows.put([row.series, row.position], row);
    },
    forget,
  };
};
