import { openEngine } from '../engine/index.js';
import { loadForecaster } from '../forecaster/folder.js';
import { createRunner } from '../forecaster/programs.js';
import { UsageError } from '../pipeline/errors.js';
import { scoreSeries, skills } from './score-series.js';
import { loadSeries, type Series } from './series.js';

export interface EvaluateOptions {
  /** A forecaster's folder, or the name of one that ships. */
  readonly forecaster: string;
  /** Folders of frames; each folder with frames, at any depth, is a series. */
  readonly data: readonly string[];
  readonly context: number;
  readonly horizon: number;
  /** Frames of the series per lead. */
  readonly stride: number;
  /** Frames between the starts of windows. */
  readonly every: number;
  readonly range?: readonly [number, number] | undefined;
  readonly device: string;
  readonly threads?: number | undefined;
  readonly notice?: ((message: string) => void) | undefined;
}

/** Scores per lead (index 0 is lead 1), on normalised frames, over all windows of all series. */
export interface Evaluation {
  readonly series: number;
  readonly windows: number;
  /** Square roots of the mean squared errors. */
  readonly rmse: readonly number[];
  readonly persistence_rmse: readonly number[];
  readonly linear_rmse: readonly number[];
  /** 1 - sqrt(sum of MSE / sum of persistence MSE). */
  readonly skill: readonly number[];
  readonly ssim: readonly number[];
  /** Mean of `skill` over the leads. */
  readonly mean_skill: number;
}

/** Every k-th frame, once for each of the k places to begin: what the network sees with a stride. */
const strided = (series: Series, stride: number): Series[] =>
  stride === 1
    ? [series]
    : Array.from({ length: stride }, (_, phase) => ({
        ...series,
        frames: series.frames.filter((_frame, k) => k % stride === phase),
      }));

/**
 * Scores a forecaster on folders of frames.
 * @throws ForecasterError, StartupError or CodecError for what cannot be loaded, UsageError when no series is long enough
 */
export const evaluate = async (
  options: EvaluateOptions,
  progress?: (done: number, of: number) => void,
): Promise<Evaluation> => {
  const { context, horizon, stride, every, range } = options;
  const forecaster = await loadForecaster(options.forecaster);
  const all = await loadSeries(options.data, { channels: forecaster.network.shape.channels, context, range });
  const long = all.filter(({ frames }) => frames.length >= (context + horizon) * stride);
  if (long.length === 0) {
    const longest = Math.max(...all.map(({ frames }) => frames.length));
    throw new UsageError(
      `no series is long enough: context ${context} and horizon ${horizon} need ${(context + horizon) * stride} frames, the longest has ${longest}`,
      {
        hint: 'give a smaller --horizon',
      },
    );
  }
  const engine = await openEngine(options.device, options.threads, options.notice);
  try {
    const runner = createRunner(forecaster, engine);
    const latentStride = forecaster.network.encoder.stride;
    const ready = long.flatMap((series) => strided(series, stride));
    const sums = await scoreSeries(runner, ready, { context, horizon, every, latentStride }, progress);
    await runner.dispose();
    const mean = (values: readonly number[]): number[] => values.map((value) => value / sums.windows);
    const skill = skills(sums);
    return {
      series: long.length,
      windows: sums.windows,
      rmse: mean(sums.mse).map(Math.sqrt),
      persistence_rmse: mean(sums.persistenceMse).map(Math.sqrt),
      linear_rmse: mean(sums.linearMse).map(Math.sqrt),
      skill,
      ssim: mean(sums.ssim),
      mean_skill: skill.reduce((a, b) => a + b, 0) / horizon,
    };
  } finally {
    await engine.dispose();
  }
};
