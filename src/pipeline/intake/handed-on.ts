import type { Entry } from '../frame.js';
import { entryKey } from '../frame.js';
import type { Ledger } from '../ledger/ledger.js';

export interface HandedOnContext {
  readonly ledger: Pick<Ledger, 'frame' | 'isForgotten'>;
  readonly notice: (message: string) => void;
  /** Milliseconds for which a file that cannot be read is handed on again. */
  readonly patience: number;
}

/** Files of a series that were handed on and may not have their outcome yet, by their keys. */
export interface HandedOn {
  add(entry: Entry): void;
  /** It was handed on, and the ledger has no outcome for it. */
  isOnItsWay(key: string): boolean;
  /** Those that have their outcome are kept no longer. */
  tidy(): void;
  readonly count: number;
  /** It could not be read: whether it is to be handed on once more. */
  mayReturn(entry: Entry, why: string, now: number): boolean;
  /** It is no longer on its way. False when it was not. */
  takeOut(key: string): boolean;
  /** How often it could not be read does not matter any more. */
  giveUp(key: string): void;
}

/** A file that cannot be read after it was found whole is handed on so many times, and for as long as there is patience. */
const MOST_RETURNS = 4;

export const createHandedOn = (series: string, { ledger, notice, patience }: HandedOnContext): HandedOn => {
  /** Their numbers. */
  const handed = new Map<string, number>();
  /** Files that could not be read when they were handed on: how often, and since when. */
  const returned = new Map<string, { times: number; readonly since: number }>();

  const isOnItsWay = (key: string): boolean => {
    const index = handed.get(key);
    if (index === undefined) return false;
    if (!ledger.isForgotten(series, index) && ledger.frame(series, index)?.outcome === undefined) return true;
    handed.delete(key);
    returned.delete(key);
    return false;
  };
  return {
    add: (entry) => {
      handed.set(entryKey(entry), entry.index);
    },
    isOnItsWay,
    get count() {
      return handed.size;
    },
    tidy: () => {
      for (const key of handed.keys()) isOnItsWay(key);
    },
    mayReturn: (entry, why, now) => {
      const key = entryKey(entry);
      const { times, since } = returned.get(key) ?? { times: 0, since: now };
      if (times >= MOST_RETURNS && now - since >= patience) return false;
      if (times === 0) notice(`${entry.path} could not be read (${why}): it is tried again`);
      returned.set(key, { times: times + 1, since });
      return true;
    },
    takeOut: (key) => handed.delete(key),
    giveUp: (key) => {
      returned.delete(key);
    },
  };
};
