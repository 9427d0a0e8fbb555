import { readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isTemporary } from '../atomic.js';
import type { Delivery } from './delivery.js';
import { readDelivery, writeDelivery } from './delivery-file.js';
import { codeOf } from '../errors.js';
import { keyOf } from './forecast-message.js';

/** A delivery on disk. */
export interface KeptDelivery {
  readonly key: string;
  readonly path: string;
  readonly bytes: number;
}

/** A folder of deliveries in the order in which they were put there: what a sink could not take yet, or refused. */
export interface KeptDeliveries {
  /** Oldest first. */
  list(): readonly KeptDelivery[];
  has(key: string): boolean;
  /** Durable when it resolves. One that is there already, by its key, stays where it is. */
  put(delivery: Delivery, reason: string): Promise<KeptDelivery>;
  /** @throws StateError when its file is damaged */
  read(kept: KeptDelivery): Promise<Delivery>;
  remove(kept: KeptDelivery): Promise<void>;
  /** A damaged file: it stays under another name, for people to look at. */
  setAside(kept: KeptDelivery): Promise<void>;
  readonly bytes: number;
}

const FILE = /^(\d+)-([0-9A-Za-z.]+)\.delivery$/;

/** Takes stock of what is there; the folder is made when it is needed. */
export const openKeptDeliveries = async (folder: string): Promise<KeptDeliveries> => {
  const found = new Map<string, KeptDelivery>();
  let next = 1;
  let bytes = 0;
  for (const name of (await namesIn(folder)).sort()) {
    const path = join(folder, name);
    if (isTemporary(name)) await rm(path, { force: true });
    const [, number, key] = FILE.exec(name) ?? [];
    if (number === undefined || key === undefined) continue;
    const { size } = await stat(path);
    found.set(key, { key, path, bytes: size });
    next = Math.max(next, Number(number) + 1);
    bytes += size;
  }
  const forget = (kept: KeptDelivery): void => {
    if (found.delete(kept.key)) bytes -= kept.bytes;
  };
  return {
    list: () => [...found.values()],
    has: (key) => found.has(key),
    put: async (delivery, reason) => {
      const key = keyOf(delivery);
      const before = found.get(key);
      if (before !== undefined) return before;
      const path = join(folder, `${String(next++).padStart(12, '0')}-${key}.delivery`);
      const size = await writeDelivery(path, delivery, { reason, at: new Date().toISOString() });
      const kept = { key, path, bytes: size };
      found.set(key, kept);
      bytes += size;
      return kept;
    },
    read: async ({ path }) => (await readDelivery(path)).delivery,
    remove: async (kept) => {
      await rm(kept.path, { force: true });
      forget(kept);
    },
    setAside: async (kept) => {
      await rename(kept.path, `${kept.path}.damaged`).catch(() => undefined); // it may be gone altogether
      forget(kept);
    },
    get bytes() {
      return bytes;
    },
  };
};

/** Deliveries in a folder, which another process may be using. */
export const countKept = async (folder: string): Promise<number> =>
  (await namesIn(folder)).filter((name) => FILE.test(name)).length;

const namesIn = async (folder: string): Promise<string[]> => {
  try {
    return await readdir(folder);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  }
};
