import type { Normalisation } from '../forecast.js';
import type { Ledger } from '../ledger/ledger.js';

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
