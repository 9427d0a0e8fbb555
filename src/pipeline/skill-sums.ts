import { pooledSkill } from '../metrics/skill.js';
import type { LeadScore } from './forecast.js';

/** Sums over scores, by lead: squared errors of the forecasts and of persistence, and how many there were. */
export type SkillSums = Readonly<
  Record<string, readonly [model: number, persistence: number, count: number]>
>;

/** 1, 10 and 50, and the horizon itself where it falls short of 50. */
export const shownLeads = (horizon: number): number[] =>
  [...new Set([1, 10, 50, horizon].filter((lead) => lead <= Math.min(50, horizon)))].sort((a, b) => a - b);

/** The sums with one more score, at the leads that are shown for its horizon. */
export const withScore = (sums: SkillSums, horizon: number, leads: readonly LeadScore[]): SkillSums => {
  const shown = shownLeads(horizon);
  const added = leads
    .filter(({ lead }) => shown.includes(lead))
    .map(({ lead, rmse, persistenceRmse }) => {
      const [model, persistence, count] = sums[lead] ?? [0, 0, 0];
      return [lead, [model + rmse ** 2, persistence + persistenceRmse ** 2, count + 1]] as const;
    });
  return { ...sums, ...Object.fromEntries(added) };
};

/** Skill over persistence by lead, pooled over everything that was summed: 1 - sqrt(sum of MSE / sum of persistence MSE). */
export const skillByLead = (all: Iterable<SkillSums>): Readonly<Record<string, number>> => {
  const total = new Map<string, { model: number; persistence: number }>();
  for (const sums of all)
    for (const [lead, [model, persistence]] of Object.entries(sums)) {
      const sum = total.get(lead) ?? { model: 0, persistence: 0 };
      total.set(lead, { model: sum.model + model, persistence: sum.persistence + persistence });
    }
  return Object.fromEntries(
    [...total].map(([lead, { model, persistence }]) => [
      lead,
      pooledSkill([{ rmse: Math.sqrt(model), persistenceRmse: Math.sqrt(persistence) }]),
    ]),
  );
};
