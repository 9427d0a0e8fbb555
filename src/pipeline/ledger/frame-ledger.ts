import { createHash } from 'node:crypto';
import type { Entry } from '../frame.js';
import { sameRevision } from '../frame.js';
import type { Outcome } from '../run.js';
import type { Counting } from './counts.js';
import type { FrameRecord, SeriesRecord } from './records.js';
import { recounted } from './records.js';
import type { StoreKey } from './sealed.js';
import type { Store } from './store.js';

/** What the ledger knows of frames and series. */
export interface FrameLedger {
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
    details?: Pick<FrameRecord, 'reason' | 'kind' | 'contentHash' | 'position' | 'time'>,
  ): void;
  /** The outcome of a file whose number another file had. */
  duplicate(entry: Pick<Entry, 'series' | 'index' | 'path'>): FrameRecord | undefined;
  duplicates(series: string): Iterable<FrameRecord>;
  /** A series' frames by number, `from` and `to` included. */
  frames(series: string, from?: number, to?: number): Iterable<FrameRecord>;
  /** Frames that have no outcome yet, by number. After a crash: those that were on their way. */
  unfinished(series: string): readonly FrameRecord[];
  /** Number of the last frame that has an outcome. */
  lastFinished(series: string): number | undefined;
  /** The frame was dealt with so long ago that nothing but the counts is left of it. */
  isForgotten(series: string, index: number): boolean;
  /**
   * Takes back what was rejected of a series that has no frame which could be used: settings may be others now, and the files
   * are taken up as if they were new.
   */
  retryRejected(series: string): void;
  /** A file with an outcome has changed, or was moved: keeps where it is and its revision; a change is counted. */
  revise(entry: Entry): void;

  series(name: string): SeriesRecord | undefined;
  allSeries(): readonly SeriesRecord[];
  putSeries(record: SeriesRecord): void;
}

export interface FrameLedgerOptions {
  /** Most finished frames of a series that are kept; the oldest are forgotten, a few at a time. */
  readonly keep: number;
  /** Milliseconds since the epoch; undefined where nobody knows when it was. */
  readonly now: () => number | undefined;
}

/** Records over `keep` that come together before they are forgotten: writing in batches is cheaper. */
const FORGET_AT_ONCE = 100;
const LAST = Number.MAX_SAFE_INTEGER;

/** A file whose number another file has. Keys of the database are short, paths need not be. */
const duplicateKey = (series: string, index: number, path: string): StoreKey => [
  series,
  index,
  createHash('sha256').update(path).digest('hex').slice(0, 32),
];

