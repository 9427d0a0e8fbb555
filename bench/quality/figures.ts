import type { ReportData } from '../../src/evaluation/evaluate.js';
import { eachStatistic, type Statistic } from '../../src/evaluation/statistics.js';
import { mean } from '../table.js';

/** What is told of a forecaster on one set of series. Skill and errors on normalised values. */
export interface Figures {
  readonly series: number;
  readonly horizon: number;
  /** RMSE of persistence, mean over the leads. */
  readonly persistence: number;
  readonly meanSkill: number;
  readonly skillAt: Readonly<Record<string, number>>;
  readonly ssim: number;
  readonly persistenceSsim: number;
  /** Leads from 3 on at which linear extrapolation has the smaller error. */
  readonly linearBetterAt: readonly number[];
  /** How far the mean value is off, mean over the series, at the lead where that is most. */
  readonly meanDrift: number;
  /** At the last lead, of forecast and truth, means over the series. */
  readonly statistics: Readonly<Record<Statistic, readonly [forecast: number, truth: number]>>;
  /** Least and greatest value of a forecast at any lead in any series, of the truth beside it. */
  readonly values: readonly [least: number, greatest: number];
  readonly trueValues: readonly [least: number, greatest: number];
}

export const figuresOf = (report: ReportData): Figures => {
  const { leads, extremes } = report.statistics;
  const last = report.horizon - 1;
  const shown = [1, 3, 10, 20, 50, 100, 200].filter((lead) => lead <= report.horizon);
  const lastOf = (name: Statistic): [number, number] => [
    leads[name].forecast.mean[last] ?? 0,
    leads[name].truth.mean[last] ?? 0,
  ];
  return {
    series: report.series,
    horizon: report.horizon,
    persistence: mean(report.persistence_rmse),
    meanSkill: report.mean_skill,
    skillAt: Object.fromEntries(shown.map((lead) => [lead, report.skill[lead - 1] ?? 0])),
    ssim: report.ssim[last] ?? 0,
    persistenceSsim: report.persistence_ssim[last] ?? 0,
    linearBetterAt: report.rmse.flatMap((value, l) =>
      l >= 2 && value >= (report.linear_rmse[l] ?? 0) ? [l + 1] : [],
    ),
    meanDrift: Math.max(...leads.mean.error),
    statistics: eachStatistic(lastOf),
    values: extremes.forecast,
    trueValues: extremes.truth,
  };
};

/** 1 - SSIM at the last lead, as a share of persistence's. */
export const ssimShare = ({ ssim, persistenceSsim }: Figures): number => (1 - ssim) / (1 - persistenceSsim);

/** Relative error of a statistic's mean over the series at the last lead, in percent. */
export const errorOf = ({ statistics }: Figures, name: Statistic): number => {
  const [forecast, truth] = statistics[name];
  return (100 * Math.abs(forecast - truth)) / Math.abs(truth);
};

/** Share of the pixels that are above the threshold, in points, forecast less truth, at the last lead. */
export const fractionPoints = ({ statistics }: Figures): number =>
  100 * Math.abs(statistics.phase_fraction[0] - statistics.phase_fraction[1]);

/** Coverage of the 90 % intervals in a band of leads. */
export interface Coverage {
  readonly from: number;
  readonly to: number;
  readonly all: number;
  readonly interface: number | undefined;
  /** From how the series differ. */
  readonly standardError?: { readonly all: number; readonly interface?: number } | undefined;
}

export const coverageOf = ({ uncertainty }: ReportData): Coverage[] => {
  const intervals = uncertainty?.intervals;
  const ninety = intervals?.levels.indexOf(0.9) ?? 0;
  return (intervals?.bands ?? []).map((band) => ({
    from: band.from,
    to: band.to,
    all: band.all[ninety] ?? 0,
    interface: band.interface?.[ninety],
    standardError: band.standard_error,
  }));
};
