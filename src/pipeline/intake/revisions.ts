import type { BigIntStats } from 'node:fs';
import { lstat, stat } from 'node:fs/promises';
import type { Entry, Revision } from '../frame.js';

/** A frame by its name alone. */
export type NamedFile = Omit<Entry, 'revision'>;

/** Finds the revisions of files, those that were dealt with less often than others. */
export interface Revisions {
  /** What an earlier look found at this path. */
  at(path: string): Entry | undefined;
  /** All of these files that are there now, with their revisions; what went away meanwhile is left out. */
  scan(
    files: readonly NamedFile[],
    isDone: (entry: Entry) => boolean,
    signal: AbortSignal,
  ): Promise<readonly Entry[]>;
  /** One that was looked at between two scans. */
  put(entry: Entry): void;
}

/** Files that were dealt with and are looked at again in one scan, more or less. */
const AGAIN_AT_ONCE = 1000;

export const createRevisions = (): Revisions => {
  /** With the number of the scan that found it last. */
  const known = new Map<string, { entry: Entry; scan: number }>();
  let scans = 0;
  const keep = (entry: Entry): void => {
    const before = known.get(entry.path);
    if (before === undefined) known.set(entry.path, { entry, scan: scans });
    else [before.entry, before.scan] = [entry, scans];
  };
  return {
    at: (path) => known.get(path)?.entry,
    scan: async (files, isDone, signal) => {
      scans++;
      // In turn, so that a scan of a folder of any size costs about the same.
      const turns = Math.max(1, Math.ceil(files.length / AGAIN_AT_ONCE));
      const turn = scans % turns;
      const [entries, fresh]: [Entry[], NamedFile[]] = [[], []];
      for (let k = 0; k < files.length; k++) {
        const file = files[k] as NamedFile;
        const before = k % turns === turn || file.item !== undefined ? undefined : known.get(file.path);
        if (before !== undefined && isDone(before.entry)) {
          before.scan = scans;
          entries.push(before.entry);
        } else fresh.push(file);
      }
      for (const entry of await inParts(fresh, lookAt, signal)) {
        if (entry === undefined) continue;
        keep(entry);
        entries.push(entry);
      }
      if (known.size > entries.length)
        for (const [path, { scan }] of known) if (scan !== scans) known.delete(path);
      return entries;
    },
    put: keep,
  };
};

/** Enough to hide the latency of a network file system, few enough not to starve others of the thread pool. */
const AT_ONCE = 32;

/** Asks the file system about all of them, some at a time. */
export const inParts = async <T, R>(
  all: readonly T[],
  ask: (one: T) => Promise<R>,
  signal: AbortSignal,
): Promise<R[]> => {
  const answers: R[] = [];
  for (let i = 0; i < all.length; i += AT_ONCE) {
    signal.throwIfAborted();
    for (const answer of await Promise.all(all.slice(i, i + AT_ONCE).map(ask))) answers.push(answer);
  }
  return answers;
};

export const revisionOf = ({ size, mtimeNs }: Pick<BigIntStats, 'size' | 'mtimeNs'>): Revision => ({
  size: Number(size),
  mtimeNs: String(mtimeNs),
});

/** Written out, not spread: these stay in memory by the hundred thousand, and V8 gives each object made by a spread a shape of its own. */
export const entryOf = ({ series, index, path, item }: NamedFile, revision: Revision): Entry =>
  item === undefined ? { series, index, path, revision } : { series, index, path, item, revision };

/** Undefined for what went away since its folder was read. A link that points nowhere is itself a file. */
const lookAt = async (file: NamedFile): Promise<Entry | undefined> => {
  const stats = await stat(file.path, { bigint: true })
    .catch(() => lstat(file.path, { bigint: true }))
    .catch(() => undefined);
  return stats && entryOf(file, revisionOf(stats));
};
