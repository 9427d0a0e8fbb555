import type { Entry } from '../frame.js';
import type { Ledger } from '../ledger/ledger.js';

/** Where a run without state begins: with the first frame that is there, with the next one that comes, or with a number. */
export type Start = 'beginning' | 'now' | number;

/** What was decided when the state was begun: least number of every series, or the last one of each that is left out. */
interface Begun {
  readonly from: number;
  readonly after: Readonly<Record<string, number>>;
}

export interface StartContext {
  readonly ledger: Pick<Ledger, 'note' | 'putNote' | 'allSeries'>;
  readonly notice: (message: string) => void;
  /** A series is of this root. */
  readonly owns: (series: string) => boolean;
}

/** What of a root counts. */
export interface Beginning {
  /** Of what was found, that which does not come before the start; the first call decides where that is. */
  readonly pick: (entries: readonly Entry[]) => readonly Entry[];
  /** It comes before the start, as far as that is decided. */
  readonly isLeftOut: (entry: Pick<Entry, 'series' | 'index'>) => boolean;
}

/**
 * Leaves out what comes before the start. It is decided by the first scan that the state knows of and kept in the ledger:
 * a later run leaves out the same frames and no others, whatever it is told.
 */
export const startAt = (start: Start, root: string, { ledger, notice, owns }: StartContext): Beginning => {
  const key = `start:${root}`;
  let begun = ledger.note(key) as Begun | undefined;
  if (begun !== undefined) ledger.putNote(key, begun); // an older mesocast made no copy of it beside the ledger
  const decide = (entries: readonly Entry[]): Begun => {
    const after: Record<string, number> = {};
    const knows = ledger.allSeries().some(({ series }) => owns(series));
    if (!knows && start === 'now')
      for (const { series, index } of entries) after[series] = Math.max(after[series] ?? -1, index);
    const decided = { from: !knows && typeof start === 'number' ? start : 0, after };
    ledger.putNote(key, decided);
    return decided;
  };
  const isLeftOut: Beginning['isLeftOut'] = ({ series, index }) =>
    begun !== undefined && (index < begun.from || index <= (begun.after[series] ?? -1));
  return {
    pick: (entries) => {
      const first = begun === undefined;
      begun ??= decide(entries);
      const wanted = entries.filter((entry) => !isLeftOut(entry));
      const left = entries.length - wanted.length;
      if (first && left > 0) notice(`${root}: ${left} frames that are there are left out (start: ${start})`);
      return left === 0 ? entries : wanted;
    },
    isLeftOut,
  };
};
