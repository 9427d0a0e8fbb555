import { pooledSkill } from '../metrics/skill.js';
import type { LeadScore } from './forecast.js';

/** How far ahead forecasts of a series can be relied on, learned from scores as they come. */
export interface Trust {
  /** One lead of one forecast was verified. */
  readonly learn: (series: string, score: LeadScore) => void;
  /**
   * Leads 1..n for which the pooled skill over persistence of the last verified forecasts is positive without a break;
   * 0 before anything was verified.
   */
  readonly leadsOf: (series: string) => number;
}

/** @param window forecasts that are pooled at each lead */
export const createTrust = (window = 20): Trust => {
  /** Per series, per lead (from 1): the last `window` scores, oldest first. */
  const bySeries = new Map<string, Map<number, LeadScore[]>>();
  return {
    learn: (series, score) => {
      const leads = bySeries.get(series) ?? new Map<number, LeadScore[]>();
      bySeries.set(series, leads);
      leads.set(score.lead, [...(leads.get(score.lead) ?? []), score].slice(-window));
    },
    leadsOf: (series) => {
      const leads = bySeries.get(series);
      let trusted = 0;
      while (pooledSkill(leads?.get(trusted + 1) ?? []) > 0) trusted++;
      return trusted;
    },
  };
};
