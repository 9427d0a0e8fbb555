import { NO_FORECASTER, type Contestant } from '../../pipeline/forecast.js';
import { likelyAbove, meanOf } from './noise.js';
import type { Verified } from '../../pipeline/ledger/verified-store.js';
import { errorOf, type ByLead } from './standings.js';

/** Forecasts that a choice looks back on: enough to tell, few enough to follow a run that changes. */
const WINDOW = 20;
/** Fewer say nothing. */
const LEAST = 3;

/**
 * By how much `b` erred more than `a` at some leads, a value for each of the last forecasts, oldest first. Relative to
 * what both erred, so that a run whose errors grow is not judged by its last frames alone.
 */
const differences = (scores: readonly Verified[], a: Contestant, b: Contestant): number[] => {
  const byOrigin = new Map<number, number[]>();
  for (const score of scores) {
    const [mine, other] = [errorOf(score, a), errorOf(score, b)];
    const both = mine + other;
    byOrigin.set(score.origin, [...(byOrigin.get(score.origin) ?? []), both > 0 ? (other - mine) / both : 0]);
  }
  return [...byOrigin]
    .sort(([first], [second]) => first - second)
    .slice(-WINDOW)
    .map(([, values]) => meanOf(values));
};

/** `other` takes the place of `incumbent` when it was better by more than noise. */
const better = (scores: readonly Verified[], incumbent: Contestant, other: Contestant): Contestant =>
  likelyAbove(differences(scores, other, incumbent)) ? other : incumbent;

/** Leads that are judged together with a lead: errors a tenth of the way around it do not differ much. */
const around = (lead: number): number[] => {
  const reach = Math.round(lead / 10);
  return Array.from({ length: 2 * reach + 1 }, (_, k) => lead - reach + k);
};

/**
 * Who makes each of the leads 1..horizon: whoever erred least at it, and a little around it, in the last verified
 * forecasts, by more than noise. The forecaster (`hash`) is judged by forecasts of its own; where it has none yet by those
 * of the forecasters before it; where there are none either it is taken to do as at the lead below; and where nothing is
 * known at all it makes the forecast: it was chosen for that. `vouched`: scores on frames that it had not learned from, as
 * if they were its first.
 */
export const chooseMakers = (
  verified: ByLead,
  hash: string,
  horizon: number,
  vouched: readonly Verified[] = [],
): readonly Contestant[] => {
  const isNone = hash === NO_FORECASTER.hash;
  let trivial: Contestant = 'persistence';
  let byForecaster = !isNone;
  return Array.from({ length: horizon }, (_, k) => {
    const leads = around(k + 1);
    const near = leads.flatMap((lead) => verified(lead).slice(-WINDOW));
    if (near.length >= LEAST) trivial = better(near, 'persistence', 'linear');
    const own = [
      ...vouched.filter(({ lead }) => leads.includes(lead)),
      ...near.filter(({ forecaster }) => forecaster === hash),
    ];
    const before = near.filter(({ forecaster }) => forecaster !== NO_FORECASTER.hash);
    const known = own.length >= LEAST ? own : before;
    if (!isNone && known.length >= LEAST)
      byForecaster = better(known, 'forecaster', trivial) === 'forecaster';
    return byForecaster ? 'forecaster' : trivial;
  });
};
