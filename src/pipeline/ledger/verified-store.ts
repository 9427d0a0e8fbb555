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

/** Series whose scores are kept, besides those that go on: a daemon of months sees many that end. */
const MOST_SERIES = 256;
/** A series is over when so many frames of each were scored since its last one, or so many times as many series had come. */
const ROUNDS = 20;
/** Notes that list them, one for each. */
const LISTED = 'judged';

export const verifiedStore = (store: Store): VerifiedStore => {
  const rows = store.table<VerifiedRow>('verified');
  const notes = store.table<unknown>('notes');
  let [scored, met] = [0, 0];
  /** Series with scores, the one that was scored last at the end, and how many rows and series there had been by then. */
  const known = new Map(
    [...notes.range([LISTED, ''], [LISTED, '\uffff'])].map((series) => [
      String(series),
      { scored: 0, met: 0 },
    ]),
  );
  const forget = (series: string, before: number): void => {
    for (const { position } of [...rows.range([series, 0], [series, before - 1])])
      rows.remove([series, position]);
  };
  const meet = (series: string): void => {
    met++;
    for (const [old, at] of known) {
      const isOver = scored - at.scored >= ROUNDS * known.size || met - at.met >= ROUNDS * MOST_SERIES;
      if (known.size < MOST_SERIES || !isOver) break;
      forget(old, Number.MAX_SAFE_INTEGER);
      notes.remove([LISTED, old]);
      known.delete(old);
    }
    notes.put([LISTED, series], series);
  };
  return {
    // What an older mesocast has left may know less of the trend: then judging begins anew.
    rows: (series) =>
      [...rows.range([series, 0], [series, Number.MAX_SAFE_INTEGER])].filter(({ scores }) =>
        scores.every((score) => 'betweenRmse' in score),
      ),
    put: (row) => {
      scored++;
      if (!known.delete(row.series)) meet(row.series);
      known.set(row.series, { scored, met });
      rows.put([row.series, row.position], row);
    },
    forget,
  };
};
