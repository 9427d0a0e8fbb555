import { BETWEEN, trendReach } from '../../metrics/baselines.js';
import type { LeadScore } from '../../pipeline/forecast.js';
import { FLOOR } from './noise.js';

/** What of a score tells what the trend would have erred. */
export type TrendScore = Pick<LeadScore, 'lead' | 'persistenceRmse' | 'linearRmse' | 'betweenRmse'>;

/** Shares of linear extrapolation whose errors a score has. */
const SHARES = [0, ...BETWEEN, 1];
const squaresOf = ({ persistenceRmse, betweenRmse, linearRmse }: TrendScore): number[] =>
  [persistenceRmse, ...betweenRmse, linearRmse].map((error) => error ** 2);

/**
 * The squared error is one of a parabola over how much of linear extrapolation the trend takes, where no value is clipped,
 * and near one where some are. What each known square weighs in that of a trend (Lagrange): the known share that is nearest,
 * but for the ends, and its neighbours.
 */
const weightsOf = (damping: number, lead: number): readonly number[] => {
  const share = trendReach(damping, lead) / lead;
  const inner = BETWEEN.map((one) => Math.abs(one - share));
  const nearest = 1 + inner.indexOf(Math.min(...inner));
  return SHARES.map((own, k) => {
    if (Math.abs(k - nearest) > 1) return 0;
    const others = SHARES.filter((_, other) => other !== k && Math.abs(other - nearest) <= 1);
    return others.reduce((weight, other) => (weight * (share - other)) / (own - other), 1);
  });
};
/** Weights by damping and lead: they are asked for thousands of times a frame, and there are few. */
const known = new Map<number, Map<number, readonly number[]>>();
const weightsAt = (damping: number, lead: number): readonly number[] => {
  const byLead = known.get(damping) ?? new Map<number, readonly number[]>();
  known.set(damping, byLead);
  const weights = byLead.get(lead) ?? weightsOf(damping, lead);
  byLead.set(lead, weights);
  return weights;
};
const weighted = (squares: readonly number[], weights: readonly number[]): number => {
  let sum = 0;
  for (let k = 0; k < squares.length; k++) sum += squares[k]! * weights[k]!;
  return Math.sqrt(Math.max(0, sum));
};

/** RMSE that the damped trend would have had. */
export const trendError = (score: TrendScore, damping: number): number =>
  weighted(squaresOf(score), weightsAt(damping, score.lead));

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
  const usable = scores.map((score) => ({
    lead: score.lead,
    squares: squaresOf(score),
    // One frame that nearly repeats the last must not outweigh all others.
    weight: weightOf(score) / Math.max(FLOOR, Math.min(score.persistenceRmse, score.linearRmse)),
  }));
  let [best, least] = [0, Infinity];
  for (const damping of DAMPINGS) {
    const error = usable.reduce(
      (sum, { lead, squares, weight }) => sum + weight * weighted(squares, weightsAt(damping, lead)),
      0,
    );
    if (error < least) [best, least] = [damping, error];
  }
  return best;
};
