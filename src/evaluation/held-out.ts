import { UsageError } from '../pipeline/errors.js';
import type { KnownRanges } from '../pipeline/intake/normalisation.js';
import { loadSeries, strided, type Series } from '../training/series.js';

/** What of the series is forecast. */
export interface HeldOutOptions extends KnownRanges {
  /** Folders of frames; each folder with frames, at any depth, is a series. */
  readonly data: readonly string[];
  readonly context: number;
  readonly horizon: number;
  /** Frames of the series per lead. */
  readonly stride: number;
}

/** Series to score a forecaster on. */
export interface HeldOut {
  /** Names of the folders that are long enough. */
  readonly names: readonly string[];
  /** With a stride, each folder is several: every k-th frame, from each of the k places to begin. */
  readonly series: readonly Series[];
  /** Which folder a series comes from. */
  indexOf(series: Series): number;
}

/** @throws StartupError or CodecError for what cannot be loaded, UsageError when no series is long enough */
export const loadHeldOut = async (options: HeldOutOptions, channels: number): Promise<HeldOut> => {
  const { data, context, horizon, stride, range, usual } = options;
  const all = await loadSeries(data, { channels, context, range, usual });
  const needed = (context + horizon) * stride;
  const long = all.filter(({ frames }) => frames.length >= needed);
  if (long.length === 0) {
    const longest = Math.max(...all.map(({ frames }) => frames.length));
    throw new UsageError(
      `no series is long enough: context ${context} and horizon ${horizon} need ${needed} frames, the longest has ${longest}`,
      { hint: 'give a smaller --horizon' },
    );
  }
  const from = new Map(
    long.flatMap((folder, k) => strided(folder, stride).map((series) => [series, k] as const)),
  );
  return {
    names: long.map(({ name }) => name),
    series: [...from.keys()],
    indexOf: (series) => from.get(series) ?? -1,
  };
};
