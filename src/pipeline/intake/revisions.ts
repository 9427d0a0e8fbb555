import type { BigIntStats } from 'node:fs';
import { lstat, stat } from 'node:fs/promises';
import { codeOf } from '../errors.js';
import type { Entry, Revision } from '../frame.js';

/** A frame by its name alone. */
export type NamedFile = Omit<Entry, 'revision'>;

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

/** Written out, not spread: there may be a hundred thousand, and V8 gives each object made by a spread a shape of its own. */
export const entryOf = ({ series, index, path, item }: NamedFile, revision: Revision): Entry =>
  item === undefined ? { series, index, path, revision } : { series, index, path, item, revision };

/**
 * Undefined for what went away since its folder was read. A link that points nowhere is itself a file.
 * @throws the system's error where nobody can say
 */
export const entryAt = async (file: NamedFile): Promise<Entry | undefined> => {
  const stats = await stat(file.path, { bigint: true })
    .catch(() => lstat(file.path, { bigint: true }))
    .catch((error: unknown) => {
      if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return undefined;
      throw error;
    });
  return stats && entryOf(file, revisionOf(stats));
};
