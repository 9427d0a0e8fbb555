import { BETWEEN, trendReach } from '../../metrics/baselines.js';
import type { LeadScore } from '../../pipeline/forecast.js';

/** What of a score tells what the trend would have erred. */
export type TrendScore = Pick<LeadScore, 'lead' | 'persistenceRmse' | 'linearRmse' | 'betweenRmse'>;

/** Of the shares of linear extrapolation: those whose errors a score has. */
const SHARES = [0, ...BETWEEN, 1];
/** Up to here the second one is nearest but for the first, up to there the third. */
const [FIRST_HALF, SECOND_HALF] = [(BETWEEN[0] + BETWEEN[1]) / 2, (BETWEEN[1] + BETWEEN[2]) / 2];

/**
 * RMSE that the damped trend would have had. Its square lies on a parabola over how much of linear extrapolation the trend
 * takes, where no value is clipped, and near one where some are: the one through the three known shares that are nearest.
 */
export const trendError = (
  { lead, persistenceRmse, linearRmse, betweenRmse }: TrendScore,
  damping: number,
): number => {
  const share = trendReach(damping, lead) / lead;
  const errors = [persistenceRmse, ...betweenRmse, linearRmse];
  const middle = share <= FIRST_HALF ? 1 : share <= SECOND_HALF ? 2 : 3;
  let square = 0;
  for (let k = middle - 1; k <= middle + 1; k++) {
    let weight = 1;
    for (let other = middle - 1; other <= middle + 1; other++)
      if (other !== k) weight *= (share - SHARES[other]!) / (SHARES[k]! - SHARES[other]!);
    square += weight * errors[k]! ** 2;
  }
  return Math.sqrt(Math.max(0, square));
};

/** From 0 to 1, the closer together the closer to 1, where the trend lasts longest. */
const DAMPINGS = [...Array.from({ length: 60 }, (_, k) => 1 - 0.9 ** k), 1];
/**
 * The damping with the least errors over scores, each as a share of those of the better of persistence and linear
 * extrapolation, so that leads count alike but for their weights; 0 where there are none.
 */
export const fittedDamping = <Score extends TrendScore>(
  scores: readonly Score[],
  weightOf: (score: Score) => number = () => 1,
): number => {
  const usable = scores
    .map((score) => ({
      score,
      weight: weightOf(score) / Math.min(score.persistenceRmse, score.linearRmse),
    }))
    .filter(({ weight }) => Number.isFinite(weight));
  let [best, least] = [0, Infinity];
  if (usable.length === 0) return best;
  for (const damping of DAMPINGS) {
    const error = usable.reduce((sum, { score, weight }) => sum + weight * trendError(score, damping), 0);
    if (error < least) [best, least] = [damping, error];
  }
  return best;
};
