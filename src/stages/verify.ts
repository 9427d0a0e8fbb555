import type { Observable } from 'rxjs';
import { concatMap } from 'rxjs';
import {
  betweenRmse,
  dampedTrend,
  linearExtrapolation,
  persistence,
  type BetweenRmse,
} from '../metrics/baselines.js';
import { rmse } from '../metrics/rmse.js';
import { skillOf } from '../metrics/skill.js';
import { ssim } from '../metrics/ssim.js';
import type { Completed, Judge } from '../learning/judging/judge.js';
import { messageOf } from '../pipeline/errors.js';
import type { LeadSlice } from '../pipeline/delivery/forecast-file.js';
import type { Contestant, LeadOutlook, LeadScore, Normalisation, Score } from '../pipeline/forecast.js';
import type { Frame, FrameShape } from '../pipeline/frame.js';
import { sameShape } from '../pipeline/frame.js';
import { normalise } from '../pipeline/intake/normalisation.js';
import type { ForecastRecord, Outstanding } from '../pipeline/state/outstanding.js';
import { scoreOf } from '../pipeline/state/outstanding.js';
import type { Observation } from '../pipeline/run.js';

export interface VerifyOptions {
  readonly outstanding: Outstanding;
  readonly judge: Judge;
  /** Told when the alarm is raised. */
  readonly changed?: () => void;
  readonly notice: (message: string) => void;
}

/** Forecasts scored side by side: one is read while another is computed; each holds five frames in memory. */
const AT_ONCE = 8;

/**
 * Scores forecasts as their truth arrives. Gives exactly one array per item, in order: the forecasts that ended with
 * this frame, `final` when every lead was scored, else `expired` with the reason why leads are missing. When the
 * array comes, the item's own forecast is on disk.
 *
 * A lead is missing when its place has gone by without a frame (rejected, lost). Nothing here ends a forecast for good:
 * that is `outstanding.settle`, once the score was delivered. What was not settled before a crash comes again, with the
 * same id, in the first array after it.
 */
export const verify =
  ({ outstanding, judge, changed: runChanged, notice }: VerifyOptions) =>
  (source$: Observable<Observation>): Observable<readonly Score[]> => {
    let unsettled = outstanding.unsettled();

    const observe = async (frame: Frame, record: ForecastRecord): Promise<ForecastRecord> => {
      const ahead = frame.position - record.position;
      const lead = ahead / record.stride;
      const due = Number.isInteger(lead) && lead >= 1 && lead <= record.horizon;
      let leads = record.leads;
      if (due && !leads.some((scored) => scored.lead === lead)) {
        if (!sameShape(frame.shape, record.shape))
          return expired(
            record,
            `frame ${frame.index} is ${frame.shape.join('x')}, not ${record.shape.join('x')}`,
          );
        try {
          const score = scoreLead(await outstanding.read(record, lead), frame.data, lead, record);
          if (score !== undefined) leads = [...leads, score];
        } catch (error) {
          notice(
            `forecast at frame ${record.index} of ${record.series} cannot be scored: ${messageOf(error)}`,
          );
          return expired(record, messageOf(error));
        }
      }
      if (ahead < record.horizon * record.stride)
        return leads === record.leads ? record : { ...record, leads };
      if (leads.length === record.horizon) return { ...record, leads, ended: { status: 'final' } };
      return expired(
        { ...record, leads },
        `nothing is known of the truth at ${missingLeads(leads, record.horizon)}: no frame came, or none that has values where the forecast has`,
      );
    };

    /** The judge learns before the records say that these leads are scored: after a crash between the two it learns again. */
    const learn = ({ series, index, position }: Frame, completed: readonly Completed[]): void => {
      const alarm = judge.learn(series, position, completed);
      if (alarm === undefined) return;
      runChanged?.();
      const { lead, times } = alarm;
      notice(
        `${series}: at frame ${index} the forecast ${lead === 1 ? 'for it' : `of ${lead} leads before`} was off ${times.toFixed(1)} times as far as usual: the run has changed, or something is wrong with it`,
      );
    };

    return source$.pipe(
      concatMap(async ({ frame, forecast, ownFrames, previous }) => {
        const ended: ForecastRecord[] = [...unsettled];
        unsettled = [];
        const changed: ForecastRecord[] = [];
        const completed: Completed[] = [];
        const waiting = outstanding.waiting(frame.series);
        for (let first = 0; first < waiting.length; first += AT_ONCE) {
          const some = waiting.slice(first, first + AT_ONCE);
          const next = await Promise.all(some.map((record) => observe(frame, record)));
          changed.push(...next.filter((record, at) => record !== some[at]));
          completed.push(...next.flatMap((record, at) => newlyScored(some[at]!, record)));
          ended.push(...next.filter((record) => record.ended !== undefined));
        }
        learn(frame, completed);
        // Side by side: each waits for the disk.
        const [, evicted] = await Promise.all([
          outstanding.update(changed),
          forecast === undefined
            ? []
            : outstanding.register(
                ownFrames === undefined ? forecast : { ...forecast, frames: ownFrames },
                frame.data,
                previous ?? frame.data,
              ),
        ]);
        judge.end(frame.series);
        return [...ended, ...evicted].map(scoreOf);
      }),
    );
  };

