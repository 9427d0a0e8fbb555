import { trendReach } from '../../metrics/baselines.js';
import type { LeadScore } from '../../pipeline/forecast.js';
import { meanOf } from './noise.js';

/** What of a score tells what the trend would have erred. */
export type TrendScore = Pick<
  LeadScore,
  'lead' | 'persistenceRmse' | 'linearRmse' | 'lastChangeRmse' | 'moved'
>;

/** RMSE that the damped trend would have had, but for the clipping to 0..1. */
export const trendError = (
  { lead, persistenceRmse, lastChangeRmse, moved }: TrendScore,
  damping: number,
): number => {
  const off = trendReach(damping, lead) - moved;
  return Math.sqrt(Math.max(0, persistenceRmse ** 2 + lastChangeRmse ** 2 * (off ** 2 - moved ** 2)));
};

/** From 0 to 1, the closer together the closer to 1, where the trend lasts longest. */
const DAMPINGS = [...Array.from({ length: 60 }, (_, k) => 1 - 0.9 ** k), 1];
/**
 * The damping with the least errors over scores, each as a share of those of the better of persistence and linear
 * extrapolation, so that leads count alike; 0 where there are none.
 * @param most for leads beyond those of the scores: the greatest damping to be taken
 */
export const fittedDamping = (scores: readonly TrendScore[], most = 1): number => {
  const usable = scores
    .map((score) => ({ score, trivial: Math.min(score.persistenceRmse, score.linearRmse) }))
    .filter(({ trivial }) => trivial > 0);
  let [best, least] = [0, Infinity];
  if (usable.length === 0) return best;
  for (const damping of DAMPINGS) {
    if (damping > most) break;
    const error = meanOf(usable.map(({ score, trivial }) => trendError(score, damping) / trivial));
    if (error < least) [best, least] = [damping, error];
  }
  return best;
};
