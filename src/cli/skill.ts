import { pooledSkill } from '../metrics/skill.js';
import type { Score } from '../pipeline/forecast.js';

/** Skill over persistence at a few leads, pooled over all forecasts and series: 1 - sqrt(sum of MSE / sum of persistence MSE). */
export interface SkillTally {
  add(score: Score): void;
  /** Skill by lead, for the leads that were reached so far. */
  readonly byLead: Readonly<Record<string, number>>;
}

/** 1, 10 and 50, and the horizon itself where it falls short of 50. */
export const shownLeads = (horizon: number): number[] =>
  [...new Set([1, 10, 50, horizon].filter((lead) => lead <= Math.min(50, horizon)))].sort((a, b) => a - b);

export const createSkillTally = (horizon: number): SkillTally => {
  const sums = new Map(shownLeads(horizon).map((lead) => [lead, { model: 0, persistence: 0, count: 0 }]));
  const byLead = (): Record<string, number> =>
    Object.fromEntries(
      [...sums]
        .filter(([, { count }]) => count > 0)
        .map(([lead, { model, persistence }]) => [
          lead,
          pooledSkill([{ rmse: Math.sqrt(model), persistenceRmse: Math.sqrt(persistence) }]),
        ]),
    );
  return {
    add: ({ leads }) => {
      for (const { lead, rmse, persistenceRmse } of leads) {
        const sum = sums.get(lead);
        if (!sum) continue;
        sum.model += rmse ** 2;
        sum.persistence += persistenceRmse ** 2;
        sum.count++;
      }
    },
    get byLead() {
      return byLead();
    },
  };
};
