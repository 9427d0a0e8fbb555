import type { Runner, SeriesInput, StateHandles } from '../forecaster/programs.js';
import { linearExtrapolation } from '../metrics/baselines.js';
import { mse } from '../metrics/rmse.js';
import { skillOf } from '../metrics/skill.js';
import { ssim } from '../metrics/ssim.js';
import { crop, fit, fittedShape } from '../pipeline/fit.js';
import { sizeOf } from '../pipeline/frame.js';
import type { Series } from './series.js';

/** Which windows of a series are forecast. */
export interface Windows {
  readonly context: number;
  readonly horizon: number;
  /** Frames between the starts of windows. */
  readonly every: number;
  /** Frame pixels per latent pixel: the network takes frames enlarged to multiples of it. Scores are of the frames. */
  readonly latentStride: number;
}

/** Per lead, summed over all windows: divide by `windows` for means. */
export interface LeadSums {
  readonly windows: number;
  readonly mse: readonly number[];
  readonly persistenceMse: readonly number[];
  readonly linearMse: readonly number[];
  readonly ssim: readonly number[];
}

interface Window {
  readonly series: Series;
  readonly start: number;
}

const windowsOf = (series: Series, { context, horizon, every }: Windows): Window[] => {
  const last = series.frames.length - context - horizon;
  const starts = last < 0 ? [] : Array.from({ length: Math.floor(last / every) + 1 }, (_, k) => k * every);
  return starts.map((start) => ({ series, start }));
};

/** Windows of one shape that go through the network as one batch. */
const inBatches = (windows: readonly Window[], size: number): Window[][] => {
  const byShape = new Map<string, Window[]>();
  for (const window of windows) {
    const key = window.series.shape.join();
    byShape.set(key, [...(byShape.get(key) ?? []), window]);
  }
  return [...byShape.values()].flatMap((group) =>
    Array.from({ length: Math.ceil(group.length / size) }, (_, k) => group.slice(k * size, (k + 1) * size)),
  );
};

const BATCH = 8;

/** Forecasts a batch of windows: takes each context in from nothing, then rolls out. [windows][lead] frames. */
const forecastBatch = async (
  runner: Runner,
  batch: readonly Window[],
  { context, horizon, latentStride }: Windows,
): Promise<Float32Array[][]> => {
  const own = (batch[0] as Window).series.shape;
  const shape = fittedShape(own, latentStride);
  const taken = (series: Series, at: number): Float32Array =>
    fit(series.frames[at] as Float32Array, own, latentStride);
  let states: (StateHandles | undefined)[] = batch.map(() => undefined);
  const inputs = (t: number): SeriesInput[] =>
    batch.map(({ series, start }, k) => ({
      frame: taken(series, start + t),
      previous: taken(series, start + Math.max(t - 1, 0)),
      state: states[k],
    }));
  const release = (old: readonly (StateHandles | undefined)[]): void =>
    old.forEach((state) => state?.forEach((h) => h.release()));
  for (let t = 0; t < context; t++) {
    const next = await runner.observe(shape, inputs(t));
    release(states);
    states = next;
  }
  const rolled = await runner.rollOut(shape, inputs(context - 1), horizon);
  release(states);
  const { data } = await runner.engine.read(rolled);
  rolled.release();
  const size = sizeOf(shape);
  return batch.map((_, k) =>
    Array.from({ length: horizon }, (_lead, l) =>
      crop(
        (data as Float32Array).subarray((k * horizon + l) * size, (k * horizon + l + 1) * size),
        own,
        latentStride,
      ),
    ),
  );
};

/**
 * Forecasts every window of the series and compares with what came, on normalised frames, per lead.
 * A series shorter than context + horizon has no windows.
 */
export const scoreSeries = async (
  runner: Runner,
  all: readonly Series[],
  windows: Windows,
  progress: (done: number, of: number) => void = () => undefined,
): Promise<LeadSums> => {
  const list = all.flatMap((series) => windowsOf(series, windows));
  const zeros = (): number[] => Array<number>(windows.horizon).fill(0);
  const sums = {
    windows: list.length,
    mse: zeros(),
    persistenceMse: zeros(),
    linearMse: zeros(),
    ssim: zeros(),
  };
  let done = 0;
  for (const batch of inBatches(list, BATCH)) {
    const forecasts = await forecastBatch(runner, batch, windows);
    batch.forEach(({ series, start }, k) => {
      const at = start + windows.context - 1;
      const [last, before] = [series.frames[at] as Float32Array, series.frames[at - 1] as Float32Array];
      forecasts[k]?.forEach((predicted, l) => {
        const truth = series.frames[at + 1 + l] as Float32Array;
        sums.mse[l]! += mse(predicted, truth);
        sums.persistenceMse[l]! += mse(last, truth);
        sums.linearMse[l]! += mse(linearExtrapolation(last, before, l + 1), truth);
        sums.ssim[l]! += ssim(predicted, truth, series.shape);
      });
    });
    done += batch.length;
    progress(done, list.length);
  }
  return sums;
};

/** Skill over persistence per lead: 1 - sqrt(sum of MSE / sum of persistence MSE). */
export const skills = ({ windows, mse: errors, persistenceMse }: LeadSums): number[] =>
  errors.map((error, l) =>
    skillOf(Math.sqrt(error / windows), Math.sqrt((persistenceMse[l] ?? 0) / windows)),
  );
