import { readdir, readFile, stat } from 'node:fs/promises';
import { dirname, extname, join, resolve } from 'node:path';
import type { Entry, PhysicalTime } from '../frame.js';

/** A file of times beside the frames, as it was read last. Keys are frames' numbers, or absolute paths. */
interface Sidecar {
  readonly revision: string;
  readonly times: ReadonlyMap<number | string, PhysicalTime>;
}

/** Milliseconds after which a folder is searched again for collections. */
const AGAIN = 500;
/** More is no list of times. */
const LARGEST = 64 * 2 ** 20;

/**
 * Lines `frame,time`: the frame by its number or its file's name. Separators are commas, semicolons or blanks. A head may
 * name the columns, and the unit: `frame,time [s]`. Only whole lines count.
 */
export const parseTimesCsv = (text: string, folder: string): Map<number | string, PhysicalTime> => {
  const times = new Map<number | string, PhysicalTime>();
  let unit: string | undefined;
  for (const line of text.slice(0, text.lastIndexOf('\n') + 1).split(/\r?\n/)) {
    const [, frame = '', rest = ''] = /^\s*"?([^,;\s"]+)"?\s*[,;\s]\s*(.+?)\s*$/.exec(line) ?? [];
    const value = Number(rest.replaceAll('"', ''));
    if (frame === '' || frame.startsWith('#') || !Number.isFinite(value)) {
      unit ??= /[[(]([^\])]+)[\])]/.exec(rest)?.[1];
      continue;
    }
    const key = /^\d+$/.test(frame) ? Number(frame) : resolve(folder, frame);
    times.set(key, { value, ...(unit !== undefined && { unit }) });
  }
  return times;
};

/** The time steps of a ParaView collection. */
export const parsePvd = (text: string, folder: string): Map<number | string, PhysicalTime> => {
  const times = new Map<number | string, PhysicalTime>();
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
 * ParaView collection `*.pvd` there or one folder above. They may grow while frames come.
 */
export const sidecarTimes = (): ((
  entry: Pick<Entry, 'path' | 'index' | 'item'>,
) => Promise<PhysicalTime | undefined>) => {
  const sidecars = new Map<string, Sidecar>();
  const folders = new Map<string, { readonly at: number; readonly collections: readonly string[] }>();

  const refresh = async (path: string): Promise<void> => {
    try {
      const { size, mtimeMs } = await stat(path);
      const revision = `${size}:${mtimeMs}`;
      if (size > LARGEST || sidecars.get(path)?.revision === revision) return;
      const parse = path.endsWith('.pvd') ? parsePvd : parseTimesCsv;
      sidecars.set(path, { revision, times: parse(await readFile(path, 'utf8'), dirname(path)) });
    } catch {
      sidecars.delete(path); // it is not there, or not yet
    }
  };
  const collectionsIn = async (folder: string): Promise<readonly string[]> => {
    const before = folders.get(folder);
    if (before !== undefined && Date.now() - before.at < AGAIN) return before.collections;
    const names = await readdir(folder).catch(() => []);
    const collections = names
      .filter((name) => name.endsWith('.pvd') && !name.startsWith('.'))
      .map((name) => join(folder, name));
    folders.set(folder, { at: Date.now(), collections });
    return collections;
  };

  return async ({ path, index, item }) => {
    const folder = dirname(path);
    const table =
      item === undefined ? join(folder, 'times.csv') : `${path.slice(0, -extname(path).length)}.times.csv`;
    const found = (): PhysicalTime | undefined => {
      const rows = sidecars.get(table)?.times;
      const own = rows?.get(item ?? index) ?? rows?.get(path);
      if (own !== undefined || item !== undefined) return own;
      for (const [name, { times }] of sidecars)
        if (name.endsWith('.pvd') && times.has(path)) return times.get(path);
      return undefined;
    };
    const known = found();
    if (known !== undefined) return known;
    const pvd = item === undefined ? await Promise.all([folder, dirname(folder)].map(collectionsIn)) : [];
    await Promise.all([table, ...pvd.flat()].map(refresh));
    return found();
  };
};
