import { meanOf } from './noise.js';
import type { Verified } from '../../pipeline/ledger/verified-store.js';

/**
 * Share of forecasts whose error may exceed its bound. A little below the tenth that is promised: what is learned from a
 * miss comes too late for the forecasts that are under way, and at late leads these are many.
 */
const MISSES = 0.08;
/** How fast bounds answer to misses. */
const STEP = 0.3;
/** Forecasts whose mean error a bound is a multiple of, and how many there must be. */
const [WINDOW, LEAST] = [10, 5];
/** A bound to begin with, and how narrow and wide it may become, as multiples of that mean. */
const [FIRST, NARROWEST, WIDEST] = [1.6, 0.2, 50];
/** Errors below this do not differ: it is below the rounding of 12 bits. */
const FLOOR = 1e-4;

/**
 * The bound of the next error at one lead, from the verified scores of that lead, oldest first; undefined while there are
 * too few. Adaptive conformal inference (Gibbs and Candes, NeurIPS 2021) in the form of quantile tracking (Angelopoulos,
 * Candes and Tibshirani, NeurIPS 2023): after a miss the bound reaches further, after a hit a little less far, so that
 * over any long time nine in ten errors stay below it, whatever the run does. What it is a multiple of, the mean of the last
 * errors, carries the trend.
 */
export const boundOf = (scores: readonly Verified[]): number | undefined => {
  if (scores.length < LEAST) return undefined;
  const usual = meanOf(scores.slice(-WINDOW).map(({ rmse }) => Math.max(rmse, FLOOR)));
  return usual * (scores.at(-1)?.reach ?? FIRST);
};

/** How far the bounds of a lead reach after one more score: `last` is what they reached so far. */
export const reachAfter = (
  last: number | undefined,
  { rmse, rmseBound }: Pick<Verified, 'rmse' | 'rmseBound'>,
): number => {
  const reach = last ?? FIRST;
  if (rmseBound === undefined) return reach;
  const missed = rmse > rmseBound ? 1 : 0;
  return Math.min(WIDEST, Math.max(NARROWEST, reach * Math.exp(STEP * (missed - MISSES))));
};
