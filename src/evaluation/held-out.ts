import type { FilesOptions } from '../pipeline/config/root-options.js';
import type { PhysicalTime, Region } from '../pipeline/frame.js';
import { UsageError } from '../pipeline/errors.js';
import type { GivenRange } from '../pipeline/intake/normalisation.js';
import type { ParameterValues } from '../pipeline/parameters.js';
import type { CodecOptions } from '../pipeline/plugins/registry.js';
import { describeLongest, loadSeries } from '../training/load-series.js';
import { longestStretch, strided, type Series } from '../training/series.js';
import {
  noticeContext,
  parametersFor,
  rangesFor,
  type ForecasterSet,
} from '../uncertainty/forecaster-set.js';

/** What of the series is forecast. */
export interface HeldOutOptions extends FilesOptions {
  /** Folders of frames; each folder with frames, at any depth, is a series, and each file of several frames. */
  readonly data: readonly string[];
  readonly codecs?: CodecOptions | undefined;
  readonly region?: Region | undefined;
  readonly downsample?: number | undefined;
  /** Frames with a longer side go through the network in tiles, as a run's do. */
  readonly tile?: number;
  readonly notice?: ((message: string) => void) | undefined;
  /** Time from one frame to the next, as the user says it. */
  readonly frameInterval?: PhysicalTime | undefined;
  /** What the user says of the values' range, and of the scalars of all series. */
  readonly range?: GivenRange | undefined;
  readonly parameters?: ParameterValues | undefined;
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
  /** Time from one lead to the next, told from the frames that were read; undefined where series do not agree on it. */
  perLead(): PhysicalTime | undefined;
}

/** Intervals that differ by less are the same. */
const ALIKE = 0.01;
const common = (all: readonly Series[]): PhysicalTime | undefined => {
  const intervals = all.map(({ interval }) => interval?.());
  const [first] = intervals;
  if (first === undefined) return undefined;
  const alike = intervals.every(
    (one) =>
      one !== undefined &&
      one.unit === first.unit &&
      Math.abs(one.value - first.value) <= ALIKE * first.value,
  );
  return alike ? first : undefined;
};

/** Windows overlap: what was read for one is there for the next. */
const MEMORY = 512 * 2 ** 20;

/**
 * Series as a forecaster takes them.
 * @throws StartupError, CodecError or FrameError for what cannot be loaded, UsageError when no series is long enough
 */
export const loadHeldOut = async (options: HeldOutOptions, set: ForecasterSet): Promise<HeldOut> => {
  const { context, horizon, stride, notice = () => undefined } = options;
  const { given, asked } = parametersFor(set, options.parameters);
  noticeContext(set, context, notice);
  const all = await loadSeries({
    ...options,
    ...rangesFor(set, options.range),
    channels: set.channels,
    parameters: given,
    asked,
    memoryBytes: MEMORY,
    notice,
  });
  const long = all.filter((series) =>
    strided(series, stride).some((phase) => longestStretch(phase) >= context + horizon),
  );
  if (long.length === 0) {
    const needed = (context + horizon - 1) * stride + 1;
    throw new UsageError(
      `no series is long enough: context ${context} and horizon ${horizon} need ${needed} frames, the longest has ${describeLongest(all)}`,
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
    perLead: () => {
      const interval = common(long);
      return interval && { ...interval, value: Number((stride * interval.value).toPrecision(12)) };
    },
  };
};
