import type { Runner } from '../../forecaster/programs.js';
import { betweenRmse } from '../../metrics/baselines.js';
import { rmse } from '../../metrics/rmse.js';
import { atLead } from '../../training/score-series.js';
import { inMemory } from '../../training/series.js';
import { forecastWindows } from '../../training/window-forecasts.js';
import { FLOOR, gainOver, likelyAbove, meanOf } from '../judging/noise.js';
import { fittedDamping, trendError } from '../judging/trend.js';
import type { HeldOutScore } from './messages.js';
import type { Recording } from './replay.js';

/** Windows of a comparison, in all: judging must not take the time of learning. */
const MOST_WINDOWS = 12;
/** Windows of one series that reach as far as its frames do, and the least frames between their starts. */
const [FAR_WINDOWS, FAR_EVERY] = [3, 2];
/** By how much a challenger's errors must be smaller, besides being so by more than noise. */
const LEAST_GAIN = 0.02;

/** The windows that a comparison looks at: the same for all who are compared. */
export interface Windows {
  readonly series: readonly Recording[];
  /** Frames that are given in each window. */
  readonly context: number;
  readonly leads: number;
  /** Frames between the starts of windows. */
  readonly every: number;
}

/** Windows over series whose last `unseen` frames are to be forecast: half as many leads, so that there are several windows. */
export const windowsOver = (
  parts: readonly { readonly series: Recording; readonly unseen: number }[],
  context: number,
): Windows | undefined => {
  const some = parts.slice(-MOST_WINDOWS);
  const unseen = Math.min(...some.map((part) => part.unseen));
  if (some.length === 0 || unseen < 2) return undefined;
  const leads = Math.ceil(unseen / 2);
  const starts = some.length * (unseen - leads + 1);
  return {
    series: some.map(({ series }) => series),
    context,
    leads,
    every: Math.ceil(starts / MOST_WINDOWS),
  };
};

/**
 * Windows that reach as many leads as the longest series has frames for, before them such that reach half as many, a quarter
 * and so on, down to `reached`, all over the newest frames: each lead is looked at where the run was last, so many frames ago.
 */
export const farWindows = (
  all: readonly Recording[],
  context: number,
  { horizon, reached }: { readonly horizon: number; readonly reached: number },
): Windows[] => {
  const longest = Math.max(...all.map(({ frames }) => frames.length));
  const far: Windows[] = [];
  let leads = Math.min(horizon, longest - context - FAR_EVERY * (FAR_WINDOWS - 1));
  for (; leads > reached; leads >>= 1) {
    // Windows that begin close to each other are one window, told three times.
    const room = Math.floor((longest - context - leads) / (FAR_WINDOWS - 1));
    const every = Math.max(FAR_EVERY, Math.min(leads >> 1, room));
    const needed = context + leads + every * (FAR_WINDOWS - 1);
    far.unshift({
      series: all
        .filter(({ frames }) => frames.length >= needed)
        .slice(-MOST_WINDOWS / FAR_WINDOWS)
        .map((recording) => ({ ...recording, frames: recording.frames.slice(-needed) })),
      ...{ context, leads, every },
    });
  }
  return far;
};

/** What a forecaster makes of the windows, and persistence and linear extrapolation beside it. */
export const scoreWindows = async (
  runner: Runner,
  latentStride: number,
  { series, context, leads, every }: Windows,
): Promise<HeldOutScore[]> => {
  const scores: HeldOutScore[] = [];
  const all = series.map((recording) => inMemory(recording, recording.frames));
  let window = 0;
  for await (const batch of forecastWindows(runner, all, { context, horizon: leads, every, latentStride }))
    for (const forecast of batch) {
      window++;
      for (let lead = 1; lead <= leads; lead++) {
        const { predicted, truth, last, previous, linear } = atLead(forecast, context, lead - 1);
        scores.push({
          series: forecast.series.name,
          window,
          lead,
          forecasterRmse: rmse(predicted, truth),
          persistenceRmse: rmse(last, truth),
          linearRmse: rmse(linear, truth),
          ...betweenRmse(truth, last, previous, lead),
        });
      }
    }
  return scores;
};

const meanError = (scores: readonly HeldOutScore[], of: (score: HeldOutScore) => number): number =>
  meanOf(scores.map(of));

/** Mean error over that of the better of persistence and linear extrapolation; 1 where neither errs. */
export const relativeError = (scores: readonly HeldOutScore[]): number => {
  const trivial = Math.min(
    meanError(scores, ({ persistenceRmse }) => persistenceRmse),
    meanError(scores, ({ linearRmse }) => linearRmse),
  );
  return trivial === 0 ? 1 : meanError(scores, ({ forecasterRmse }) => forecasterRmse) / trivial;
};

/** The furthest lead. */
export const reachOf = (scores: readonly HeldOutScore[]): number =>
  Math.max(...scores.map(({ lead }) => lead));

/**
 * Scores at leads beyond those of the frames kept apart, from windows over frames that were learned from, the shortest first:
 * each lead from the shortest that reach it. Learned frames flatter a forecaster, and longer windows begin where the run was
 * long ago: errors in them count as so many times larger as they are, over those of the trend of now, at the last leads of the
 * windows before, which those of the first are of the frames kept apart.
 */
export const discounted = (
  far: readonly (readonly HeldOutScore[])[],
  heldOut: readonly HeldOutScore[],
): HeldOutScore[] => {
  const damping = fittedDamping(heldOut);
  const overTrend = (scores: readonly HeldOutScore[]): number =>
    meanError(scores, ({ forecasterRmse }) => forecasterRmse) /
    Math.max(
      FLOOR,
      meanError(scores, (score) => trendError(score, damping)),
    );
  let before = heldOut;
  return far.flatMap((scores) => {
    const leads = new Set(before.map(({ lead }) => lead));
    const flattered = overTrend(scores.filter(({ lead }) => leads.has(lead)));
    const times = flattered > 0 ? Math.max(1, overTrend(before) / flattered) : 1;
    const [reached, windows] = [reachOf(before), Math.max(...before.map(({ window }) => window))];
    before = scores
      .filter(({ lead }) => lead > reached)
      .map((score) => ({
        ...score,
        window: windows + score.window,
        forecasterRmse: times * score.forecasterRmse,
      }));
    return before;
  });
};

/** The error at each lead and window that a challenger has to beat: the champion's, or that of the damped trend. */
export type Rival = (score: HeldOutScore, k: number) => number;

/** The trend with the damping that is best on these very windows. */
export const trendRival = (scores: readonly HeldOutScore[]): Rival => {
  const damping = fittedDamping(scores);
  return (score) => trendError(score, damping);
};

/** Better than the rival on the same windows, by more than noise: windows are the values, leads their parts. */
export const isBetter = (scores: readonly HeldOutScore[], rival: Rival): boolean => {
  const byWindow = new Map<number, number[]>();
  scores.forEach((score, k) => {
    const gains = byWindow.get(score.window) ?? [];
    byWindow.set(score.window, gains);
    gains.push(gainOver(rival(score, k), score.forecasterRmse));
  });
  const gains = [...byWindow.values()].map(meanOf);
  return likelyAbove(gains) && meanOf(gains) > LEAST_GAIN / 2;
};
