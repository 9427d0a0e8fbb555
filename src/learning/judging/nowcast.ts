import type { Verified } from '../../pipeline/ledger/verified-store.js';
import type { ByLead } from './standings.js';

/** Forecasts that say how things are at a time. */
const NEWEST = 3;

/** Leads that are judged together with a lead: errors a tenth of the way around it do not differ much. */
export const around = (lead: number): number[] => {
  const reach = Math.round(lead / 10);
  return Array.from({ length: 2 * reach + 1 }, (_, k) => lead - reach + k);
};

/**
 * By how much a value of scores at a lead differs now from that of the last `window` verified forecasts. Of a lead of 40
 * frames these are 40 frames old and more, and the run goes on. The newest of them tell of the time until they were issued,
 * forecasts of half the lead of half the time since, those of a quarter of the time after it, and so on.
 */
export const changeSince = (
  verified: ByLead,
  lead: number,
  window: number,
  valueOf: (scores: readonly Verified[]) => number,
): number => {
  const newest = (of: number): number => verified(of).at(-1)?.origin ?? NaN;
  const value = (of: number, until: number, size: number): number =>
    valueOf(
      around(of).flatMap((near) => {
        const known = verified(near);
        const end = known.findLastIndex(({ origin }) => origin <= until) + 1;
        return known.slice(Math.max(0, end - size), end);
      }),
    );
  let change = value(lead, newest(lead), NEWEST) - value(lead, newest(lead), window);
  for (let longer = lead; longer > 1; longer >>= 1) {
    const shorter = longer >> 1;
    const step = value(shorter, newest(shorter), NEWEST) - value(shorter, newest(longer), NEWEST);
    if (Number.isFinite(step)) change += step;
  }
  return change;
};
