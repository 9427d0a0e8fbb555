import { NO_FORECASTER, type Contestant } from '../../pipeline/forecast.js';
import { gainOver, likelyAbove, meanOf } from './noise.js';
import type { Verified } from '../../pipeline/ledger/verified-store.js';
import { around } from './nowcast.js';
import type { ByLead } from './standings.js';
import { fittedDamping, trendError } from './trend.js';

/** Forecasts that a choice looks back on: enough to tell, few enough to follow a run that changes. */
const WINDOW = 20;
/** Fewer say nothing: neighbouring ones are alike. */
const LEAST = 3;
/**
 * Where nothing vouches for it, a network that began from nothing makes leads up to so many times the furthest one that it
 * was tried at.
 */
const FURTHER = 3;

/** A mean over some leads for each forecast, by where it was issued. */
const byForecast = (
  scores: readonly Verified[],
  valueOf: (score: Verified) => number,
): ReadonlyMap<number, number> => {
  const values = new Map<number, number[]>();
  for (const score of scores) {
    const known = values.get(score.origin);
    if (known === undefined) values.set(score.origin, [valueOf(score)]);
    else known.push(valueOf(score));
  }
  return new Map([...values].map(([origin, some]) => [origin, meanOf(some)]));
};

/** The values of the last forecasts, oldest first. */
const lastOf = (values: ReadonlyMap<number, number>): number[] =>
  [...values]
    .sort(([first], [second]) => first - second)
    .slice(-WINDOW)
    .map(([, value]) => value);

/** Whether scores are of enough forecasts to tell. */
const hasEnough = (scores: readonly Verified[]): boolean =>
  new Set(scores.map(({ origin }) => origin)).size >= LEAST;

/** A score of a window over frames of a series. */
export interface Tried extends Verified {
  readonly series: string;
}

/** What is known of a forecaster before any of its forecasts are verified. */
export interface Vouched {
  /** Of windows over frames that were there before, as if they were its first forecasts. */
  readonly scores: readonly Tried[];
  /**
   * Of a network that began from nothing: the furthest lead that it, or one that it grew from, was tried at on frames that
   * it had not learned from. It was trained with short roll-outs, and those that go astray do so further on.
   */
  readonly tried?: number | undefined;
}

/** Slope of y over x by least squares; 0 where there is one x. */
const slopeOf = (points: readonly { readonly x: number; readonly y: number }[]): number => {
  const [centre, mean] = [meanOf(points.map(({ x }) => x)), meanOf(points.map(({ y }) => y))];
  const spread = points.reduce((sum, { x }) => sum + (x - centre) ** 2, 0);
  return spread === 0 ? 0 : points.reduce((sum, { x, y }) => sum + (x - centre) * (y - mean), 0) / spread;
};

/** What is known of the forecaster at a lead: its mean gain over the trend, and whether that is enough to take it. */
interface Known {
  readonly gain: number;
  readonly taken: boolean;
}

/**
 * At which of the leads 1..n the forecaster is taken; undefined where nothing is known of it. Beyond the known leads it is
 * taken for as long as its gain lasts, if that goes on falling as it did over the further half of the known ones, on a line
 * over the lead: errors of a roll-out that goes astray multiply from lead to lead. Where no lead is known at all it is taken:
 * it was chosen for that. Not beyond `furthest`.
 */
const takenAt = (known: readonly (Known | undefined)[], furthest: number): boolean[] => {
  const seen: { x: number; y: number }[] = [];
  let taken = true;
  return known.map((entry, k) => {
    const lead = k + 1;
    if (entry !== undefined) {
      seen.push({ x: lead, y: entry.gain });
      return (taken = entry.taken);
    }
    if (lead > furthest) return false;
    const last = seen.at(-1);
    if (last === undefined || !taken) return taken;
    const slope = slopeOf(seen.filter(({ x }) => 2 * x >= last.x));
    return last.y + Math.min(0, slope) * (lead - last.x) > 0;
  });
};

/** The newest scores of each lead say what the trend is now. */
const NEWEST = 3;
/** Those of a lead so much longer are as much older, and worth half as much. */
const HALF = 8;
/** A trend is not taken to last longer than so many times the leads at which it was seen. */
const LONGEST = 2;

