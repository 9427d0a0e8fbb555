import type { Verified, VerifiedStore } from '../../pipeline/ledger/verified-store.js';
import { median } from './noise.js';

/** Forecasts that are looked back on; of those that overlap a lot, more than so many for each that they are worth. */
const [WINDOW, OF_EACH] = [120, 2.4];
export const windowOf = (overlap: number): number => Math.max(WINDOW, Math.ceil(OF_EACH * overlap));
/** Forecasts whose scores are kept besides, for frames that may come again after a crash. */
const AGAIN = 80;

/** Verified scores by lead, oldest first. */
export type ByLead = (lead: number) => readonly Verified[];

/** Forecasts whose distances say how far apart they are. */
const RECENT = 20;

/**
 * Frames from one forecast to the next, lately: `forecastEvery`, or more where only the newest frames have forecasts and they
 * come as the machine can (policy `latest`).
 */
export const spacingOf = (verified: ByLead, forecastEvery: number): number => {
  const origins = verified(1)
    .slice(-RECENT)
    .map(({ origin }) => origin);
  const apart = origins.slice(1).map((origin, k) => origin - origins[k]!);
  return apart.length === 0 ? forecastEvery : Math.max(forecastEvery, median(apart));
};

/**
 * The verified scores of one series. What is asked as of a frame is a function of the frames up to it alone, so that a
 * forecast that is made again after a crash is judged as it was before.
 */
export interface Standings {
  /** Scores that were completed at `position` or before. */
  asOf(position: number): ByLead;
  /** All that the frame at `position` completed. Scores that are known already change nothing. */
  add(position: number, scores: readonly Verified[]): void;
}

export interface StandingsOptions {
  /** Frames from one forecast to the next, at the least. */
  readonly forecastEvery: number;
  /** Frames per lead. */
  readonly stride: number;
  readonly horizon: number;
}

export const openStandings = (
  series: string,
  store: VerifiedStore,
  { forecastEvery, stride, horizon }: StandingsOptions,
): Standings => {
  const kept = windowOf((horizon * stride) / forecastEvery) + AGAIN;
  const rows = new Map<number, readonly Verified[]>();
  /** Of each lead, with the place of the frame that completed it. */
  const byLead = new Map<number, { readonly position: number; readonly score: Verified }[]>();
  const keep = (position: number, scores: readonly Verified[]): void => {
    for (const score of scores) {
      const known = byLead.get(score.lead) ?? [];
      byLead.set(score.lead, known);
      known.push({ position, score });
    }
  };
  for (const { position, scores, stride: of } of store.rows(series)) {
    if (of !== stride) continue;
    rows.set(position, scores);
    keep(position, scores);
  }
  const asOf = (position: number): ByLead => {
    const asked = new Map<number, readonly Verified[]>();
    return (lead) => {
      const known = asked.get(lead);
      if (known !== undefined) return known;
      const all = byLead.get(lead) ?? [];
      const until = all.findLastIndex((entry) => entry.position <= position) + 1;
      const found = all.slice(0, until).map(({ score }) => score);
      asked.set(lead, found);
      return found;
    };
  };
  return {
    asOf,
    add: (position, scores) => {
      const before = rows.get(position) ?? [];
      const news = scores.filter(
        (score) => !before.some(({ lead, origin }) => lead === score.lead && origin === score.origin),
      );
      if (news.length === 0) return;
      rows.set(position, [...before, ...news]);
      store.put({ series, position, stride, scores: [...before, ...news] });
      keep(position, news);
      const oldest = position - kept * spacingOf(asOf(position), forecastEvery);
      for (const old of rows.keys()) if (old < oldest) rows.delete(old);
      for (const known of byLead.values()) while ((known[0]?.position ?? oldest) < oldest) known.shift();
      store.forget(series, oldest);
    },
  };
};
