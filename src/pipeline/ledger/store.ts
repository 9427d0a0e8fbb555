import { compareKeys, open } from 'lmdb';
import { StateError, messageOf } from '../errors.js';

/** Tables of the ledger's database file; the probe reads them all. */
export const TABLES = [
  'meta',
  'series',
  'frames',
  'open',
  'duplicates',
  'forecasts',
  'finished',
  'verified',
] as const;
export type TableName = (typeof TABLES)[number];

export type StoreKey = readonly (string | number)[];

/** One sorted map of the database. Writes are seen by reads at once and reach the disk in the background, in order. */
export interface Table<V> {
  get(key: StoreKey): V | undefined;
  put(key: StoreKey, value: V): void;
  remove(key: StoreKey): void;
  all(): Iterable<V>;
  /** Everything between two keys, both included, in order or backwards. */
  range(from: StoreKey, to: StoreKey, options?: { readonly reverse?: boolean }): Iterable<V>;
}

export interface Store {
  table<V>(name: TableName): Table<V>;
  /**
   * All writes made in `work` reach the disk together or not at all. After a write that could not be made there are no
   * more: each throws what `durable` does.
   */
  atomically(work: () => void): void;
  /**
   * Resolves when all writes so far are on disk.
   * @throws StateError when one of them could not be made
   */
  durable(): Promise<void>;
  /** Idempotent. Never rejects: whether writes were made, `durable` says. */
  close(): Promise<void>;
}

/** A write that the database has not confirmed; no value means removal. */
interface Pending<V> {
  readonly key: StoreKey;
  readonly value: V | undefined;
}

/** Opens or makes the database file. Only for files that the probe found sound: reading a damaged one kills the process. */
export const openStore = (path: string): Store => {
  // Batches are ours. Those that lmdb makes of each turn of the event loop have promises that nobody can catch.
  const own = { noSubdir: true, maxDbs: TABLES.length, eventTurnBatching: false };
  const root = open<unknown, (string | number)[]>({ path, ...own });
  let confirmed: Promise<unknown> = Promise.resolve();
  let failure: StateError | undefined;
  let closing: Promise<void> | undefined;
  /** What to do once the batch that is being put together is on disk. */
  let batch: (() => void)[] | undefined;

  const watchOver = (written: Promise<unknown>, confirmations: readonly (() => void)[]): void => {
    const succeed = (): void => {
      root.resetReadTxn(); // reads may still look at a snapshot from before the commit
      for (const confirm of confirmations) confirm();
    };
    const outcome = written.then(succeed, async (error: unknown) => {
      const cause = await commitErrorOf(error);
      failure ??= new StateError(`cannot write the ledger ${path}: ${messageOf(cause)}`, {
        cause,
        hint: 'check that the disk of the state folder has room and can be written, then start again',
      });
    });
    confirmed = Promise.all([confirmed, outcome]);
  };

  const table = <V>(name: TableName): Table<V> => {
    const database = root.openDB<V, (string | number)[]>(name, {});
    const pending = new Map<string, Pending<V>>();
    const write = (key: StoreKey, value: V | undefined): void => {
      if (failure !== undefined) throw failure;
      const id = JSON.stringify(key);
      const entry = { key, value };
      pending.set(id, entry);
      const written = value === undefined ? database.remove([...key]) : database.put([...key], value);
      const confirm = (): void => {
        if (pending.get(id) === entry) pending.delete(id);
      };
      // Inside a batch the promise of a single write says nothing: it resolves before the commit.
      if (batch === undefined) watchOver(written, [confirm]);
      else {
        batch.push(confirm);
        written.catch(() => undefined); // the batch's promise reports it
      }
    };
    return {
      get: (key) => {
        const entry = pending.size > 0 ? pending.get(JSON.stringify(key)) : undefined;
        return entry === undefined ? database.get([...key]) : entry.value;
      },
      put: write,
      remove: (key) => {
        write(key, undefined);
      },
      all: () => merged(database.getRange(), inOrder([...pending.values()], ascending), ascending),
      range: (from, to, { reverse = false } = {}) => {
        const order: Order = (a, b) => ascending(a, b) * (reverse ? -1 : 1);
        const [start, end] = reverse ? [to, from] : [from, to];
        const fresh = [...pending.values()].filter(
          ({ key }) => order(start, key) <= 0 && order(key, end) <= 0,
        );
        const stored = database.getRange({ start: [...start], end: [...end], inclusiveEnd: true, reverse });
        return merged(stored, inOrder(fresh, order), order);
      },
    };
  };

  return {
    table,
    atomically: (work) => {
      if (failure !== undefined) throw failure;
      const confirmations: (() => void)[] = [];
      const written = root.batch(() => {
        batch = confirmations;
        try {
          work();
        } finally {
          batch = undefined;
        }
      });
      watchOver(written, confirmations);
    },
    durable: async () => {
      await confirmed;
      if (failure !== undefined) throw failure;
    },
    close: () => {
      // After a commit that failed lmdb's own close waits for ever; the process is about to end.
      closing ??= confirmed.then(() => (failure === undefined ? root.close() : undefined));
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
  stored: Iterable<{ key: StoreKey; value: V }>,
  fresh: readonly Pending<V>[],
  order: Order,
): Generator<V> {
  let next = 0;
  for (const { key, value } of stored) {
    let overridden = false;
    for (let entry = fresh[next]; entry !== undefined && order(entry.key, key) <= 0; entry = fresh[++next]) {
      if (entry.value !== undefined) yield entry.value;
      overridden = order(entry.key, key) === 0;
    }
    if (!overridden) yield value;
  }
  for (const entry of fresh.slice(next)) if (entry.value !== undefined) yield entry.value;
}
