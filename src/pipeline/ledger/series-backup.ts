import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeAtomically } from '../atomic.js';
import type { SeriesRecord } from './records.js';

/** Milliseconds that changes come together before they are written. */
const DELAY = 1000;

/** Notes that the copy has too: where the run began. */
const COPIED = /^start:/;

/**
 * A copy of what is known of each series (numbering, shape, normalisation), and of where the run began, beside the ledger,
 * in `series.json`: with it a ledger that was lost is rebuilt so that frames have the places, and forecasts the values, that
 * they had before.
 */
export interface SeriesBackup extends Copied {
  /** Takes in a record; only what is new is written, soon. */
  put(record: SeriesRecord): void;
  /** The same for a note, if it is one of those that are copied. */
  putNote(key: string, value: unknown): void;
  close(): Promise<void>;
}

/** What the copy has; nothing when there is none that can be read. */
interface Copied {
  readonly records: readonly SeriesRecord[];
  readonly notes: Readonly<Record<string, unknown>>;
}

export const openSeriesBackup = (folder: string): SeriesBackup => {
  const path = join(folder, 'series.json');
  const copied = readBackup(path);
  const known = new Map(copied.records.map((record) => [record.series, JSON.stringify(record)]));
  const notes: Record<string, unknown> = { ...copied.notes };
  let timer: NodeJS.Timeout | undefined;
  let written = Promise.resolve();
  const write = (): void => {
    clearTimeout(timer);
    timer = undefined;
    const text = `{"version":1,"notes":${JSON.stringify(notes)},"series":[\n${[...known.values()].join(',\n')}\n]}\n`;
    // It is a copy: a disk that cannot take it ends the run by the ledger's own writes, with a reason.
    written = written.then(() => writeAtomically(path, Buffer.from(text)).catch(() => undefined));
  };
  const writeSoon = (): void => {
    timer ??= setTimeout(write, DELAY).unref();
  };
  return {
    ...copied,
    put: ({ last: _, ...facts }) => {
      const text = JSON.stringify(facts);
      if (known.get(facts.series) === text) return;
      known.set(facts.series, text);
      writeSoon();
    },
    putNote: (key, value) => {
      if (!COPIED.test(key)) return;
      notes[key] = value;
      writeSoon();
    },
    close: () => {
      if (timer !== undefined) write();
      return written;
    },
  };
};

const readBackup = (path: string): Copied => {
  try {
    const { version, series, notes } = JSON.parse(readFileSync(path, 'utf8')) as {
      version: unknown;
      series: SeriesRecord[];
      notes?: Record<string, unknown>;
    };
    if (version === 1 && Array.isArray(series)) return { records: series, notes: notes ?? {} };
  } catch {
    // none yet, or as damaged as the ledger
  }
  return { records: [], notes: {} };
};
