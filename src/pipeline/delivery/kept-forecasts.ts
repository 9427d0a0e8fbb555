import type { Dirent } from 'node:fs';
import { readdir, rm, rmdir, stat } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { isTemporary } from '../atomic.js';
import { codeOf } from '../errors.js';

/** How much of the forecasts' files is kept: so many of each series, so many bytes in all, or (undefined) everything. */
export type Keep = { readonly perSeries: number } | { readonly bytes: number } | undefined;

/** Texts that `parseKeep` takes. */
export const KEEP_PATTERN = /^(?:all|(\d+(?:\.\d+)?) ?([kMGT]?)B|([1-9]\d*))$/;
const UNITS: Readonly<Record<string, number>> = { '': 1, k: 1e3, M: 1e6, G: 1e9, T: 1e12 };

/** `500` forecasts of each series, `20GB` in all, or `all`. */
export const parseKeep = (keep: number | string): Keep => {
  const [, amount, unit, count] = KEEP_PATTERN.exec(String(keep)) ?? [];
  if (amount !== undefined) return { bytes: Number(amount) * (UNITS[unit ?? ''] ?? 1) };
  return count === undefined ? undefined : { perSeries: Number(count) };
};

/** What one forecast takes on disk. */
interface Kept {
  readonly bytes: number;
  readonly writtenMs: number;
}

export interface KeptForecasts {
  /** Takes stock of what earlier runs left, and removes what a crash left half-written. */
  open(): Promise<void>;
  /** A forecast of `bytes` was written at this path (see `forecastPath`); older ones go as the quota demands. */
  add(path: string, bytes: number): Promise<void>;
}

/** Keeps what is below `out`/forecasts within the quota. The oldest go first, the newest always stays. */
export const keptForecasts = (out: string, keep: Keep, log: (message: string) => void): KeptForecasts => {
  /** By path below `out`, oldest first. */
  const known = new Map<string, Kept>();
  let total = 0;
  let told = false;
  const seriesOf = (path: string): string => path.slice(0, path.lastIndexOf('/'));
  const count = new Map<string, number>();
  const enter = (path: string, kept: Kept): void => {
    leave(path);
    known.set(path, kept);
    total += kept.bytes;
    count.set(seriesOf(path), (count.get(seriesOf(path)) ?? 0) + 1);
  };
  const leave = (path: string): void => {
    const kept = known.get(path);
    if (kept === undefined) return;
    known.delete(path);
    total -= kept.bytes;
    count.set(seriesOf(path), (count.get(seriesOf(path)) ?? 1) - 1);
  };
  /** The next one that has to go for the sake of a forecast just written. */
  const excess = (newest: string): string | undefined => {
    if (keep === undefined) return undefined;
    const oldest = (fits: (path: string) => boolean): string | undefined => {
      for (const path of known.keys()) if (path !== newest && fits(path)) return path;
      return undefined;
    };
    if ('bytes' in keep) return total > keep.bytes ? oldest(() => true) : undefined;
    const series = seriesOf(newest);
    return (count.get(series) ?? 0) > keep.perSeries
      ? oldest((path) => seriesOf(path) === series)
      : undefined;
  };

  return {
    open: async () => {
      known.clear();
      count.clear();
      total = 0;
      const found = await takeStock(out, keep !== undefined && 'bytes' in keep);
      if (keep === undefined) return;
      for (const [path, kept] of [...found].sort(([, a], [, b]) => a.writtenMs - b.writtenMs))
        enter(path, kept);
    },
    add: async (path, bytes) => {
      if (keep === undefined) return; // nothing will go: nothing to remember, for months
      enter(path, { bytes, writtenMs: Date.now() });
      for (let victim = excess(path); victim !== undefined; victim = excess(path)) {
        await removeForecast(join(out, victim));
        leave(victim);
        if (!told) log(`the quota for forecasts in ${out} is reached: the oldest are removed from now on`);
        told = true;
      }
    },
  };
};

const LEAD_FILE = /^(?:lead|spread|lower|upper)_\d+\.[a-z]+$/;
const ENDINGS = [
  ...['npy', 'pvd'].flatMap((ending) => ['', 'spread.', 'lower.', 'upper.'].map((layer) => layer + ending)),
  'webp',
  'zarr',
];
const FORECAST_FILE = /^(\d{8,})\.(?:(?:(?:spread|lower|upper)\.)?(?:npy|pvd)|webp)$/;
const FORECAST_FOLDER = /^(\d{8,})\.zarr$/;

/** All forecasts below out/forecasts. Sizes cost a system call per file, so they are looked up only when wanted. */
const takeStock = async (out: string, withSizes: boolean): Promise<Map<string, Kept>> => {
  const found = new Map<string, Kept>();
  const note = async (path: string, file: string): Promise<void> => {
    const before = found.get(path);
    if (before !== undefined && !withSizes) return;
    const known = await stat(file).catch((error: unknown) => {
      if (codeOf(error) !== 'ENOENT') throw error; // else somebody has just deleted it
    });
    if (known === undefined) return;
    const { size, mtimeMs } = known;
    found.set(path, {
      bytes: (before?.bytes ?? 0) + size,
      writtenMs: Math.max(before?.writtenMs ?? 0, mtimeMs),
    });
  };
  /** `whole`: the forecast that everything in this folder belongs to. */
  const visit = async (folder: string, whole?: string): Promise<void> => {
    for (const entry of await entriesOf(folder)) {
      const path = join(folder, entry.name);
      if (isTemporary(entry.name)) await rm(path, { recursive: true, force: true });
      else if (entry.isDirectory()) {
        const index = FORECAST_FOLDER.exec(entry.name)?.[1];
        await visit(path, whole ?? (index === undefined ? undefined : join(folder, index)));
      } else {
        const index = FORECAST_FILE.exec(entry.name)?.[1];
        const owner =
          whole ??
          (index !== undefined
            ? join(dirname(path), index)
            : LEAD_FILE.test(entry.name)
              ? folder
              : undefined);
        if (owner !== undefined) await note(relative(out, owner).split(sep).join('/'), path);
      }
    }
  };
  await visit(join(out, 'forecasts'));
  return found;
};

const entriesOf = async (folder: string): Promise<Dirent[]> => {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  }
};

/** Removes what the files sink writes for one forecast and nothing else: the folder may hold a user's files, too. */
const removeForecast = async (path: string): Promise<void> => {
  for (const ending of ENDINGS) await rm(`${path}.${ending}`, { recursive: true, force: true });
  for (const entry of await entriesOf(path)) if (LEAD_FILE.test(entry.name)) await rm(join(path, entry.name));
  await rmdir(path).catch((error: unknown) => {
    if (!['ENOENT', 'ENOTEMPTY', 'EEXIST'].includes(codeOf(error) ?? '')) throw error;
  });
};
