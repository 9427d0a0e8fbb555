import { spawnSync } from 'node:child_process';
import { existsSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { StateError } from '../errors.js';
import type { Entry } from '../frame.js';
import type { FrameRecord, LedgerCounts, SeriesRecord } from './records.js';
import { NO_COUNTS } from './records.js';
import type { Store } from './store.js';
import { openStore } from './store.js';
import type { ForecastRecord, ForecastStore } from '../state/outstanding.js';
import type { Outcome } from '../run.js';
import { verifiedStore, type VerifiedStore } from './verified-store.js';

/** Bumped when records change so that an older or newer mesocast would misread them. */
export const LEDGER_VERSION = 1;

/**
 * What a daemon knows of its frames and forecasts, on disk: where it goes on after a stop or a crash.
 * Reads see all writes at once. Writes reach the disk in the background, in order; `durable` waits for them.
 */
export interface Ledger {
  /** What people should know about how the ledger was opened: that a damaged one was set aside. */
  readonly notice: string | undefined;

  frame(series: string, index: number): FrameRecord | undefined;
  /** Adds or replaces a frame that is on its way. Outcomes are set by `finish`. */
  putFrame(record: FrameRecord): void;
  /**
   * Sets how a frame ended. A file that is not the one the ledger has for this (series, index) is a duplicate: its
   * outcome is kept by path and the frame's own stays.
   */
  finish(
    entry: Entry,
    outcome: Outcome,
    details?: Pick<FrameRecord, 'reason' | 'contentHash' | 'position' | 'time'>,
  ): void;
  /** The outcome of a file whose number another file had. */
  duplicate(series: string, path: string): FrameRecord | undefined;
  /** A series' frames by number, `from` and `to` included. */
  frames(series: string, from?: number, to?: number): Iterable<FrameRecord>;
  /** Frames that have no outcome yet, by number. After a crash: those that were on their way. */
  unfinished(series: string): readonly FrameRecord[];
  /** Number of the last frame that has an outcome. */
  lastFinished(series: string): number | undefined;
  /** The file of a finished frame has changed: keeps the new revision and counts. */
  revise(entry: Entry): void;

  series(name: string): SeriesRecord | undefined;
  allSeries(): readonly SeriesRecord[];
  putSeries(record: SeriesRecord): void;
  countMissing(numbers: number): void;
  counts(): LedgerCounts;

  /** Forecasts that wait for their truth, and the ids of those that had their score. */
  readonly forecasts: ForecastStore;

  /** Scores of the last forecasts of each series, by the frames that completed them. */
  readonly verified: VerifiedStore;

  /** A note of the runner's own, such as which forecaster is in use. */
  note(key: string): unknown;
  putNote(key: string, value: unknown): void;

  /**
   * Resolves when all writes so far are on disk.
   * @throws StateError when one of them could not be made
   */
  durable(): Promise<void>;
  /** Waits for writes. Idempotent. */
  close(): Promise<void>;
}

/**
 * Opens the ledger in a state folder, or begins one. A damaged ledger is renamed and a new one begun: see `notice`.
 * @throws StateError when the ledger is of a version that this mesocast does not know, or cannot be opened
 */
export const openLedger = (folder: string): Ledger => {
  const path = join(folder, 'ledger.mdb');
  const notice = setAsideIfDamaged(path);
  const store = openStore(path);
  const meta = store.table<unknown>('meta');
  const version = meta.get(['version']);
  if (version !== undefined && version !== LEDGER_VERSION) {
    void store.close();
    throw new StateError(
      `the ledger in ${folder} has version ${JSON.stringify(version)}, this mesocast reads version ${LEDGER_VERSION}`,
      { hint: 'use the mesocast that wrote it, or begin anew with another --state folder' },
    );
  }
  if (version === undefined) meta.put(['version'], LEDGER_VERSION);

  const notes = counting(store);
  return {
    notice,
    ...frameLedger(store, notes),
    counts: () => notes.counts(),
    countMissing: (numbers) => {
      notes.update((counts) => ({ ...counts, missing: counts.missing + numbers }));
    },
    forecasts: forecastStore(store, notes),
    verified: verifiedStore(store),
    note: (key) => meta.get(['note', key]),
    putNote: (key, value) => {
      meta.put(['note', key], value);
    },
    durable: () => store.durable(),
    close: () => store.close(),
  };
};

/** The totals, kept beside the records that they count. */
interface Counting {
  readonly counts: () => LedgerCounts;
  readonly update: (change: (counts: LedgerCounts) => LedgerCounts) => void;
}
const counting = (store: Store): Counting => {
  const table = store.table<LedgerCounts>('meta');
  let counts = table.get(['counts']) ?? NO_COUNTS;
  return {
    counts: () => counts,
    update: (change) => {
      counts = change(counts);
      table.put(['counts'], counts);
    },
  };
};

type FrameLedger = Pick<
  Ledger,
  | 'frame'
  | 'putFrame'
  | 'finish'
  | 'duplicate'
  | 'frames'
  | 'unfinished'
  | 'lastFinished'
  | 'revise'
  | 'series'
  | 'allSeries'
  | 'putSeries'
>;

const frameLedger = (store: Store, { update }: Counting): FrameLedger => {
  const frames = store.table<FrameRecord>('frames');
  const duplicates = store.table<FrameRecord>('duplicates');
  const seriesTable = store.table<SeriesRecord>('series');
  // Frames on their way are few; this index finds them without walking a month of finished ones.
  const open = store.table<readonly [series: string, index: number]>('open');
  const seriesRecords = new Map([...seriesTable.all()].map((record) => [record.series, record]));
  const unfinished = new Map<string, Set<number>>();
  const openOf = (series: string): Set<number> => {
    const known = unfinished.get(series) ?? new Set();
    unfinished.set(series, known);
    return known;
  };
  for (const [series, index] of open.all()) openOf(series).add(index);

  const put = (record: FrameRecord): void => {
    const { series, index } = record;
    const waiting = openOf(series);
    frames.put([series, index], record);
    if (record.outcome === undefined && !waiting.has(index)) {
      waiting.add(index);
      open.put([series, index], [series, index]);
    } else if (record.outcome !== undefined && waiting.delete(index)) open.remove([series, index]);
  };
  const tally = (before: Outcome | undefined, after: Outcome | undefined): void => {
    if (before === after) return;
    update((counts) => {
      const totals = { ...counts.frames };
      if (before !== undefined) totals[before]--;
      if (after !== undefined) totals[after]++;
      return { ...counts, frames: totals };
    });
  };

  return {
    frame: (series, index) => frames.get([series, index]),
    putFrame: (record) => {
      tally(frames.get([record.series, record.index])?.outcome, record.outcome);
      put(record);
    },
    finish: (entry, outcome, details = {}) => {
      const { series, index, path, item, revision } = entry;
      const known = frames.get([series, index]);
      const isDuplicate = known !== undefined && known.path !== path;
      const before = isDuplicate ? duplicates.get([series, path]) : known;
      tally(before?.outcome, outcome);
      const { reason: _, ...kept } = before ?? {};
      const own = { series, index, path, ...(item !== undefined && { item }), revision };
      const record = { ...kept, ...own, outcome, ...details };
      if (isDuplicate) duplicates.put([series, path], record);
      else put(record);
    },
    duplicate: (series, path) => duplicates.get([series, path]),
    frames: (series, from = 0, to = Number.MAX_SAFE_INTEGER) => frames.range([series, from], [series, to]),
    unfinished: (series) =>
      [...openOf(series)].sort((a, b) => a - b).flatMap((index) => frames.get([series, index]) ?? []),
    lastFinished: (series) => {
      const all = frames.range([series, 0], [series, Number.MAX_SAFE_INTEGER], { reverse: true });
      for (const { index, outcome } of all) if (outcome !== undefined) return index;
      return undefined;
    },
    revise: ({ series, index, path, revision }) => {
      const record = frames.get([series, index]);
      if (record?.outcome === undefined) return;
      frames.put([series, index], { ...record, path, revision });
      update((counts) => ({ ...counts, revised: counts.revised + 1 }));
    },
    series: (name) => seriesRecords.get(name),
    allSeries: () => [...seriesRecords.values()],
    putSeries: (record) => {
      seriesRecords.set(record.series, record);
      seriesTable.put([record.series], record);
    },
  };
};

const forecastStore = (store: Store, { update }: Counting): ForecastStore => {
  const records = store.table<ForecastRecord>('forecasts');
  const finished = store.table<'final' | 'expired'>('finished');
  return {
    outstanding: () => records.all(),
    isFinished: (id) => finished.get([id]) !== undefined,
    put: (changed) => {
      for (const record of changed) records.put([record.id], record);
      return store.durable();
    },
    finish: (ids) => {
      for (const id of ids) {
        const record = records.get([id]);
        if (record === undefined) continue;
        const status = record.ended?.status ?? 'expired';
        records.remove([id]);
        finished.put([id], status);
        update((counts) => ({
          ...counts,
          scores: { ...counts.scores, [status]: counts.scores[status] + 1 },
        }));
      }
      return store.durable();
    },
  };
};

/** Renames a database file that cannot be read. Gives what to tell people, if there was one. */
const setAsideIfDamaged = (path: string): string | undefined => {
  if (!existsSync(path)) return undefined;
  const probe = fileURLToPath(new URL('./probe.js', import.meta.url));
  const { status, error, signal } = spawnSync(process.execPath, [probe, path], { stdio: 'ignore' });
  if (error !== undefined)
    throw new StateError(`cannot check the ledger ${path}: ${error.message}`, { cause: error });
  if (signal === 'SIGINT' || signal === 'SIGTERM')
    throw new StateError(`the check of the ledger ${path} was stopped`);
  if (status === 0) return undefined;
  let number = 1;
  while (existsSync(`${path}.damaged-${number}`)) number++;
  renameSync(path, `${path}.damaged-${number}`);
  rmSync(`${path}-lock`, { force: true });
  return (
    `the ledger ${path} is damaged: it is now ${path}.damaged-${number}, and a new one was begun. ` +
    'Frames that are still there are read again; their forecasts have the same ids as before.'
  );
};
