import type { BetweenRmse } from '../../src/metrics/baselines.js';
import { trendError } from '../../src/learning/judging/trend.js';
import type { Completed, Judge, Outlook } from '../../src/learning/judging/judge.js';

export const HASH = 'the network';

/** Errors at a lead of the forecast from frame `origin`; `change`: how much frame `origin` differed from the one before. */
export type Errors = (
  lead: number,
  origin: number,
) => {
  readonly forecaster: number;
  readonly persistence: number;
  readonly linear: number;
  readonly change?: number;
};

/** Of truths of which persistence and linear extrapolation have these errors, where nothing is clipped. */
export const betweenFrom = (
  lead: number,
  { persistence, linear, change = persistence / lead }: Omit<ReturnType<Errors>, 'forecaster'>,
): BetweenRmse => {
  const error = (share: number): number =>
    Math.sqrt(
      Math.max(
        0,
        (1 - share) * persistence ** 2 + share * linear ** 2 - share * (1 - share) * (change * lead) ** 2,
      ),
    );
  return { betweenRmse: [error(1 / 16), error(1 / 4), error(9 / 16)] };
};

/**
 * Runs a judge over frames 0 .. count - 1, each with a forecast, as a run would; gives what it said of each forecast, what
 * became of each lead, and where it raised the alarm.
 */
export const judgeRun = (
  judge: Judge,
  count: number,
  horizon: number,
  errors: Errors,
  { first = 0, hash = HASH, every = 1 } = {},
) => {
  const outlooks: Outlook[] = [];
  const scored: { position: number; score: Completed['score'] }[] = [];
  const alarms: number[] = [];
  for (let position = first; position < count; position++) {
    const isIssued = (at: number): boolean => (at - first) % every === 0;
    if (isIssued(position)) outlooks[position - first] = judge.outlook('run', position, { name: 'n', hash });
    const completed: Completed[] = [];
    for (let lead = 1; lead <= Math.min(horizon, position - first); lead++) {
      if (!isIssued(position - lead)) continue;
      const all = errors(lead, position - lead);
      const { forecaster, persistence, linear } = all;
      const { leads, damping } = outlooks[position - lead - first]!;
      const { madeBy, rmseExpected, rmseBound } = leads[lead - 1]!;
      const known = { lead, persistenceRmse: persistence, linearRmse: linear, ...betweenFrom(lead, all) };
      const rmse = madeBy === 'forecaster' ? forecaster : trendError(known, damping);
      const score = {
        ...known,
        rmse,
        madeBy,
        forecasterRmse: forecaster,
        ...(rmseExpected !== undefined && { rmseExpected }),
        ...(rmseBound !== undefined && { rmseBound }),
        skill: 1 - rmse / persistence,
        ssim: 1,
      };
      completed.push({ origin: position - lead, stride: 1, forecaster: { name: 'n', hash }, score });
      scored.push({ position, score });
    }
    if (judge.learn('run', position, completed) !== undefined) alarms.push(position);
  }
  return { outlooks, scored, alarms };
};
