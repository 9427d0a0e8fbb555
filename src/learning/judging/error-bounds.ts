import { NO_FORECASTER, type Contestant } from '../../pipeline/forecast.js';
import { FLOOR, meanOf } from './noise.js';
import { changeSince } from './nowcast.js';
import type { ByLead } from './standings.js';
import type { Verified } from '../../pipeline/ledger/verified-store.js';
import { trendError } from './trend.js';

/** Share of forecasts whose error may exceed its bound. */
const MISSES = 0.1;
/**
 * How fast bounds answer to misses where they are known before the next forecast. A miss at lead l is known l leads late, when
 * more forecasts have missed already: answering each of them in full would overshoot.
 */
const STEP = 0.2;
/** Forecasts whose mean error a bound is a multiple of, and how many there must be. */
const [WINDOW, LEAST] = [10, 5];
/** A share of how that mean is thought to have changed since: what is known of it is noisy. */
const DAMPING = 0.7;
/** A bound to begin with, and how narrow and wide it may become, as multiples of that mean. */
const [FIRST, NARROWEST, WIDEST] = [1.5, 0.2, 50];
/** Leads from here on know late of what goes wrong. */
const LATE = 6;
/** Who makes the lead that a bound is for, and with which damping if it is the trend. */
export interface Maker {
  readonly madeBy: Contestant;
  readonly damping: number;
}

/** What the maker of now erred, or would have, where the forecast was made otherwise. */
const errorOf = (score: Verified, { madeBy, damping }: Maker): number => {
  if (madeBy === 'trend') return trendError(score, damping);
  return score.forecaster === NO_FORECASTER.hash ? score.rmse : score.forecasterRmse;
};

/**
 * How far bounds of a lead reach, as multiples of its usual error: as far as those of half the lead while none of its own have
 * met their truth, and at late leads no less far than these later on, for they know sooner of what goes wrong.
 */
const reachOf = (verified: ByLead, lead: number): number => {
  const own = verified(lead).at(-1)?.reach;
  if (lead === 1) return own ?? FIRST;
  if (own !== undefined && lead < LATE) return own;
  return Math.max(own ?? 0, reachOf(verified, lead >> 1));
};

/**
 * The bound of the next error at a lead, from the verified scores; undefined while there are too few. Adaptive conformal
 * inference (Gibbs and Candes, NeurIPS 2021) in the form of quantile tracking (Angelopoulos, Candes and Tibshirani, NeurIPS
 * 2023): after a miss the bound reaches further, after a hit a little less far, so that over any long time nine in ten errors
 * stay below it, whatever the run does. What it is a multiple of, the mean of what the maker erred in the last forecasts and
 * how errors have changed since, carries the trend.
 */
export const boundOf = (verified: ByLead, lead: number, maker: Maker): number | undefined => {
  const scores = verified(lead);
  if (scores.length < LEAST) return undefined;
  const usualError = (some: readonly Verified[]): number =>
    meanOf(some.map((score) => Math.max(errorOf(score, maker), FLOOR)));
  const change = changeSince(verified, lead, WINDOW, (some) => Math.log(usualError(some)));
  return usualError(scores.slice(-WINDOW)) * Math.exp(DAMPING * change) * reachOf(verified, lead);
};

/**
 * What a lead's own bounds reach after one more score; undefined while none of its forecasts had any.
 * @param spacing leads from one forecast to the next
 */
export const reachAfter = (
  verified: ByLead,
  { lead, rmse, rmseBound }: Pick<Verified, 'lead' | 'rmse' | 'rmseBound'>,
  spacing: number,
): number | undefined => {
  const own = verified(lead).at(-1)?.reach;
  if (rmseBound === undefined) return own;
  const missed = rmse > rmseBound ? 1 : 0;
  const answer = (STEP / Math.sqrt(Math.max(1, lead / spacing))) * (missed - MISSES);
  return Math.min(WIDEST, Math.max(NARROWEST, (own ?? reachOf(verified, lead)) * Math.exp(answer)));
};
