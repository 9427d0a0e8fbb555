import type { BetweenRmse } from '../metrics/baselines.js';
import type { FrameShape, PhysicalTime, SampleType, View } from './frame.js';

/** Physical values that normalise to 0 and 1. */
export interface ValueRange {
  readonly low: number;
  readonly high: number;
}

/** The linear map from a series' physical values to the normalised range 0..1 that networks and metrics use. */
export interface Normalisation extends ValueRange {
  /** Of each channel, where they have ranges of their own; `low` and `high` are then the least and greatest of all. */
  readonly channels?: readonly ValueRange[];
}

/** The range of one channel. */
export const rangeOf = (normalisation: Normalisation, channel: number): ValueRange =>
  normalisation.channels?.[channel] ?? normalisation;

/** Which forecaster made a forecast. */
export interface ForecasterId {
  readonly name: string;
  /** SHA-256, hex, over settings and weights, or over the members of an ensemble; `none` while there is no forecaster. */
  readonly hash: string;
}

/** The forecaster of a run that has none yet: all that it says is that nothing changes. */
export const NO_FORECASTER: ForecasterId = { name: 'none', hash: 'none' };

/** Who can make a lead of a forecast: the network, or the damped trend, which needs none (src/metrics/baselines.ts). */
export type Contestant = 'forecaster' | 'trend';

/** What verified forecasts of the series say of one lead of a forecast, on normalised values. */
export interface LeadOutlook {
  readonly madeBy: Contestant;
  /** Skill over persistence of the last verified forecasts at this lead; absent before there are any. */
  readonly skill?: number;
  /** What earlier errors let expect of the RMSE at this lead; absent before enough forecasts are verified. */
  readonly rmseExpected?: number;
  /** The RMSE at this lead stays below with 90 % probability; absent before enough forecasts are verified. */
  readonly rmseBound?: number;
}

/** When the frame that a forecast was issued at was. */
export interface ForecastTime extends PhysicalTime {
  /** Time from one lead to the next; absent where the frames before it were not evenly spaced. */
  readonly perLead?: number;
}

/** What a forecast knows of its own errors: [horizon, H, W, C] in physical values, like its frames. */
export interface Uncertainty {
  /** Members of the ensemble that the frames are the average of. */
  readonly members: number;
  /** Standard deviation over the members, or with `--lagged` the distance from the forecast made one frame earlier; absent for a single one. */
  readonly spread?: Float32Array;
  /** The true value of a pixel is between `lower` and `upper` as often as `level` says; see docs/evaluation.md. */
  readonly interval?: {
    readonly level: number;
    readonly lower: Float32Array;
    readonly upper: Float32Array;
  };
}

/** The frames that a forecaster expects at the leads 1..horizon after one observed frame. */
export interface Forecast {
  /** SHA-256, hex, of (series, index, content of the frame, horizon, stride): the idempotency key for sinks. */
  readonly id: string;
  readonly series: string;
  /** Number of the frame that the forecast was issued at, as `Entry.index` has it. */
  readonly index: number;
  /** Place of that frame in its series; lead l speaks of place `position + l * stride`. */
  readonly position: number;
  /** Set where it is known: lead l speaks of the time `value + l * perLead`. */
  readonly time?: ForecastTime;
  /** ISO 8601. */
  readonly issuedAt: string;
  readonly horizon: number;
  /** Frames of the series per lead. */
  readonly stride: number;
  readonly shape: FrameShape;
  readonly sampleType: SampleType;
  /** Set where frames were cut or averaged down: rows and columns are those of what is left. */
  readonly view?: View;
  /** [horizon, H, W, C], physical values; NaN where nothing was known of the frame that it was issued at. */
  readonly frames: Float32Array;
  readonly normalisation: Normalisation;
  /** Set when the run was asked for it. */
  readonly uncertainty?: Uncertainty;
  /**
   * How many leads ahead the skill of verified forecasts of this series has been positive with 90 % confidence;
   * 0 = not known of any yet.
   */
  readonly trustedLeads: number;
  /** Leads 1..horizon; absent where nobody judges, as in a single forecast. */
  readonly outlook?: readonly LeadOutlook[];
  /** Of the trend, which makes some of the leads: each change is so many times the one before, 0 (persistence) to 1 (linear). */
  readonly damping?: number;
  readonly forecaster: ForecasterId;
}

/** Errors of one forecast at one lead, on normalised values. */
export interface LeadScore extends BetweenRmse {
  readonly lead: number;
  readonly rmse: number;
  /** Who made this lead. */
  readonly madeBy: Contestant;
  /** Of the forecaster's own frame, whoever made the lead. */
  readonly forecasterRmse: number;
  readonly persistenceRmse: number;
  readonly linearRmse: number;
  /** What the forecast said that earlier errors let expect of `rmse`, if it did. */
  readonly rmseExpected?: number;
  /** What the forecast said that `rmse` would stay below with 90 % probability, if it did. */
  readonly rmseBound?: number;
  /** 1 - rmse / persistenceRmse; 0 where persistence makes no error and neither does the forecast. */
  readonly skill: number;
  /** NaN where no window is known as a whole. */
  readonly ssim: number;
}

/** What became of a forecast when true frames arrived. One per forecast: `final`, or `expired` with the leads that were reached. */
export interface Score {
  /** The forecast's id. */
  readonly id: string;
  readonly series: string;
  readonly index: number;
  readonly status: 'final' | 'expired';
  /**
   * Why leads are missing, in words: "the run ended before its truth came", "nothing is known of the truth at leads 1, 4-9:
   * ...", "quota: ...", "frame 12 is 64x64x1, not 32x32x1", or why what was kept of the forecast cannot be read.
   */
  readonly reason?: string;
  readonly horizon: number;
  readonly stride: number;
  /** The forecast's. */
  readonly time?: ForecastTime;
  readonly leads: readonly LeadScore[];
  readonly forecaster: ForecasterId;
}
