import type { Symmetries } from '../../forecaster/symmetries.js';
import type { BetweenRmse } from '../../metrics/baselines.js';
import type { PreparationOptions } from '../../pipeline/intake/preparation.js';
import type { CodecOptions } from '../../pipeline/plugins/registry.js';
import type { Normalisation } from '../../pipeline/forecast.js';
import type { ParameterValues } from '../../pipeline/parameters.js';
import type { Evidence } from '../champion/log.js';

/** A frame that was accepted, by where it can be read. */
export interface FrameFile {
  readonly position: number;
  readonly path: string;
  readonly item?: number;
  /** The learner leaves out what has changed since. */
  readonly contentHash?: string;
}

/** What the learner is started with. */
export interface LearnerSetup {
  /** Of learning: checkpoint and versions go there. */
  readonly folder: string;
  /** `choose`: it only tries forecasters, and learns nothing. */
  readonly learn: 'choose' | 'adapt' | 'scratch';
  /**
   * Forecasters to try on the first frames, as they are and as what learning goes on from; none where one was named. And the
   * one that is in use; none at first.
   */
  readonly candidates: readonly string[];
  readonly champion: string | undefined;
  /** The one in use was gone back to. */
  readonly rolledBack: boolean;
  /** What learning goes on from when it adapts: the same for the whole run, so that it can be taken up again. */
  readonly start: string | undefined;
  readonly channels: number;
  readonly codecs: CodecOptions;
  /** What frames are flipped and turned by; by default as what is gone on from was trained, or all. */
  readonly symmetries?: Symmetries | undefined;
  /** How frames are seen. */
  readonly preparation: PreparationOptions;
  readonly stride: number;
  /** Leads of a forecast. */
  readonly horizon: number;
  /** What the last version that was learned from nothing was tried at; see the challenger. */
  readonly tried?: number | undefined;
  /** Share of the machine's cores, 0 to 1. */
  readonly budget: number;
  /** Most bytes of frames in memory. */
  readonly bytes: number;
  readonly seed: number;
}

export type ToLearner =
  | { readonly type: 'setup'; readonly setup: LearnerSetup }
  | {
      readonly type: 'frames';
      readonly series: string;
      readonly normalisation: Normalisation;
      /** Scalars of its run. */
      readonly parameters?: ParameterValues | undefined;
      /** Those before, where the process has not been told of the series yet: they tell nothing of what goes on now. */
      readonly earlier: readonly FrameFile[];
      readonly frames: readonly FrameFile[];
    }
  /** The forecaster in use is this one now. */
  | { readonly type: 'champion'; readonly folder: string | undefined; readonly rolledBack: boolean }
  /** The run has changed: learning goes on if it rested. */
  | { readonly type: 'changed' };

/** One lead of one window that no training has seen, or of one whose errors count as more for it. */
export interface HeldOutScore extends BetweenRmse {
  readonly series: string;
  /** Names the window: one number for each. */
  readonly window: number;
  readonly lead: number;
  readonly forecasterRmse: number;
  readonly persistenceRmse: number;
  readonly linearRmse: number;
}

/** A forecaster that was better than the one in use by more than noise. */
export interface Offer {
  readonly type: 'challenger';
  readonly folder: string;
  /** The forecaster that it is better than; one that is in use no longer has been gone back from meanwhile. */
  readonly over: string | undefined;
  readonly why: string;
  readonly evidence: Evidence;
  readonly scores: readonly HeldOutScore[];
  /** Of a network from nothing: the furthest lead that it, or one that it grew from, was tried at on frames new to it. */
  readonly tried?: number;
}

export type FromLearner = { readonly type: 'notice'; readonly message: string } | Offer;
