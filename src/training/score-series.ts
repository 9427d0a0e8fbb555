import type { Runner } from '../forecaster/programs.js';
import { linearExtrapolation } from '../metrics/baselines.js';
import { mse } from '../metrics/rmse.js';
import { skillOf } from '../metrics/skill.js';
import { ssim } from '../metrics/ssim.js';
import type { Series } from './series.js';
import { forecastWindows, windowsOf, type WindowForecast, type Windows } from './window-forecasts.js';

/** Per lead, summed over all windows: divide by `windows` for means. */
export interface LeadSums {
  readonly windows: number;
  readonly mse: readonly number[];
  readonly persistenceMse: readonly number[];
  readonly linearMse: readonly number[];
  readonly ssim: readonly number[];
  readonly persistenceSsim: readonly number[];
  readonly linearSsim: readonly number[];
}

/** A window's forecast at one lead (0 is lead 1), with what came and what it was made from. Normalised frames. */
export const atLead = ({ observed, frames }: WindowForecast, context: number, l: number) => {
  const frame = (k: number): Float32Array => observed[k] as Float32Array;
  const [last, previous] = [frame(context - 1), frame(context - 2)];
  return {
    predicted: frames[l] as Float32Array,
    truth: frame(context + l),
    last,
    previous,
    linear: linearExtrapolation(last, previous, l + 1),
  };
};

/** Sums that windows are added to one after the other. */
export const leadSums = (horizon: number) => {
  const zeros = (): number[] => Array<number>(horizon).fill(0);
  const sums = {
    windows: 0,
    mse: zeros(),
    persistenceMse: zeros(),
    linearMse: zeros(),
    ssim: zeros(),
    persistenceSsim: zeros(),
    linearSsim: zeros(),
  };
  const add = (forecast: WindowForecast, context: number): void => {
    sums.windows++;
    const { shape } = forecast.series;
    for (let l = 0; l < horizon; l++) {
      const { predicted, truth, last, linear } = atLead(forecast, context, l);
      sums.mse[l]! += mse(predicted, truth);
      sums.persistenceMse[l]! += mse(last, truth);
      sums.linearMse[l]! += mse(linear, truth);
      sums.ssim[l]! += ssim(predicted, truth, shape);
      sums.persistenceSsim[l]! += ssim(last, truth, shape);
      sums.linearSsim[l]! += ssim(linear, truth, shape);
    }
  };
  return { sums: sums as LeadSums, add };
};

/**
 * Forecasts every window of the series and compares with what came, on normalised frames, per lead.
 * A series with no stretch of context + horizon frames has no windows.
 */
export const scoreSeries = async (
  runner: Runner,
  all: readonly Series[],
  windows: Windows,
  progress: (done: number, of: number) => void = () => undefined,
): Promise<LeadSums> => {
  const of = all.flatMap((series) => windowsOf(series, windows)).length;
  const { sums, add } = leadSums(windows.horizon);
  for await (const batch of forecastWindows(runner, all, windows)) {
    batch.forEach((forecast) => add(forecast, windows.context));
    progress(sums.windows, of);
  }
  return sums;
};

/** Skill over persistence per lead: 1 - sqrt(sum of MSE / sum of persistence MSE). */
export const skills = ({ windows, mse: errors, persistenceMse }: LeadSums): number[] =>
  errors.map((error, l) =>
    skillOf(Math.sqrt(error / windows), Math.sqrt((persistenceMse[l] ?? 0) / windows)),
  );
