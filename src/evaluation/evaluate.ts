import { openEngine } from '../engine/index.js';
import { fittedShape } from '../pipeline/fit.js';
import type { ForecasterId } from '../pipeline/forecast.js';
import type { FrameShape, PhysicalTime } from '../pipeline/frame.js';
import { atLead, leadSums } from '../training/score-series.js';
import { forecastWindows, windowsOf, type WindowForecast } from '../training/window-forecasts.js';
import { halfWidths, localOf } from '../uncertainty/calibration.js';
import { loadForecasterSet, type ForecasterSet } from '../uncertainty/forecaster-set.js';
import { loadHeldOut, type HeldOutOptions } from './held-out.js';
import { overSeries, type OverSeries } from './over-series.js';
import { pooled, scoresOf, type Scores } from './scores.js';
import { collectStatistics, type StatisticsReport } from './statistics.js';
import { collectUncertainty, type UncertaintyReport } from './uncertainty-scores.js';

export interface EvaluateOptions extends HeldOutOptions {
  /** A forecaster's folder, an ensemble's, or the name of one that ships. */
  readonly forecaster: string;
  /** Frames between the starts of windows. */
  readonly every: number;
  readonly device: string;
  readonly threads?: number | undefined;
  /** Members of the ensemble; default: one for each forecaster. */
  readonly ensemble?: number | undefined;
  /** Whether the spread is the distance from the forecast a frame earlier; default: no. */
  readonly lagged?: boolean | undefined;
  /** Normalised value between two phases; default: 0.5. */
  readonly threshold?: number | undefined;
}

/** Scores over all windows of all series, on normalised frames. */
export interface Evaluation extends Scores {
  readonly series: number;
  readonly windows: number;
  /** From one lead to the next, where it is known and the same in all series. */
  readonly time_per_lead?: PhysicalTime;
  readonly uncertainty?: UncertaintyReport;
}

/** Scores of the windows of one series. */
export interface SeriesScores extends Scores {
  readonly name: string;
  readonly windows: number;
}

/** What a picture of a series' first window needs. Normalised frames, one for each lead in `leads`. */
export interface Example {
  /** Number of the series. */
  readonly of: number;
  readonly shape: FrameShape;
  readonly last: Float32Array;
  readonly leads: readonly number[];
  readonly predicted: readonly Float32Array[];
  readonly truth: readonly Float32Array[];
  /** Half the width of the 90 % intervals, or the spread of an ensemble; absent where a forecast has neither. */
  readonly expected?: readonly Float32Array[];
}

/** A report, and what its pictures are made of. */
export interface Detail {
  readonly report: ReportData;
  readonly examples: readonly Example[];
}

/** All that a report tells: report.json. */
export interface ReportData extends Evaluation {
  readonly forecaster: ForecasterId;
  readonly context: number;
  readonly horizon: number;
  readonly stride: number;
  readonly shapes: readonly string[];
  readonly over_series: Readonly<Record<ScoreName, OverSeries>>;
  readonly per_series: readonly SeriesScores[];
  readonly statistics: StatisticsReport;
}
export type ScoreName = Exclude<keyof Scores, 'mean_skill' | 'trusted_leads'>;

/** Leads that pictures show. */
export const pictureLeads = (horizon: number): number[] =>
  [...new Set([1, 5, 10, 20, 30, 40, 50, 100, 200, horizon])]
    .filter((lead) => lead <= horizon)
    .sort((a, b) => a - b);
/** Series that pictures can be of; their frames are kept. */
const MOST_EXAMPLES = 64;

const exampleOf = (
  of: number,
  { series, observed, frames, spread, own: aboutLast }: WindowForecast,
  context: number,
  set: ForecasterSet,
): Example => {
  const leads = pictureLeads(frames.length);
  const at = (lead: number): Float32Array => observed[context - 1 + lead] as Float32Array;
  const predicted = leads.map((lead) => frames[lead - 1]!.slice()); // it is a part of all that its batch has
  const expected = leads.map((lead, k) => {
    const own = spread?.[lead - 1]?.slice();
    if (set.calibration === undefined) return own;
    const local = localOf(predicted[k] as Float32Array, own, series.shape, set.periodic, aboutLast);
    return halfWidths(set.calibration, 0.9, lead, local);
  });
  const complete = expected.flatMap((frame) => frame ?? []);
  return {
    of,
    shape: series.shape,
    last: at(0),
    leads,
    predicted,
    truth: leads.map(at),
    ...(complete.length === leads.length && { expected: complete }),
  };
};

