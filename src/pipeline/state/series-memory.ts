import type { Normalisation } from '../forecast.js';
import type { Frame } from '../frame.js';
import type { Ledger } from '../ledger/ledger.js';

/** What `encode` must remember beyond a crash, and where frames that went by can be had again. */
export interface SeriesMemory {
  /**
   * The series' normalisation, as the frame at `position` knew it: undefined before the one that fixed it, so that a
   * frame that comes again after a crash meets what it met before.
   */
  normalisation(series: string, position: number): Normalisation | undefined;
  /** The frame at `position` completed those that fix it. */
  fixNormalisation(series: string, normalisation: Normalisation, position: number): void;
  /** First position of the unbroken stretch that `position` is in; 0 unless a long gap broke the series before it. */
  origin(series: string, position: number): number;
  setOrigin(series: string, position: number): void;
  /**
   * Frames at positions from .. to (both included) that were accepted before, in order; gone ones are left out. Only each
   * `every`-th from `from` on (default: 1) is wanted.
   */
  recall(series: string, from: number, to: number, every?: number): Promise<readonly Frame[]>;
  notice(message: string): void;
}

/** Origins that are kept of a series: as many as frames of one series can be on their way at a crash, and more. */
const ORIGINS = 100;

/** What `encode` keeps of a series beyond a crash, in the ledger: its normalisation, and where long gaps broke it. */
export const createSeriesMemory = (ledger: Ledger) => {
  const normalisedKey = (series: string): string => `normalised:${series}`;
  const originsKey = (series: string): string => `origins:${series}`;
  const origins = (series: string): readonly number[] => {
    const note = ledger.note(originsKey(series));
    return Array.isArray(note) ? note.map(Number) : [];
  };
  return {
    normalisation: (series: string, position: number): Normalisation | undefined =>
      position < Number(ledger.note(normalisedKey(series)) ?? 0)
        ? undefined
        : ledger.series(series)?.normalisation,
    fixNormalisation: (series: string, normalisation: Normalisation, position: number): void => {
      const record = ledger.series(series);
      if (record === undefined) return;
      ledger.putNote(normalisedKey(series), position);
      ledger.putSeries({ ...record, normalisation });
    },
    origin: (series: string, position: number): number =>
      Math.max(0, ...origins(series).filter((origin) => origin <= position)),
    setOrigin: (series: string, position: number): void => {
      ledger.putNote(originsKey(series), [...origins(series), position].slice(-ORIGINS));
    },
  };
};