export const frameLedger = (
  store: Store,
  counting: Counting,
  { keep, now }: FrameLedgerOptions,
): FrameLedger => {
  const frames = store.table<FrameRecord>('frames');
  const duplicates = store.table<FrameRecord>('duplicates');
  const seriesTable = store.table<SeriesRecord>('series');
  // Frames on their way are few; this index finds them without walking a month of finished ones.
  const open = store.table<readonly [series: string, index: number]>('open');
  /** Ids of forecasts that ended before their own frame did: see the forecast store. */
  const endedEarly = store.table<readonly [series: string, index: number, id: string]>('finished');
  const seriesRecords = new Map([...seriesTable.all()].map((record) => [record.series, record]));
  const unfinished = new Map<string, Set<number>>();
  const openOf = (series: string): Set<number> => {
    const known = unfinished.get(series) ?? new Set();
    unfinished.set(series, known);
    return known;
  };
  for (const [series, index] of open.all()) openOf(series).add(index);

  const timed = (record: FrameRecord): FrameRecord => {
    const { at: _, ...rest } = record;
    const at = now();
    return { ...rest, ...(at !== undefined && { at }) };
  };
  const put = (record: FrameRecord, before: FrameRecord | undefined): void => {
    const { series, index, outcome } = record;
    frames.put([series, index], record);
    const waiting = openOf(series);
    if (outcome === undefined && !waiting.has(index)) {
      waiting.add(index);
      open.put([series, index], [series, index]);
    } else if (outcome !== undefined && waiting.delete(index)) open.remove([series, index]);
    const kept = Number(outcome !== undefined) - Number(before?.outcome !== undefined);
    if (kept !== 0) counting.update(series, (counts) => ({ ...counts, kept: counts.kept + kept }));
  };
  const tally = (before: FrameRecord | undefined, after: FrameRecord): void => {
    if (before?.outcome === after.outcome && before?.kind === after.kind) return;
    counting.update(after.series, (counts) => recounted(recounted(counts, before, -1), after, 1));
  };

  /** Drops the oldest records of a series that has more than `keep`, up to the first that has no outcome. */
  const forgetOldest = (series: string): void => {
    const { kept, forgottenTo = -1 } = counting.of(series);
    if (kept < keep + FORGET_AT_ONCE) return;
    let [gone, to] = [0, forgottenTo];
    for (const { index, outcome } of frames.range([series, 0], [series, LAST])) {
      if (outcome === undefined || gone === kept - keep) break;
      frames.remove([series, index]);
      [gone, to] = [gone + 1, Math.max(to, index)];
    }
    for (const { index, path } of duplicates.range([series, 0], [series, to, '\uffff']))
      duplicates.remove(duplicateKey(series, index, path));
    counting.update(series, (counts) => ({ ...counts, kept: counts.kept - gone, forgottenTo: to }));
  };

  return {
    frame: (series, index) => frames.get([series, index]),
    putFrame: (record) => {
      const before = frames.get([record.series, record.index]);
      const present = timed(record);
      tally(before, present);
      put(present, before);
    },
    finish: (entry, outcome, details = {}) => {
      const { series, index, path, item, revision }: Entry = entry;
      const known = frames.get([series, index]);
      const isDuplicate = known !== undefined && known.path !== path;
      const key = duplicateKey(series, index, path);
      const before = isDuplicate ? duplicates.get(key) : known;
      const { reason: _, kind: _kind, ...rest } = before ?? {};
      const own = { series, index, path, ...(item !== undefined && { item }), revision };
      const record = timed({
        ...rest,
        ...own,
        outcome,
        ...details,
        ...(isDuplicate && outcome === 'rejected' && { kind: 'duplicate' as const }),
      });
      tally(before, record);
      if (isDuplicate) duplicates.put(key, record);
      else put(record, before);
      for (const [, , id] of endedEarly.range([series, index], [series, index, '\uffff']))
        endedEarly.remove([series, index, id]);
      forgetOldest(series);
    },
    duplicate: ({ series, index, path }) => duplicates.get(duplicateKey(series, index, path)),
    duplicates: (series) => duplicates.range([series, 0], [series, LAST, '\uffff']),
    frames: (series, from = 0, to = LAST) => frames.range([series, from], [series, to]),
    unfinished: (series) =>
      [...openOf(series)].sort((a, b) => a - b).flatMap((index) => frames.get([series, index]) ?? []),
    lastFinished: (series) => {
      const all = frames.range([series, 0], [series, LAST], { reverse: true });
      for (const { index, outcome } of all) if (outcome !== undefined) return index;
      return undefined;
    },
    isForgotten: (series, index) => index <= (counting.of(series).forgottenTo ?? -1),
    retryRejected: (series) => {
      const { forgottenTo, frames: counted } = counting.of(series);
      const used = counted.forecast + counted.observed + counted['warm-up'];
      if (used > 0 || counted.rejected === 0 || openOf(series).size > 0 || forgottenTo !== undefined) return;
      const isRejected = ({ outcome }: FrameRecord): boolean => outcome === 'rejected';
      const own = [...frames.range([series, 0], [series, LAST])].filter(isRejected);
      const others = [...duplicates.range([series, 0], [series, LAST, '\uffff'])].filter(isRejected);
      for (const { index } of own) frames.remove([series, index]);
      for (const { index, path } of others) duplicates.remove(duplicateKey(series, index, path));
      seriesRecords.delete(series);
      seriesTable.remove([series]);
      counting.update(series, (counts) => {
        const left = [...own, ...others].reduce((sum, record) => recounted(sum, record, -1), counts);
        // Numbers are learned anew, and with them which are missing.
        return { ...left, kept: left.kept - own.length, missing: 0 };
      });
    },
    revise: ({ series, index, path, item, revision }) => {
      const key = duplicateKey(series, index, path);
      const frame = frames.get([series, index]);
      const duplicate = frame?.path === path ? undefined : duplicates.get(key);
      const record = duplicate ?? frame;
      if (record?.outcome === undefined) return;
      const now = { ...record, path, ...(item !== undefined && { item }), revision };
      if (duplicate !== undefined) duplicates.put(key, now);
      else frames.put([series, index], now);
      if (!sameRevision(record.revision, revision))
        counting.update(series, (counts) => ({ ...counts, revised: counts.revised + 1 }));
    },
    series: (name) => seriesRecords.get(name),
    allSeries: () => [...seriesRecords.values()],
    putSeries: (record) => {
      seriesRecords.set(record.series, record);
      seriesTable.put([record.series], record);
    },
  };
};
