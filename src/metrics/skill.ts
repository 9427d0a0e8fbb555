/**
 * Persistence errors below this (normalised values) count as this: a frozen series would otherwise give an infinite
 * skill, which JSON cannot write. It is below the rounding of 16-bit samples.
 */
const LEAST_RMSE = 1e-6;

/**
 * Skill over persistence, `1 - rmse / persistenceRmse`: 1 is perfect, 0 no better than the last frame, below 0 worse.
 * 0 where neither makes an error. Always finite.
 */
export const skillOf = (rmse: number, persistenceRmse: number): number =>
  rmse < LEAST_RMSE && persistenceRmse < LEAST_RMSE ? 0 : 1 - rmse / Math.max(persistenceRmse, LEAST_RMSE);

/** Skill of many forecasts taken together: `1 - sqrt(sum of MSE / sum of persistence MSE)`. 0 of none. */
export const pooledSkill = (
  errors: Iterable<{ readonly rmse: number; readonly persistenceRmse: number }>,
): number => {
  let model = 0;
  let baseline = 0;
  let count = 0;
  for (const { rmse, persistenceRmse } of errors) {
    model += rmse * rmse;
    baseline += persistenceRmse * persistenceRmse;
    count++;
  }
  return count === 0 ? 0 : skillOf(Math.sqrt(model / count), Math.sqrt(baseline / count));
};