const newlyScored = (
  before: ForecastRecord,
  { leads, position, stride, forecaster }: ForecastRecord,
): Completed[] =>
  leads.slice(before.leads.length).map((score) => ({ origin: position, stride, forecaster, score }));

const expired = (record: ForecastRecord, reason: string): ForecastRecord => ({
  ...record,
  ended: { status: 'expired', reason },
});

/** "lead 3", "leads 1, 4-9". */
const missingLeads = (leads: readonly LeadScore[], horizon: number): string => {
  const scored = new Set(leads.map(({ lead }) => lead));
  const ranges: [first: number, last: number][] = [];
  for (let lead = 1; lead <= horizon; lead++) {
    if (scored.has(lead)) continue;
    const range = ranges.at(-1);
    if (range?.[1] === lead - 1) range[1] = lead;
    else ranges.push([lead, lead]);
  }
  const text = ranges.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(', ');
  return `${text.includes('-') || text.includes(',') ? 'leads' : 'lead'} ${text}`;
};

interface Compared {
  /** Root mean squared errors. */
  readonly errors: Readonly<Record<Contestant | 'persistence' | 'linear', number>>;
  readonly between: BetweenRmse;
  /** Undefined: everything. */
  readonly known: Uint8Array | undefined;
}

/** What is compared of one lead: over the values that are known of it, of its truth and of the frames before. */
const compared = (
  frames: Readonly<Record<keyof Compared['errors'], Float32Array>>,
  truth: Float32Array,
  previous: Float32Array,
  lead: number,
): Compared | undefined => {
  const { forecaster, trend, persistence: last, linear } = frames;
  const isKnown = (i: number): boolean => !Number.isNaN(truth[i]! + forecaster[i]! + last[i]! + previous[i]!);
  const known = new Uint8Array(truth.length);
  for (let i = 0; i < known.length; i++) known[i] = isKnown(i) ? 1 : 0;
  const whole = !known.includes(0);
  if (!whole && !known.includes(1)) return undefined;
  const kept = (values: Float32Array): Float32Array =>
    whole ? values : values.filter((_, i) => known[i] === 1);
  const seen = kept(truth);
  const error = (values: Float32Array): number => rmse(kept(values), seen);
  return {
    errors: {
      forecaster: error(forecaster),
      trend: error(trend),
      persistence: error(last),
      linear: error(linear),
    },
    between: betweenRmse(seen, kept(last), kept(previous), lead),
    known: whole ? undefined : known,
  };
};

/**
 * `truth` [H, W, C] and the slice, whose prediction is the forecaster's own, in physical values. Only what is known
 * counts; undefined where the truth and the forecast know nothing in common.
 */
export const scoreLead = (
  slice: LeadSlice,
  truth: Float32Array,
  lead: number,
  {
    shape,
    normalisation,
    outlook,
    damping = 0,
  }: {
    readonly shape: FrameShape;
    readonly normalisation: Normalisation;
    readonly outlook?: readonly LeadOutlook[];
    readonly damping?: number;
  },
): LeadScore | undefined => {
  const [seen, last, previous, predicted] = [
    normalise(truth, normalisation),
    normalise(slice.last, normalisation),
    normalise(slice.previous, normalisation),
    normalise(slice.predicted, normalisation),
  ];
  const { madeBy = 'forecaster', rmseExpected, rmseBound } = outlook?.[lead - 1] ?? {};
  const frames = {
    forecaster: predicted,
    trend: dampedTrend(last, previous, lead, damping),
    persistence: persistence(last),
    linear: linearExtrapolation(last, previous, lead),
  };
  const scored = compared(frames, seen, previous, lead);
  if (scored === undefined) return undefined;
  const { errors, between, known } = scored;
  return {
    lead,
    rmse: errors[madeBy],
    madeBy,
    forecasterRmse: errors.forecaster,
    persistenceRmse: errors.persistence,
    linearRmse: errors.linear,
    ...between,
    ...(rmseExpected !== undefined && { rmseExpected }),
    ...(rmseBound !== undefined && { rmseBound }),
    skill: skillOf(errors[madeBy], errors.persistence),
    ssim: ssim(frames[madeBy], seen, shape, known),
  };
};
