import type { Contestant } from '../../src/pipeline/forecast.js';
import type { Completed, Judge, Outlook } from '../../src/learning/judging/judge.js';

export const HASH = 'the network';

/** Errors of the three contestants at a lead of the forecast from frame `origin`. */
export type Errors = (lead: number, origin: number) => Readonly<Record<Contestant, number>>;

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
      const { forecaster, persistence, linear } = errors(lead, position - lead);
      const { madeBy, rmseBound } = outlooks[position - lead - first]!.leads[lead - 1]!;
      const rmse = { forecaster, persistence, linear }[madeBy];
      const score = {
        lead,
        rmse,
        madeBy,
        forecasterRmse: forecaster,
        persistenceRmse: persistence,
        linearRmse: linear,
        ...(rmseBound !== undefined && { rmseBound }),
        skill: 1 - rmse / persistence,
        ssim: 1,
      };
      completed.push({ origin: position - lead, forecaster: { name: 'n', hash }, score });
      scored.push({ position, score });
    }
    if (judge.learn('run', position, completed) !== undefined) alarms.push(position);
  }
  return { outlooks, scored, alarms };
};
