import type { Contestant, ForecasterId, LeadOutlook, LeadScore } from '../../pipeline/forecast.js';
import { alarmOf, isWatched, ONE_CHANGE, type Alarm } from './alarm.js';
import { chooseMakers, type Vouched } from './choice.js';
import { boundOf, reachAfter } from './error-bounds.js';
import type { VerifiedStore } from '../../pipeline/ledger/verified-store.js';
import { openStandings, spacingOf, type ByLead, type Standings } from './standings.js';
import { recentSkill, trustedLeads } from './trusted-leads.js';

/** A lead of a forecast that a frame was the truth of. */
export interface Completed {
  /** Place in the series of the frame that the forecast was issued at. */
  readonly origin: number;
  /** Frames per lead of the forecast: one of a run before may have another than this run. */
  readonly stride: number;
  readonly forecaster: ForecasterId;
  readonly score: LeadScore;
}

/** Series whose scores are in memory: some 3 MB each, of 50 leads. */
const MOST_SERIES = 64;

/** What verified forecasts say of the next one. */
export interface Outlook {
  readonly trustedLeads: number;
  /** Of the trend, at the leads that it makes. */
  readonly damping: number;
  /** Leads 1..horizon. */
  readonly leads: readonly LeadOutlook[];
}

/**
 * Judges forecasts by what became of earlier ones, series by series, as the truth arrives and before anything has learned
 * from it (prequentially; Dawid, 1984).
 */
export interface Judge {
  /** For the forecast that `forecaster` makes from the frame at `position`: by what the frames before it have shown. */
  outlook(series: string, position: number, forecaster: ForecasterId): Outlook;
  /** The frame at `position` was compared with all forecasts that waited for it. Gives the alarm, if it is one. */
  learn(series: string, position: number, completed: readonly Completed[]): Alarm | undefined;
  /** What is known of a forecaster that has no verified forecasts yet; undefined: it will make none. */
  vouch(hash: string, vouched: Vouched | undefined): void;
  /** Resolves when each frame that `begin` was called for has been through `end`. */
  settled(series: string): Promise<void>;
  begin(series: string): void;
  end(series: string): void;
}

export interface JudgeOptions {
  readonly store: VerifiedStore;
  readonly horizon: number;
  /** Frames per lead. */
  readonly stride: number;
  /** Frames from one forecast to the next, at the least. */
  readonly forecastEvery: number;
  /** `best`: at each lead the forecaster or the trend, whichever has been better; `forecaster`: always the forecaster. */
  readonly madeBy: 'best' | 'forecaster';
}

export const createJudge = ({ store, horizon, stride, forecastEvery, madeBy }: JudgeOptions): Judge => {
  /** Leads from one forecast to the next. */
  const leadsApart = (verified: ByLead): number => spacingOf(verified, forecastEvery) / stride;
  const all = new Map<string, Standings>();
  /** What is forgotten here the store still has. */
  const standingsOf = (series: string): Standings => {
    const known = all.get(series) ?? openStandings(series, store, { forecastEvery, stride, horizon });
    if (!all.has(series) && all.size >= MOST_SERIES) {
      // Not the one used longest ago: of series that come in turn, that is the one that comes next.
      const victim = [...all.keys()][Math.floor(Math.random() * all.size)];
      if (victim !== undefined) all.delete(victim);
    }
    all.set(series, known);
    return known;
  };
  const vouched = new Map<string, Vouched>();
  /**
   * What vouches for it in this series: what it did in other ones, which may be unlike it, only as long as nothing is known of
   * this one.
   */
  const vouchedIn = (series: string, hash: string, verified: ByLead): Vouched | undefined => {
    const known = vouched.get(hash);
    if (known === undefined || verified(1).length === 0) return known;
    return { ...known, scores: known.scores.filter((score) => score.series === series) };
  };
  /** Where each series was when it last gave an alarm. */
  const alarmed = new Map<string, number>();
  const underWay = new Map<string, { readonly ended: Promise<void>; readonly end: () => void }>();
  const own: readonly Contestant[] = Array.from({ length: horizon }, () => 'forecaster');

  return {
    outlook: (series, position, { hash }) => {
      const verified = standingsOf(series).asOf(position - 1);
      const known = vouchedIn(series, hash, verified);
      const { makers, damping } =
        madeBy === 'forecaster' ? { makers: own, damping: 0 } : chooseMakers(verified, hash, horizon, known);
      return {
        damping,
        trustedLeads: trustedLeads(verified, horizon, leadsApart(verified)),
        leads: makers.map((maker, k): LeadOutlook => {
          const skill = recentSkill(verified, k + 1);
          const bound = boundOf(verified, k + 1, {
            ...{ madeBy: maker, damping, hash },
            vouched: known?.scores ?? [],
          });
          return {
            madeBy: maker,
            ...(skill !== undefined && { skill }),
            ...bound,
          };
        }),
      };
    },
    learn: (series, position, ended) => {
      const completed = ended.filter((one) => one.stride === stride);
      const standings = standingsOf(series);
      const before = standings.asOf(position - 1);
      standings.add(
        position,
        completed.map(({ origin, forecaster, score: { skill: _, ssim: _ssim, ...score } }) => {
          const reach = reachAfter(before, score, leadsApart(before));
          return { ...score, origin, forecaster: forecaster.hash, ...(reach !== undefined && { reach }) };
        }),
      );
      if (!completed.some(({ score }) => isWatched(score.lead))) return undefined;
      const alarm = alarmOf(standings.asOf(position), (lead) => position - lead * stride);
      if (alarm === undefined) return undefined;
      const last = alarmed.get(series) ?? -Infinity;
      alarmed.set(series, position);
      // While what is usual is not known again, it is the same change.
      return position - last > ONE_CHANGE * spacingOf(before, forecastEvery) ? alarm : undefined;
    },
    vouch: (hash, known) => {
      if (known === undefined) vouched.delete(hash);
      else vouched.set(hash, known);
    },
    settled: async (series) => underWay.get(series)?.ended,
    begin: (series) => {
      let end = (): void => undefined;
      const ended = new Promise<void>((resolve) => (end = resolve));
      underWay.set(series, { ended, end });
    },
    end: (series) => {
      underWay.get(series)?.end();
      underWay.delete(series);
    },
  };
};
