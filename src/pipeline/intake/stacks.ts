import { createHash } from 'node:crypto';
import { basename } from 'node:path';
import { withFileBytes } from '../bytes.js';
import { FrameError, messageOf } from '../errors.js';
import type { Entry, Field, Revision } from '../frame.js';
import { describeShape, entryKey, sameRevision } from '../frame.js';
import type { Ledger } from '../ledger/ledger.js';
import type { Codec, Incomplete, Source } from '../plugins/plugin.js';
import { entryOf } from './revisions.js';

export interface StacksContext {
  readonly ledger: Pick<Ledger, 'frame'>;
  readonly codecFor: (path: string) => Codec | undefined;
  /** The format's validator, for entries that are a file each. */
  validate(entry: Entry): Promise<Incomplete>;
  readonly notice: (message: string) => void;
}

/** What a file of several frames was found to hold. */
interface Found {
  readonly revision: Revision;
  readonly incomplete: Incomplete;
  /** A frame's revision is that of the file when the frame was first seen: a file that grows is no other one. */
  readonly items: readonly Revision[];
  /** So many of the first were dealt with, and are left out. */
  dealtWith: number;
}

/** Files that are counted at once. */
const AT_ONCE = 8;

/**
 * A source in which each file with several frames is a series of its own, `folder/file`, with as many entries as there
 * are whole frames in it; more of them when it has grown. A numbered file with one frame stays a frame of its folder.
 */
export const withStacks = (
  source: Source,
  context: StacksContext,
): { source: Source; validate: (entry: Entry) => Promise<Incomplete> } => {
  const { ledger, codecFor, notice } = context;
  let files = new Map<string, Found>();
  const told = new Set<string>();

  const countItems = async (entry: Entry, series: string): Promise<Found> => {
    const { path, revision } = entry;
    const before = files.get(path);
    if (before !== undefined && sameRevision(before.revision, revision)) {
      if (before.incomplete !== undefined && before.items.length > 0 && !told.has(path)) {
        told.add(path);
        notice(`${path} holds ${before.items.length} whole frames; of what follows, ${before.incomplete}`);
      }
      return before;
    }
    const stack = codecFor(path)?.stack;
    const { count, incomplete } = await withFileBytes(path, async (bytes) => stack?.count(bytes)).then(
      (found) => found ?? { count: 0, incomplete: undefined },
      (error: unknown) => ({ count: 0, incomplete: messageOf(error) }),
    );
    const grown = before !== undefined && revision.size > before.revision.size;
    const earlier = (item: number): Revision | undefined => {
      if (before !== undefined) return grown ? before.items[item] : undefined;
      const known = ledger.frame(series, item);
      return known?.path === path && known.revision.size < revision.size ? known.revision : undefined;
    };
    return {
      revision,
      incomplete,
      dealtWith: grown ? before.dealtWith : 0,
      items: Array.from({ length: count }, (_, item) => earlier(item) ?? revision),
    };
  };

  /** As the last scan was told: looks between scans leave out the same items. */
  let isDone: (entry: Entry) => boolean = () => false;

  const expand = async (entry: Entry, next: Map<string, Found>): Promise<readonly Entry[]> => {
    const { path, item } = entry;
    if (codecFor(path)?.stack === undefined) return [entry];
    const numbered = item === undefined;
    const single = ledger.frame(entry.series, entry.index);
    const isUsed = single?.outcome !== 'rejected' && single?.outcome !== 'lost';
    if (numbered && single?.path === path && single.item === undefined && isUsed) return [entry]; // it was one, and stays one
    const series = numbered ? `${entry.series}/${basename(path)}` : entry.series;
    const found = await countItems(entry, series);
    next.set(path, found);
    const { items, incomplete } = found;
    if (numbered && items.length <= 1) return [entry];
    // What is no such file at all ends as one rejected frame; an empty one waits for its first.
    if (items.length === 0) return incomplete === undefined ? [] : [{ ...entry, series }];
    const itemAt = (index: number): Entry =>
      entryOf({ series, index, path, item: index }, items[index] ?? entry.revision);
    while (found.dealtWith < items.length && isDone(itemAt(found.dealtWith))) found.dealtWith++;
    const { dealtWith } = found;
    return Array.from({ length: items.length - dealtWith }, (_, k) => itemAt(dealtWith + k));
  };

  const expandAll = async (
    entries: readonly Entry[],
    next: Map<string, Found>,
    signal: AbortSignal,
  ): Promise<readonly Entry[]> => {
    const all: Entry[] = [];
    for (let i = 0; i < entries.length; i += AT_ONCE) {
      signal.throwIfAborted();
      const some = entries.slice(i, i + AT_ONCE).map((entry) => expand(entry, next));
      for (const expanded of await Promise.all(some)) for (const entry of expanded) all.push(entry);
    }
    return all;
  };

  return {
    source: {
      ...source,
      scan: async (signal, ended = () => false) => {
        isDone = ended;
        const next = new Map<string, Found>();
        // One with several frames is never done: it may grow.
        const isSingle = ({ path }: Entry): boolean => (files.get(path)?.items.length ?? 1) <= 1;
        const entries = await source.scan(signal, (entry) => isSingle(entry) && isDone(entry));
        const all = await expandAll(entries, next, signal);
        files = next;
        return all;
      },
      ...(source.look !== undefined && {
        look: async (paths, signal) => {
          const entries = await source.look?.(paths, signal);
          return entries === undefined ? undefined : expandAll(entries, files, signal);
        },
      }),
    },
    validate: async (entry) => {
      const { item, path } = entry;
      const found = files.get(path);
      if (item === undefined) return context.validate(entry);
      if (found !== undefined && item < found.items.length) return undefined;
      return found?.incomplete ?? `there is no ${entryKey(entry)} any more`;
    },
  };
};

/**
 * One frame of a file that holds several, with a hash of its values: the file's own changes when it grows.
 * @throws CodecError, or the system's error when the file cannot be opened
 */
export const readItem = async (
  path: string,
  item: number,
  codec: Codec,
): Promise<{ field: Field; contentHash: string }> => {
  const { stack } = codec;
  if (stack === undefined)
    throw new FrameError(`${basename(path)} holds one frame, there is no frame ${item}`);
  const field = await withFileBytes(path, (bytes) => stack.decode(bytes, item));
  const { data, shape } = field;
  const contentHash = createHash('sha256')
    .update(describeShape(shape))
    .update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
    .digest('hex');
  return { field, contentHash };
};
