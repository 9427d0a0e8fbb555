import type { Verified } from '../../pipeline/ledger/verified-store.js';
import { FLOOR, meanOf, median } from './noise.js';
import type { ByLead } from './standings.js';
import { fittedDamping, trendError } from './trend.js';

/** Leads that are watched: the truth of later ones comes too late to be news. */
const LEADS: readonly number[] = [1, 2, 3];
export const isWatched = (lead: number): boolean => LEADS.includes(lead);
/** Errors before the newest that say what is usual, and how many there must be. */
const [WINDOW, LEAST] = [40, 12];
/** A few of them, just before: errors that grow slowly are no alarm. */
const JUST_BEFORE = 4;
/** Forecasts after which errors are usual again: an alarm that comes sooner is of the change that the last one was of. */
export const ONE_CHANGE = LEAST + JUST_BEFORE;
/** The newest error must be so many times the usual one, and beyond so many of its usual ups and downs. */
const [LEAST_RATIO, LEAST_DEVIATIONS] = [1.8, 8];
/** The truth has left what forecasts of its series usually get wrong: the run has changed, or something is wrong with it. */
export interface Alarm {
  readonly lead: number;
  /** The error over what was usual. */
  readonly times: number;
}

/**
 * Errors of whoever made the newest forecast, so that a change of the forecaster is not taken for one of the run: of the
 * forecaster itself, or, until there are enough of them, of the trend.
 */
const errorsOf = (scores: readonly Verified[], last: Verified): number[] => {
  if (last.madeBy === 'forecaster') {
    const own = scores.filter(({ forecaster }) => forecaster === last.forecaster).slice(-WINDOW);
    if (own.length >= LEAST + JUST_BEFORE) return own.map(({ forecasterRmse }) => forecasterRmse);
  }
  const all = scores.slice(-WINDOW);
  const damping = fittedDamping(all.slice(0, -1));
  return all.map((score) => trendError(score, damping));
};

/**
 * Looks at the newest errors of the first leads. On a logarithmic scale, each error is compared with the mean of those just
 * before it; the newest difference raises the alarm when it is far beyond the differences of the last forecasts. `newest`:
 * where the forecast was issued that is news, for each lead.
 */
export const alarmOf = (verified: ByLead, newest: (lead: number) => number): Alarm | undefined => {
  for (const lead of LEADS) {
    const scores = verified(lead);
    const last = scores.at(-1);
    if (last === undefined || last.origin !== newest(lead)) continue;
    const errors = errorsOf(scores, last).map((error) => Math.log(Math.max(error, FLOOR)));
    if (errors.length < LEAST + JUST_BEFORE) continue;
    const jumps = errors
      .slice(JUST_BEFORE)
      .map((error, k) => error - meanOf(errors.slice(k, k + JUST_BEFORE)));
    const jump = jumps.pop()!;
    const centre = median(jumps);
    const deviation = 1.4826 * median(jumps.map((value) => Math.abs(value - centre)));
    if (jump > Math.log(LEAST_RATIO) && jump > centre + LEAST_DEVIATIONS * deviation)
      return { lead, times: Math.exp(jump) };
  }
  return undefined;
};
