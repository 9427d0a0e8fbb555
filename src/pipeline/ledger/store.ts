import { compareKeys, open } from 'lmdb';
import { StateError, messageOf } from '../errors.js';
import type { StoreKey } from './sealed.js';
import { seal, unseal } from './sealed.js';

/** Tables of records in the ledger's database file. Beside them is `meta`, which every version can read. */
export const TABLES = [
  'series',
  'counts',
  'frames',
  'open',
  'duplicates',
  'forecasts',
  'finished',
  'verified',
  'notes',
] as const;
export type TableName = (typeof TABLES)[number];

/** One sorted map of the database. Writes are seen by reads at once and reach the disk in the background, in order. */
export interface Table<V> {
  get(key: StoreKey): V | undefined;
  put(key: StoreKey, value: V): void;
  remove(key: StoreKey): void;
  all(): Iterable<V>;
  /** Everything between two keys, both included, in order or backwards. */
  range(from: StoreKey, to: StoreKey, options?: { readonly reverse?: boolean }): Iterable<V>;
}

/**
 * Writes reach the disk in order: those of one turn of the event loop, up to its next `await`, together or not at all. After
 * one that could not be made there are no more: each throws what `durable` does.
 */
export interface Store {
  /** Of the records' format; undefined in a new file. */
  readonly version: unknown;
  putVersion(version: number): void;
  table<V>(name: TableName): Table<V>;
  /**
   * Resolves when all writes so far are on disk.
   * @throws StateError when one of them could not be made
   */
  durable(): Promise<void>;
  /** Idempotent. Never rejects: whether writes were made, `durable` says. */
  close(): Promise<void>;
}

/** One write that waits for its turn. */
interface Write {
  readonly put: () => Promise<boolean>;
  readonly confirm: () => void;
}

/** A write that the database has not confirmed; no value means removal. */
interface Pending<V> {
  readonly key: StoreKey;
  readonly value: V | undefined;
}

/**
 * Opens or makes the database file. Only for files that were inspected: reading a damaged one kills the process.
 * Read-only it can be open in any number of processes beside the one that writes.
 */
export const openStore = (path: string, { readOnly = false } = {}): Store => {
  // Batches are ours. Those that lmdb makes of each turn of the event loop have promises that nobody can catch.
  const own = { noSubdir: true, maxDbs: TABLES.length + 1, readOnly, eventTurnBatching: false };
  const root = open<unknown, (string | number)[]>({ path, ...own });
  const meta = root.openDB<unknown, string[]>('meta', {});
  /** What is to be written next, in order. */
  let queue: Write[] = [];
  let writing: Promise<void> | undefined;
  let failure: StateError | undefined;
  let closing: Promise<void> | undefined;

  /**
   * One commit at a time, each of all that was queued meanwhile: after one that failed nothing later may reach the disk.
   */
  const writeQueue = async (): Promise<void> => {
    while (queue.length > 0 && failure === undefined) {
      const some = queue;
      queue = [];
      try {
        await root.batch(() => {
          // The promise of a single write says nothing: it resolves before the commit. The batch's reports what fails.
          for (const { put } of some) put().catch(() => undefined);
        });
        root.resetReadTxn(); // reads may still look at a snapshot from before the commit
        for (const { confirm } of some) confirm();
      } catch (error) {
        const cause = await commitErrorOf(error);
        failure = new StateError(`cannot write the ledger ${path}: ${messageOf(cause)}`, {
          cause,
          hint: 'check that the disk of the state folder has room and can be written, then start again',
        });
      }
    }
    writing = undefined;
  };
  const written = async (): Promise<void> => {
    while (writing !== undefined) await writing;
  };

  const enqueue = (write: Write): void => {
    if (failure !== undefined) throw failure;
    queue.push(write);
    // Not before this turn's work is done: what it writes belongs together.
    writing ??= Promise.resolve().then(writeQueue);
  };

  const openTable = <V>(name: TableName): Table<V> => {
    const database = root.openDB<string, (string | number)[]>(name, { encoding: 'string' });
    const opened = (key: StoreKey, sealed: string): V => unseal(key, sealed) as V;
    const pending = new Map<string, Pending<V>>();
    const write = (key: StoreKey, value: V | undefined): void => {
      const id = JSON.stringify(key);
      const entry = { key, value };
      enqueue({
        put: () =>
          value === undefined ? database.remove([...key]) : database.put([...key], seal(key, value)),
        confirm: () => {
          if (pending.get(id) === entry) pending.delete(id);
        },
      });
      pending.set(id, entry);
    };
    return {
      get: (key) => {
        const entry = pending.size > 0 ? pending.get(JSON.stringify(key)) : undefined;
        if (entry !== undefined) return entry.value;
        const sealed = database.get([...key]);
        return sealed === undefined ? undefined : opened(key, sealed);
      },
      put: write,
      remove: (key) => {
        write(key, undefined);
      },
      all: () => merged(database.getRange(), inOrder([...pending.values()], ascending), ascending, opened),
      range: (from, to, { reverse = false } = {}) => {
        const order: Order = (a, b) => ascending(a, b) * (reverse ? -1 : 1);
        const [start, end] = reverse ? [to, from] : [from, to];
        const fresh = [...pending.values()].filter(
          ({ key }) => order(start, key) <= 0 && order(key, end) <= 0,
        );
        const stored = database.getRange({ start: [...start], end: [...end], inclusiveEnd: true, reverse });
        return merged(stored, inOrder(fresh, order), order, opened);
      },
    };
  };

  const tables = new Map<TableName, Table<never>>();
  // One for all who ask: each has to see what the others write.
  const table = <V>(name: TableName): Table<V> => {
    const opened = (tables.get(name) as Table<V> | undefined) ?? openTable<V>(name);
    tables.set(name, opened as Table<never>);
    return opened;
  };

  return {
    version: meta.get(['version']),
    putVersion: (version) => {
      enqueue({ put: () => meta.put(['version'], version), confirm: () => undefined });
    },
    table,
    durable: async () => {
      await written();
      if (failure !== undefined) throw failure;
    },
    close: () => {
      // After a commit that failed lmdb's own close waits for ever; the process is about to end.
      closing ??= written().then(() => (failure === undefined ? root.close() : undefined));
      return closing;
    },
  };
};

/** lmdb says that a commit failed, and why in a promise that is rejected. */
const commitErrorOf = async (error: unknown): Promise<unknown> => {
  if (typeof error !== 'object' || error === null || !('commitError' in error)) return error;
  return Promise.resolve(error.commitError).then(
    () => error,
    (cause: unknown) => cause,
  );
};

type Order = (a: StoreKey, b: StoreKey) => number;
const ascending: Order = (a, b) => compareKeys([...a], [...b]);
const inOrder = <V>(entries: readonly Pending<V>[], order: Order): readonly Pending<V>[] =>
  entries.toSorted((a, b) => order(a.key, b.key));

/** Two sorted sequences as one; where both have a key the fresh one counts. */
function* merged<V>(
  stored: Iterable<{ key: StoreKey; value: string }>,
  fresh: readonly Pending<V>[],
  order: Order,
  opened: (key: StoreKey, sealed: string) => V,
): Generator<V> {
  let next = 0;
  for (const { key, value } of stored) {
    let overridden = false;
    for (let entry = fresh[next]; entry !== undefined && order(entry.key, key) <= 0; entry = fresh[++next]) {
      if (entry.value !== undefined) yield entry.value;
      overridden = order(entry.key, key) === 0;
    }
    if (!overridden) yield opened(key, value);
  }
  for (const entry of fresh.slice(next)) if (entry.value !== undefined) yield entry.value;
}
