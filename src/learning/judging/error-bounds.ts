import { meanOf } from './noise.js';
import { changeSince } from './nowcast.js';
import type { ByLead } from './standings.js';
import type { Verified } from '../../pipeline/ledger/verified-store.js';

/** Share of forecasts whose error may exceed its bound. */
const MISSES = 0.1;
/**
 * How fast bounds answer to misses at lead 1. A miss at lead l is known l frames late, when l forecasts more have missed
 * already: answering each of them in full would overshoot.
 */
const STEP = 0.3;
/** Forecasts whose mean error a bound is a multiple of, and how many there must be. */
const [WINDOW, LEAST] = [10, 5];
/** A share of how that mean is thought to have changed since: what is known of it is noisy. */
const DAMPING = 0.7;
/** A bound to begin with, and how narrow and wide it may become, as multiples of that mean. */
const [FIRST, NARROWEST, WIDEST] = [1.5, 0.2, 50];
/** Errors below this do not differ: it is below the rounding of 12 bits. */
const FLOOR = 1e-4;

const usualError = (scores: readonly Verified[]): number =>
  meanOf(scores.map(({ rmse }) => Math.max(rmse, FLOOR)));

/**
 * The bound of the next error at a lead, from the verified scores; undefined while there are too few. Adaptive conformal
 * inference (Gibbs and Candes, NeurIPS 2021) in the form of quantile tracking (Angelopoulos, Candes and Tibshirani, NeurIPS
 * 2023): after a miss the bound reaches further, after a hit a little less far, so that over any long time nine in ten errors
 * stay below it, whatever the run does. What it is a multiple of, the mean of the last errors and how errors have changed
 * since, carries the trend.
 */
export const boundOf = (verified: ByLead, lead: number): number | undefined => {
  const scores = verified(lead);
  if (scores.length < LEAST) return undefined;
  const change = changeSince(verified, lead, WINDOW, (some) => Math.log(usualError(some)));
  const usual = usualError(scores.slice(-WINDOW)) * Math.exp(DAMPING * change);
  // Of what went wrong just now half the lead knows before the lead does.
  const reaches = [lead, lead >> 1].flatMap((of) => verified(of).at(-1)?.reach ?? []);
  return usual * Math.max(...reaches);
};

/** How far the bounds of a lead reach after one more score: `last` is what they reached so far. */
export const reachAfter = (
  last: number | undefined,
  { lead, rmse, rmseBound }: Pick<Verified, 'lead' | 'rmse' | 'rmseBound'>,
): number => {
  const reach = last ?? FIRST;
  if (rmseBound === undefined) return reach;
  const missed = rmse > rmseBound ? 1 : 0;
  const answer = (STEP / Math.sqrt(lead)) * (missed - MISSES);
  return Math.min(WIDEST, Math.max(NARROWEST, reach * Math.exp(answer)));
};
