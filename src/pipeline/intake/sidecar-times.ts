import { readdir, readFile, stat } from 'node:fs/promises';
import { dirname, extname, join, resolve } from 'node:path';
import type { Entry, PhysicalTime } from '../frame.js';
import type { Times, TimesTable } from './times-table.js';
import { readTimesTable } from './times-table.js';

/** A file of times beside the frames, as it was read last. */
interface Sidecar {
  readonly revision: string;
  readonly times: Times;
  readonly table: TimesTable | undefined;
}

/** Collections in a folder, and until when they are taken for all that there are. */
interface Listing {
  readonly collections: Promise<readonly string[]>;
  due: number;
}

/** Milliseconds after which a folder is searched again for collections; */
const AGAIN = 500;
/** searches take one part in so many of the time at most. */
const REST = 50;
/** Times that are kept of all files together, some 50 MB: those of what was not asked for longest go. */
const MOST_TIMES = 2 ** 18;
/** More is no list of times. */
const LARGEST = 64 * 2 ** 20;

/** The time steps of a ParaView collection. */
export const parsePvd = (text: string, folder: string): Times => {
  const times: Times = new Map();
  for (const [tag] of text.matchAll(/<DataSet\b[^>]*>/g)) {
    const attribute = (name: string): string | undefined =>
      new RegExp(`\\b${name}\\s*=\\s*["']([^"']*)["']`).exec(tag)?.[1];
    const [file, step] = [attribute('file'), attribute('timestep')];
    if (file !== undefined && step !== undefined && Number.isFinite(Number.parseFloat(step)))
      times.set(resolve(folder, file), { value: Number.parseFloat(step) });
  }
  return times;
};

/**
 * Times from files beside the frames: `times.csv` in their folder (`run.times.csv` for the frames in `run.h5`), or a
 * ParaView collection `*.pvd` there or one folder above. They may grow while frames come. `list` gives the names in a folder.
 */
export const sidecarTimes = (
  list: (folder: string) => Promise<readonly string[]> = readdir,
): ((entry: Pick<Entry, 'path' | 'index' | 'item'>) => Promise<PhysicalTime | undefined>) => {
  /** In the order in which they were used. */
  const sidecars = new Map<string, Sidecar>();
  const folders = new Map<string, Listing>();
  /** Files that are being looked at: one look after the other, so that each frame sees what is there when it comes. */
  const turns = new Map<string, Promise<void>>();

  const timeIn = (path: string, ...keys: (number | string)[]): PhysicalTime | undefined => {
    const sidecar = sidecars.get(path);
    const key = keys.find((one) => sidecar?.times.has(one));
    if (sidecar === undefined || key === undefined) return undefined;
    keep(path, sidecar);
    return sidecar.times.get(key);
  };
  const keep = (path: string, sidecar: Sidecar): void => {
    sidecars.delete(path);
    sidecars.set(path, sidecar);
  };
  const forgetOldest = (): void => {
    let count = 0;
    for (const { times } of sidecars.values()) count += 1 + times.size;
    for (const [path, { times }] of sidecars) {
      if (count <= MOST_TIMES || sidecars.size === 1) return;
      sidecars.delete(path);
      count -= 1 + times.size;
    }
  };
  const lookAt = async (path: string): Promise<void> => {
    try {
      const found = await stat(path);
      const revision = `${found.size}:${found.mtimeMs}`;
      const before = sidecars.get(path);
      if (found.size > LARGEST || before?.revision === revision) return;
      const table = path.endsWith('.pvd') ? undefined : await readTimesTable(path, found, before?.table);
      const times = table?.times ?? parsePvd(await readFile(path, 'utf8'), dirname(path));
      keep(path, { revision, times, table });
      forgetOldest();
    } catch {
      sidecars.delete(path); // it is not there, or not yet
    }
  };
  const refresh = async (path: string): Promise<void> => {
    const turn = (turns.get(path) ?? Promise.resolve()).then(() => lookAt(path));
    turns.set(path, turn);
    await turn;
    if (turns.get(path) === turn) turns.delete(path);
  };
  const collectionsIn = (folder: string): Promise<readonly string[]> => {
    const known = folders.get(folder);
    const began = performance.now();
    if (known !== undefined && began < known.due) return known.collections;
    for (const [path, { due }] of folders) if (due <= began) folders.delete(path);
    const collections = list(folder)
      .catch(() => [])
      .then((names) => {
        const ended = performance.now();
        listing.due = ended + Math.max(AGAIN, REST * (ended - began));
        return names
          .filter((name) => name.endsWith('.pvd') && !name.startsWith('.'))
          .map((name) => join(folder, name));
      });
    const listing: Listing = { collections, due: Infinity };
    folders.set(folder, listing);
    return collections;
  };

  return async ({ path, index, item }) => {
    const folder = dirname(path);
    const table =
      item === undefined
        ? join(folder, 'times.csv')
        : `${path.slice(0, path.length - extname(path).length)}.times.csv`;
    const found = (): PhysicalTime | undefined => {
      const own = timeIn(table, item ?? index, path);
      if (own !== undefined || item !== undefined) return own;
      // Of several always the same one, whichever was used last.
      const [collection] = [...sidecars.keys()]
        .filter((name) => name.endsWith('.pvd') && sidecars.get(name)?.times.has(path))
        .sort();
      return collection === undefined ? undefined : timeIn(collection, path);
    };
    const known = found();
    if (known !== undefined) return known;
    const pvd = item === undefined ? await Promise.all([folder, dirname(folder)].map(collectionsIn)) : [];
    await Promise.all([table, ...pvd.flat()].map(refresh));
    return found();
  };
};
