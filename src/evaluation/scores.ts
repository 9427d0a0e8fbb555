import { skillOf } from '../metrics/skill.js';
import { skills, type LeadSums } from '../training/score-series.js';

/** Scores per lead (index 0 is lead 1), on normalised frames, over windows. */
export interface Scores {
  /** Square roots of the mean squared errors. */
  readonly rmse: readonly number[];
  readonly persistence_rmse: readonly number[];
  readonly linear_rmse: readonly number[];
  /** Over persistence: 1 - sqrt(sum of MSE / sum of persistence MSE). */
  readonly skill: readonly number[];
  /** The same of linear extrapolation. */
  readonly linear_skill: readonly number[];
  readonly ssim: readonly number[];
  readonly persistence_ssim: readonly number[];
  readonly linear_ssim: readonly number[];
  /** Mean of `skill` over the leads. */
  readonly mean_skill: number;
  /** How far ahead the skill is positive, from lead 1 on without a gap. */
  readonly trusted_leads: number;
}

/** The leads from 1 on that all fulfil something. */
const leadsBefore = (fulfilled: readonly boolean[]): number => {
  const first = fulfilled.indexOf(false);
  return first < 0 ? fulfilled.length : first;
};

export const scoresOf = (sums: LeadSums): Scores => {
  const means = (values: readonly number[]): number[] => values.map((value) => value / sums.windows);
  const roots = (values: readonly number[]): number[] => means(values).map(Math.sqrt);
  const [persistence, linear] = [roots(sums.persistenceMse), roots(sums.linearMse)];
  const skill = skills(sums);
  return {
    rmse: roots(sums.mse),
    persistence_rmse: persistence,
    linear_rmse: linear,
    skill,
    linear_skill: linear.map((value, l) => skillOf(value, persistence[l] ?? 0)),
    ssim: means(sums.ssim),
    persistence_ssim: means(sums.persistenceSsim),
    linear_ssim: means(sums.linearSsim),
    mean_skill: skill.reduce((a, b) => a + b, 0) / skill.length,
    trusted_leads: leadsBefore(skill.map((value) => value > 0)),
  };
};

/** The sums of several series together. */
export const pooled = (all: readonly LeadSums[]): LeadSums => {
  const added = (pick: (sums: LeadSums) => readonly number[]): number[] =>
    pick(all[0] as LeadSums).map((_, l) => all.reduce((sum, one) => sum + (pick(one)[l] ?? 0), 0));
  return {
    windows: all.reduce((sum, { windows }) => sum + windows, 0),
    mse: added(({ mse }) => mse),
    persistenceMse: added(({ persistenceMse }) => persistenceMse),
    linearMse: added(({ linearMse }) => linearMse),
    ssim: added(({ ssim }) => ssim),
    persistenceSsim: added(({ persistenceSsim }) => persistenceSsim),
    linearSsim: added(({ linearSsim }) => linearSsim),
  };
};
