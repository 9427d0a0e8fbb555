import { pooledSkill } from '../../metrics/skill.js';
import { gainOver, meanOf, surelyAbove } from './noise.js';
import { windowOf, type ByLead } from './standings.js';

/** Forecasts that the skill at a lead is told of, and that trust needs as well. */
const RECENT = 20;

/**
 * Leads 1..n at each of which the verified forecasts, as they were emitted, had a smaller error than persistence with
 * 90 % confidence. `spacing`: leads between one forecast and the next; they overlap the more the further they look.
 */
export const trustedLeads = (verified: ByLead, horizon: number, spacing: number): number => {
  let trusted = 0;
  while (trusted < horizon) {
    const lead = trusted + 1;
    const overlap = lead / spacing;
    const gains = verified(lead)
      .slice(-windowOf(overlap))
      .map(({ rmse, persistenceRmse }) => gainOver(persistenceRmse, rmse));
    // Of a run that has changed the last ones know first.
    if (!(surelyAbove(gains, overlap) > 0 && meanOf(gains.slice(-RECENT)) > 0)) break;
    trusted = lead;
  }
  return trusted;
};

/** Skill over persistence of the last verified forecasts at a lead; undefined of none. */
export const recentSkill = (verified: ByLead, lead: number): number | undefined => {
  const last = verified(lead).slice(-RECENT);
  return last.length === 0 ? undefined : pooledSkill(last);
};
