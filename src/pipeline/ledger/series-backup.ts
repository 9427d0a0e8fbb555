import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeAtomically } from '../atomic.js';
import type { SeriesRecord } from './records.js';

/** Milliseconds that changes come together before they are written. */
const DELAY = 1000;

/**
 * A copy of what is known of each series (numbering, shape, normalisation) beside the ledger, in `series.json`: with it a
 * ledger that was lost is rebuilt so that frames have the places, and forecasts the values, that they had before.
 */
export interface SeriesBackup {
  /** What the copy has; nothing when there is none that can be read. */
  readonly records: readonly SeriesRecord[];
  /** Takes in a record; only what is new is written, soon. */
  put(record: SeriesRecord): void;
  close(): Promise<void>;
}

export const openSeriesBackup = (folder: string): SeriesBackup => {
  const path = join(folder, 'series.json');
  const records = readBackup(path);
  const known = new Map(records.map((record) => [record.series, JSON.stringify(record)]));
  let timer: NodeJS.Timeout | undefined;
  let written = Promise.resolve();
  const write = (): void => {
    clearTimeout(timer);
    timer = undefined;
    const text = `{"version":1,"series":[\n${[...known.values()].join(',\n')}\n]}\n`;
    // It is a copy: a disk that cannot take it ends the run by the ledger's own writes, with a reason.
    written = written.then(() => writeAtomically(path, Buffer.from(text)).catch(() => undefined));
  };
  return {
    records,
    put: ({ last: _, ...facts }) => {
      const text = JSON.stringify(facts);
      if (known.get(facts.series) === text) return;
      known.set(facts.series, text);
      timer ??= setTimeout(write, DELAY).unref();
    },
    close: () => {
      if (timer !== undefined) write();
      return written;
    },
  };
};

const readBackup = (path: string): readonly SeriesRecord[] => {
  try {
    const { version, series } = JSON.parse(readFileSync(path, 'utf8')) as {
      version: unknown;
      series: SeriesRecord[];
    };
    return version === 1 && Array.isArray(series) ? series : [];
  } catch {
    return []; // none yet, or as damaged as the ledger
  }
};
