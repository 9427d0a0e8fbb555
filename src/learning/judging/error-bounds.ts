import { NO_FORECASTER, type Contestant } from '../../pipeline/forecast.js';
import { FLOOR, meanOf } from './noise.js';
import { around, changeSince } from './nowcast.js';
import type { ByLead } from './standings.js';
import type { Verified } from '../../pipeline/ledger/verified-store.js';
import { trendError } from './trend.js';

/** Share of forecasts whose error may exceed its bound. */
const MISSES = 0.1;
/**
 * How fast bounds answer to misses where they are known before the next forecast. A miss at lead l is known l leads late, when
 * more forecasts have missed already: answering each of them in full would overshoot.
 */
const STEP = 0.3;
/** Forecasts whose mean error a bound is a multiple of, and how many there must be. */
const [WINDOW, LEAST] = [10, 5];
/** A share of how that mean is thought to have changed since: what is known of it is noisy. */
const DAMPING = 0.7;
/** Forecasts that say how wrong expected errors were lately: how many there must be, and as how many more that say nothing. */
const [FEWEST, DOUBTED] = [3, 20];
/** A bound to begin with, and how narrow and wide it may become, as multiples of what is expected. */
const [FIRST, NARROWEST, WIDEST] = [1.5, 0.2, 50];
/** Leads from here on know late of what goes wrong. */
const LATE = 6;
/** Who makes the lead that a bound is for, and with which damping if it is the trend. */
export interface Maker {
  readonly madeBy: Contestant;
  readonly damping: number;
  /** Of the forecaster. */
  readonly hash: string;
  /** What vouches for it before any of its forecasts are verified. */
  readonly vouched: readonly Verified[];
}

const usual = (scores: readonly Verified[], errorOf: (score: Verified) => number): number =>
  meanOf(scores.map((score) => Math.max(errorOf(score), FLOOR)));

/** What was erred in the last verified forecasts of a lead, and how errors have changed since. */
const nowcast = (verified: ByLead, lead: number, errorOf: (score: Verified) => number): number => {
  const change = changeSince(verified, lead, WINDOW, (some) => Math.log(usual(some, errorOf)));
  return usual(verified(lead).slice(-WINDOW), errorOf) * Math.exp(DAMPING * change);
};

/**
 * The error to expect of whoever makes the lead, by what it erred in the last forecasts, or would have. A forecaster that has
 * made few of them may be better or worse than those before it, and what vouches for it may flatter it: then it is halfway, as
 * a multiple, to what the trend errs now times what the forecaster errs over the trend where it was tried.
 */
const expectedError = (verified: ByLead, lead: number, { madeBy, damping, hash, vouched }: Maker): number => {
  const ofTrend = (score: Verified): number => trendError(score, damping);
  if (madeBy === 'trend') return nowcast(verified, lead, ofTrend);
  const ofForecaster = ({ forecaster, rmse, forecasterRmse }: Verified): number =>
    forecaster === NO_FORECASTER.hash ? rmse : forecasterRmse;
  const byLast = nowcast(verified, lead, ofForecaster);
  const own = verified(lead)
    .slice(-WINDOW)
    .filter(({ forecaster }) => forecaster === hash);
  const near = around(lead);
  const tried = vouched.filter((score) => near.includes(score.lead));
  if (own.length >= LEAST || tried.length === 0) return byLast;
  const overTrend = usual(tried, ofForecaster) / usual(tried, ofTrend);
  return Math.sqrt(byLast * overTrend * nowcast(verified, lead, ofTrend));
};

/**
 * How far bounds of a lead reach, as multiples of what is expected: as far as those of half the lead while none of its own have
 * met their truth, and at late leads no less far than these later on, for they know sooner of what goes wrong.
 */
const reachOf = (verified: ByLead, lead: number): number => {
  const own = verified(lead).at(-1)?.reach;
  if (lead === 1) return own ?? FIRST;
  if (own !== undefined && lead < LATE) return own;
  return Math.max(own ?? 0, reachOf(verified, lead >> 1));
};

/**
 * How many times what was expected of this contestant it has erred lately, at the lead or the longest shorter one that says so
 * of enough forecasts: a share of that, for it changes.
 */
const correction = (verified: ByLead, lead: number, madeBy: Contestant): number => {
  for (let near = lead; near > 0; near--) {
    const times = verified(near)
      .slice(-WINDOW)
      .filter((score) => score.madeBy === madeBy)
      .flatMap(({ rmse, rmseExpected }) =>
        rmseExpected === undefined ? [] : [Math.log(Math.max(rmse, FLOOR) / rmseExpected)],
      );
    if (times.length >= FEWEST) return Math.exp((meanOf(times) * times.length) / (times.length + DOUBTED));
  }
  return 1;
};

/**
 * What the next error at a lead is expected to be, from the verified scores, and what it stays below nine times in ten;
 * undefined while there are too few. Adaptive conformal inference (Gibbs and Candes, NeurIPS 2021) in the form of quantile
 * tracking (Angelopoulos, Candes and Tibshirani, NeurIPS 2023): after a miss the bound reaches further, after a hit a little
 * less far, so that over any long time nine in ten errors stay below it, whatever the run does. What it is a multiple of, the
 * expected error, corrected by how wrong that was lately, carries the trend.
 */
export const boundOf = (
  verified: ByLead,
  lead: number,
  maker: Maker,
): { readonly rmseExpected: number; readonly rmseBound: number } | undefined => {
  if (verified(lead).length < LEAST) return undefined;
  const rmseExpected = expectedError(verified, lead, maker);
  const times = correction(verified, lead, maker.madeBy) * reachOf(verified, lead);
  return { rmseExpected, rmseBound: rmseExpected * times };
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
