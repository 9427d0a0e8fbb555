import type { Contestant } from '../../pipeline/forecast.js';
import { bandsUpTo } from '../../uncertainty/calibration.js';
import { likelyAbove, meanOf } from './noise.js';
import type { Verified } from '../../pipeline/ledger/verified-store.js';
import { errorOf, type ByLead } from './standings.js';

/** Forecasts that a choice looks back on: enough to tell, few enough to follow a run that changes. */
const WINDOW = 20;
/** Fewer say nothing. */
const LEAST = 3;

/**
 * By how much `b` erred more than `a` in a band of leads, a value for each of the last forecasts, oldest first. Relative to
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

/**
 * Who makes each of the leads 1..horizon: band by band, whoever erred least in the last verified forecasts by more than
 * noise. The forecaster is judged by forecasts of its own (`hash`); in bands where it has none yet it is taken to do as in
 * the nearest band below, and where nothing is known at all it makes the forecast: it was chosen for that.
 */
export const chooseMakers = (verified: ByLead, hash: string, horizon: number): readonly Contestant[] => {
  let trivial: Contestant = 'persistence';
  let byForecaster = true;
  return bandsUpTo(horizon, 'fine').flatMap(({ from, to }) => {
    const leads = Array.from({ length: to - from + 1 }, (_, k) => from + k);
    const inBand = leads.flatMap((lead) => verified(lead).slice(-WINDOW));
    if (inBand.length >= LEAST) {
      trivial = better(inBand, 'persistence', 'linear');
      const own = inBand.filter(({ forecaster }) => forecaster === hash);
      if (own.length >= LEAST) byForecaster = better(own, 'forecaster', trivial) === 'forecaster';
    }
    const maker = byForecaster ? 'forecaster' : trivial;
    return leads.map(() => maker);
  });
};