type Progress = (done: number, of: number) => void;

const score = async (
  options: EvaluateOptions,
  progress: Progress,
  detailed: boolean,
): Promise<{ evaluation: Evaluation; detail?: Detail }> => {
  const { context, horizon, stride, every, threshold = 0.5 } = options;
  const set = await loadForecasterSet(options.forecaster, {
    context,
    horizon,
    stride,
    ensemble: options.ensemble,
    lagged: options.lagged,
  });
  const heldOut = await loadHeldOut(options, set);
  const { names, series } = heldOut;
  const windows = { context, horizon, every, latentStride: set.latentStride };
  const sums = names.map(() => leadSums(horizon));
  const uncertainty = collectUncertainty(horizon, set, set.calibration, set.periodic);
  const shown = [...new Set([1, Math.min(10, horizon), horizon])];
  const statistics = collectStatistics(horizon, shown, { threshold, periodic: set.periodic });
  const examples = new Map<number, Example>();

  const take = (forecast: WindowForecast): void => {
    const of = heldOut.indexOf(forecast.series);
    const { shape } = forecast.series;
    sums[of]?.add(forecast, context);
    for (let l = 0; l < horizon; l++) {
      const { predicted, truth, last } = atLead(forecast, context, l);
      uncertainty.add(of, l + 1, {
        predicted,
        spread: forecast.spread?.[l],
        own: forecast.own,
        truth,
        last,
        shape,
      });
      if (!detailed) continue;
      const before = l === 0 ? { predicted: last, truth: last } : atLead(forecast, context, l - 1);
      statistics.add(of, l + 1, { predicted, truth, before, shape });
    }
    if (detailed && !examples.has(of) && examples.size < MOST_EXAMPLES)
      examples.set(of, exampleOf(of, forecast, context, set));
  };

  const engine = await openEngine(options.device, options.threads, options.notice);
  let { members } = set;
  try {
    const runner = set.run(engine, options.tile, options.notice);
    const of = series.flatMap((one) => windowsOf(one, windows)).length;
    let done = 0;
    for await (const batch of forecastWindows(runner, series, windows)) {
      batch.forEach(take);
      progress((done += batch.length), of);
    }
    members = Math.min(...series.map(({ shape }) => runner.members(fittedShape(shape, set.latentStride))));
    await runner.dispose();
  } finally {
    await engine.dispose();
  }

  const all = pooled(sums.map((one) => one.sums));
  const known = uncertainty.report();
  const perLead = heldOut.perLead();
  const evaluation: Evaluation = {
    series: names.length,
    windows: all.windows,
    ...(perLead !== undefined && { time_per_lead: perLead }),
    ...scoresOf(all),
    ...(known !== undefined && { uncertainty: { ...known, members } }),
  };
  if (!detailed) return { evaluation };
  const perSeries = sums.map((one, k) => ({
    name: names[k] ?? '',
    windows: one.sums.windows,
    ...scoresOf(one.sums),
  }));
  const over = (name: ScoreName): OverSeries => overSeries(perSeries.map((one) => one[name]));
  const report: ReportData = {
    forecaster: set.id,
    context,
    horizon,
    stride,
    shapes: [...new Set(series.map(({ shape }) => shape.join('x')))],
    ...evaluation,
    over_series: {
      rmse: over('rmse'),
      persistence_rmse: over('persistence_rmse'),
      linear_rmse: over('linear_rmse'),
      skill: over('skill'),
      linear_skill: over('linear_skill'),
      ssim: over('ssim'),
      persistence_ssim: over('persistence_ssim'),
      linear_ssim: over('linear_ssim'),
    },
    per_series: perSeries,
    statistics: statistics.report(),
  };
  return { evaluation, detail: { report, examples: [...examples.values()] } };
};

/**
 * Scores a forecaster on folders of frames.
 * @throws ForecasterError, StartupError or CodecError for what cannot be loaded, UsageError when no series is long enough
 */
export const evaluate = async (
  options: EvaluateOptions,
  progress: Progress = () => undefined,
): Promise<Evaluation> => (await score(options, progress, false)).evaluation;

/** The same with all that a report shows; takes longer. */
export const evaluateInDetail = async (
  options: EvaluateOptions,
  progress: Progress = () => undefined,
): Promise<Detail> => (await score(options, progress, true)).detail as Detail;
