import { join } from 'node:path';
import { StateError } from '../errors.js';
import type { ForecastStore } from '../state/outstanding.js';
import { openCounts } from './counts.js';
import { forecastStore } from './forecast-store.js';
import type { FrameLedger, FrameLedgerOptions } from './frame-ledger.js';
import { frameLedger } from './frame-ledger.js';
import { makeSound, requireSound } from './inspection.js';
import type { LedgerCounts, SeriesCounts } from './records.js';
import { openSeriesBackup } from './series-backup.js';
import type { Store } from './store.js';
import { openStore } from './store.js';
import { verifiedStore, type VerifiedStore } from './verified-store.js';

/** Bumped when records change so that an older or newer mesocast would misread them; `migrate.ts` reads older ones. */
const LEDGER_VERSION = 2;

/** What can be asked of a ledger while another process writes it. */
export interface LedgerReader extends Pick<
  FrameLedger,
  'frame' | 'frames' | 'duplicates' | 'unfinished' | 'lastFinished' | 'allSeries'
> {
  counts(): LedgerCounts;
  countsOf(series: string): SeriesCounts;
  /** Names of all series that anything is known of. */
  seriesNames(): readonly string[];
  readonly forecasts: Pick<ForecastStore, 'outstanding'>;
  note(key: string): unknown;
  close(): Promise<void>;
}

/**
 * What a daemon knows of its frames and forecasts, on disk: where it goes on after a stop or a crash.
 * Reads see all writes at once. Writes reach the disk in the background, in order; `durable` waits for them.
 */
export interface Ledger extends FrameLedger, LedgerReader {
  /** What people should know about how the ledger was opened: that a damaged one was set aside. */
  readonly notice: string | undefined;
  /** Numbers of a series that never appeared. */
  countMissing(series: string, numbers: number): void;
  /** Forecasts that wait for their truth, and the ids of those that had their score. */
  readonly forecasts: ForecastStore;
  /** Scores of the last forecasts of each series, by the frames that completed them. */
  readonly verified: VerifiedStore;
  /** A note of the runner's own, such as which forecaster is in use; undefined takes it away. */
  putNote(key: string, value: unknown): void;
  /**
   * Resolves when all writes so far are on disk.
   * @throws StateError when one of them could not be made
   */
  durable(): Promise<void>;
  /** Waits for writes. Idempotent. */
  close(): Promise<void>;
}

export interface LedgerOptions {
  /** Most finished frames of a series that are kept, about; default: all. */
  readonly keep?: number;
  readonly now?: () => Date;
}

const pathIn = (folder: string): string => join(folder, 'ledger.mdb');

/**
 * Opens the ledger in a state folder, or begins one. One of an older version is rewritten. A damaged one is renamed and
 * a new one begun, with what the copy of the series' records has: see `notice`.
 * @throws StateError when the ledger is of a version that this mesocast does not know, or cannot be opened
 */
export const openLedger = (folder: string, options: LedgerOptions = {}): Ledger => {
  const { keep = Infinity, now = () => new Date() } = options;
  const path = pathIn(folder);
  const aside = makeSound(path);
  const store = openStore(path);
  if (store.version === undefined) store.putVersion(LEDGER_VERSION);
  else requireVersion(store, path);

  const ledger = assemble(store, { keep, now: () => now().getTime() });
  const backup = openSeriesBackup(folder);
  if (aside !== undefined) {
    for (const record of backup.records) ledger.putSeries(record);
    for (const [key, value] of Object.entries(backup.notes)) ledger.putNote(key, value);
  }
  for (const record of ledger.allSeries()) backup.put(record);
  return {
    ...ledger,
    notice: aside === undefined ? undefined : rebuilt(path, aside, backup.records.length),
    putSeries: (record) => {
      ledger.putSeries(record);
      backup.put(record);
    },
    putNote: (key, value) => {
      ledger.putNote(key, value);
      backup.putNote(key, value);
    },
    durable: () => store.durable(),
    close: async () => {
      await backup.close();
      await store.close();
    },
  };
};

/**
 * The ledger in a state folder as it is at this moment, whether a daemon is writing it or not. Changes nothing.
 * @throws StateError when there is none, or it is damaged or of another version
 */
export const readLedger = (folder: string): LedgerReader => {
  const path = pathIn(folder);
  requireSound(path);
  const store = openStore(path, { readOnly: true });
  requireVersion(store, path);
  return { ...assemble(store, { keep: Infinity, now: () => undefined }), close: () => store.close() };
};

const requireVersion = (store: Store, path: string): void => {
  const { version } = store;
  if (version === LEDGER_VERSION) return;
  void store.close();
  const older = typeof version === 'number' && version < LEDGER_VERSION;
  throw new StateError(
    `the ledger ${path} has version ${JSON.stringify(version)}, this mesocast reads version ${LEDGER_VERSION}`,
    {
      hint: older
        ? 'mesocast attach rewrites it when it starts'
        : 'use the mesocast that wrote it, or begin anew with another --state folder',
    },
  );
};

const assemble = (
  store: Store,
  options: FrameLedgerOptions,
): Omit<Ledger, 'notice' | 'durable' | 'close'> => {
  const counting = openCounts(store);
  const frames = frameLedger(store, counting, options);
  const notes = store.table<unknown>('notes');
  return {
    ...frames,
    counts: () => counting.total(),
    countsOf: (series) => counting.of(series),
    seriesNames: () =>
      [...new Set([...frames.allSeries().map(({ series }) => series), ...counting.series])].sort(),
    countMissing: (series, numbers) => {
      counting.update(series, (counts) => ({ ...counts, missing: counts.missing + numbers }));
    },
    forecasts: forecastStore(store, counting, frames),
    verified: verifiedStore(store),
    note: (key) => notes.get([key]),
    putNote: (key, value) => {
      if (value === undefined) notes.remove([key]);
      else notes.put([key], value);
    },
  };
};

const rebuilt = (path: string, aside: string, series: number): string =>
  `the ledger ${path} is damaged: it is now ${aside}, and a new one was begun` +
  (series > 0 ? `, with the numbering and normalisation of ${series} series. ` : '. ') +
  'Frames that are still there are read again; their forecasts have the same ids as before.';
