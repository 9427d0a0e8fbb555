import { createHash } from 'node:crypto';
import { basename } from 'node:path';
import { withFileBytes } from '../bytes.js';
import { codeOf, FrameError, messageOf } from '../errors.js';
import type { Entry, Field, Revision } from '../frame.js';
import { describeShape, entryKey, sameRevision } from '../frame.js';
import type { Ledger } from '../ledger/ledger.js';
import type { Codec, Incomplete, Source } from '../plugins/plugin.js';
import { tellOnce } from '../tell-once.js';
import { entryOf } from './revisions.js';

export interface StacksContext {
  readonly ledger: Pick<Ledger, 'frame'>;
  readonly codecFor: (path: string) => Codec | undefined;
  /** The format's validator, for entries that are a file each. */
  validate(entry: Entry): Promise<Incomplete>;
  readonly notice: (message: string) => void;
  /** Frames that come before the start of the run: dealt with from the outset. Default: none. */
  readonly isLeftOut?: (entry: Entry) => boolean;
}

/** What a file of several frames was found to hold when it was last counted. */
interface Found {
  readonly revision: Revision;
  readonly incomplete: Incomplete;
  /** Why it could not be counted this time. What was known of it before counts until it can be. */
  readonly failure?: { readonly error: unknown };
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
  const { ledger, codecFor, notice, isLeftOut = () => false } = context;
  let files = new Map<string, Found>();
  const tell = tellOnce(notice);

  const countItems = async (entry: Entry, series: string): Promise<Found> => {
    const { path, revision } = entry;
    const last = files.get(path);
    // Of a file that was never counted nobody knows whether it has grown.
    const before = last?.failure !== undefined && last.items.length === 0 ? undefined : last;
    if (before !== undefined && before.failure === undefined && sameRevision(before.revision, revision)) {
      const { incomplete, items } = before;
      if (incomplete !== undefined && items.length > 0)
        tell(
          `torn ${path}`,
          () => `${path} holds ${items.length} whole frames; of what follows, ${incomplete}`,
        );
      return before;
    }
    const stack = codecFor(path)?.stack;
    const counted = await withFileBytes(path, async (bytes) => stack?.count(bytes)).catch(
      (error: unknown) => ({ failure: { error } }),
    );
    if (counted !== undefined && 'failure' in counted) {
      if (before !== undefined)
        tell(
          `unread ${path}`,
          () =>
            `${path} cannot be read (${messageOf(counted.failure.error)}): it is tried again, to see what was added to it`,
        );
      return { ...(before ?? { revision, incomplete: undefined, items: [], dealtWith: 0 }), ...counted };
    }
    const { count, incomplete } = counted ?? { count: 0, incomplete: undefined };
    // A chunk of several frames is there as a whole before they are.
    const grown =
      before !== undefined &&
      (revision.size > before.revision.size ||
        (revision.size === before.revision.size && count > before.items.length));
    /** It holds frames that an earlier run did not have. */
    const hasMore = (): boolean => ledger.frame(series, count - 1)?.path !== path;
    const earlier = (item: number): Revision | undefined => {
      if (before !== undefined) return grown ? before.items[item] : undefined;
      const known = ledger.frame(series, item);
      if (known?.path !== path) return undefined;
      const { size } = known.revision;
      return size < revision.size || (size === revision.size && hasMore()) ? known.revision : undefined;
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
  /** Files of one frame before the start, as they were when that was counted: such a one may come to hold several. */
  const singles = new Map<string, Revision>();
  const isSingleLeftOut = (entry: Entry): boolean => {
    const { path, item, revision } = entry;
    if (item !== undefined || !isLeftOut(entry)) return false;
    if (codecFor(path)?.stack === undefined) return true;
    const found = files.get(path);
    const isOne = found?.items.length === 1 && found.incomplete === undefined && found.failure === undefined;
    const counted = isOne ? found.revision : singles.get(path);
    if (counted === undefined || !sameRevision(counted, revision)) return false;
    singles.set(path, counted);
    return true;
  };

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
    const { items, incomplete, failure } = found;
    if (numbered && items.length <= 1) return [entry];
    // What is no such file at all ends as one rejected frame; an empty one waits for its first.
    const isEmpty = incomplete === undefined && failure === undefined;
    if (items.length === 0) return isEmpty ? [] : [{ ...entry, series }];
    const itemAt = (index: number): Entry =>
      entryOf({ series, index, path, item: index }, items[index] ?? entry.revision);
    const isPast = (one: Entry): boolean => isDone(one) || isLeftOut(one);
    while (found.dealtWith < items.length && isPast(itemAt(found.dealtWith))) found.dealtWith++;
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
        const entries = await source.scan(
          signal,
          (entry) => (isSingle(entry) && isDone(entry)) || isSingleLeftOut(entry),
        );
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
      if (item !== undefined && found !== undefined && item < found.items.length) return undefined;
      const { error } = found?.failure ?? {};
      // Of what could not be counted nobody knows whether it is one frame. A link to nowhere is known to the validator.
      if (error !== undefined && codeOf(error) !== 'ENOENT') throw error;
      if (error !== undefined || item === undefined) return context.validate(entry);
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
