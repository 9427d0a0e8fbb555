import type { Score } from '../pipeline/forecast.js';
import type { SkillSums } from '../pipeline/skill-sums.js';
import { skillByLead, withScore } from '../pipeline/skill-sums.js';

/** Skill over persistence at a few leads, pooled over all forecasts and series. */
export interface SkillTally {
  add(score: Score): void;
  /** Skill by lead, for the leads that were reached so far. */
  readonly byLead: Readonly<Record<string, number>>;
}

export const createSkillTally = (): SkillTally => {
  let sums: SkillSums = {};
  const byLead = (): Readonly<Record<string, number>> => skillByLead([sums]);
  return {
    add: ({ horizon, leads }) => {
      sums = withScore(sums, horizon, leads);
    },
    get byLead() {
      return byLead();
    },
  };
};