/** Who makes each of the leads 1..horizon of a forecast, and the damping of the trend where it does. */
export interface Makers {
  readonly makers: readonly Contestant[];
  readonly damping: number;
}

/**
 * At each lead the forecaster (`hash`) or the damped trend, whichever erred less at it, and a little around it, in the last
 * verified forecasts; errors of the trend are those of the damping that would have been best lately. The forecaster is
 * judged by forecasts of its own, beside what vouches for it; where it has none of its own yet by the latter alone; where
 * there are none either by how the forecasts of those before it became better or worse from there on, who may have been
 * another kind of forecaster; beyond these by how it does at the leads below, and not much beyond what it was tried at or
 * vouched for if it began from nothing. By what vouches for it alone it has to be better than the trend by more than noise;
 * once it has enough forecasts of its own, or its predecessors had, it is left only when it was worse by more than noise.
 */
export const chooseMakers = (
  verified: ByLead,
  hash: string,
  horizon: number,
  vouched: Vouched = { scores: [] },
): Makers => {
  const leads = Array.from({ length: horizon }, (_, k) => k + 1);
  const seen = leads.findLast((lead) => verified(lead).length > 0) ?? 1;
  const newest = leads.flatMap((lead) => verified(lead).slice(-NEWEST));
  const fitted = fittedDamping(newest, ({ lead }) => 2 ** (-lead / HALF));
  const damping = seen < horizon ? Math.min(fitted, 1 - 1 / (LONGEST * seen)) : fitted;
  if (hash === NO_FORECASTER.hash) return { makers: leads.map(() => 'trend'), damping };

  const isOwn = ({ forecaster }: Verified): boolean => forecaster === hash;
  const reached = leads.findLast((lead) => verified(lead).some(isOwn)) ?? 0;
  const shown = Math.max(reached, vouched.tried ?? horizon) * FURTHER;
  const furthest = Math.max(shown, ...vouched.scores.map(({ lead }) => lead));
  /**
   * By how much the trend erred more than the forecaster, relative to what both erred, so that a run whose errors grow is
   * not judged by its last frames alone.
   */
  const gains = new Map<Verified, number>();
  const gainOf = (score: Verified): number => {
    const gain = gains.get(score) ?? gainOver(trendError(score, damping), score.forecasterRmse);
    gains.set(score, gain);
    return gain;
  };
  const isWorse = (values: readonly number[]): boolean => likelyAbove(values.map((gain) => -gain));
  /** The last lead at which it is known itself, and its gain there. */
  let itself: { readonly near: readonly number[]; readonly gain: number } | undefined;
  /** What it would have gained where those before it did: less than at the last lead at which it is known, as they did. */
  const likeThoseBefore = (scores: readonly Verified[]): number[] => {
    const gains = byForecast(scores, gainOf);
    if (itself === undefined) return lastOf(gains);
    const { near, gain } = itself;
    const there = byForecast(
      near.flatMap((one) => verified(one).filter(({ origin }) => gains.has(origin))),
      gainOf,
    );
    return lastOf(
      new Map([...there].map(([origin, before]) => [origin, gain + gains.get(origin)! - before])),
    );
  };
  const known = leads.map((lead): Known | undefined => {
    if (lead > furthest) return undefined;
    const near = around(lead);
    const scores = near.flatMap((one) => verified(one).slice(-WINDOW));
    const own = scores.filter(isOwn);
    const all = [...vouched.scores.filter((score) => near.includes(score.lead)), ...own];
    if (hasEnough(all)) {
      const values = lastOf(byForecast(all, gainOf));
      itself = { near, gain: meanOf(values) };
      return { gain: itself.gain, taken: hasEnough(own) ? !isWorse(values) : likelyAbove(values) };
    }
    const others = scores.filter(({ forecaster }) => forecaster !== NO_FORECASTER.hash);
    if (!hasEnough(others)) return undefined;
    const values = likeThoseBefore(others);
    if (values.length < LEAST) return undefined;
    return { gain: meanOf(values), taken: !isWorse(values) };
  });
  const makers = takenAt(known, furthest).map((taken): Contestant => (taken ? 'forecaster' : 'trend'));
  return { makers, damping };
};
