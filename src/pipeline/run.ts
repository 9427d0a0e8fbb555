import type { Observable } from 'rxjs';
import type { Forecast, Normalisation, Score } from './forecast.js';
import type { Entry, Frame } from './frame.js';

/** How a frame ended. Every frame that is seen ends in exactly one of these. */
export type Outcome =
  | 'forecast' // a forecast was made from it and delivered
  | 'observed' // it went into the recurrent state; the policy asked for no forecast
  | 'warm-up' // it came before `context` frames were there
  | 'rejected' // it could not be used; the reason is in the ledger
  | 'lost'; // it went away before it was read

/** What a run tells while it goes on. */
export type RunEvent =
  | { readonly type: 'notice'; readonly message: string }
  | {
      readonly type: 'frame';
      readonly series: string;
      readonly index: number;
      readonly outcome: Outcome;
      readonly reason?: string;
    }
  | { readonly type: 'forecast'; readonly forecast: Forecast }
  | { readonly type: 'score'; readonly score: Score };

/** A frame with what the network made of it. Normalised frames are [H, W, C]. */
export interface Observation {
  readonly frame: Frame;
  readonly outcome: 'forecast' | 'observed' | 'warm-up';
  readonly forecast?: Forecast;
  /** With `forecast`, where others than the forecaster made leads of it: what the forecaster itself said. */
  readonly ownFrames?: Float32Array;
  /** Known once the series' first `context` frames are there. */
  readonly normalisation?: Normalisation;
  /** With `forecast`: gives back its share of the memory for forecasts, once sinks have it. */
  readonly release?: () => void;
  /** With `forecast`: the frame one stride before `frame`, physical values, for linear extrapolation. */
  readonly previous?: Float32Array;
}

/** An entry that is whole and next in its series. */
export interface Ready {
  readonly entry: Entry;
  readonly position: number;
}

/**
 * Gives an entry that was handed on, and cannot be read, back to whoever watches its file, with all of its series that were
 * handed on after it: they come again, in order, when it can be read again, or is given up because that takes too long.
 * False when it is not taken back: it is for whoever asks to give it up.
 */
export type GiveBack = (entry: Entry, why: string, isGone: boolean) => boolean;

/** A frame with its share of the pool: `release` is to be called once, at the frame's outcome. */
export interface Admitted {
  readonly frame: Frame;
  readonly release: () => void;
}

/** What stages report to, and what they are told. Made by the runner, one per run. */
export interface RunContext {
  readonly signal: AbortSignal;
  /** Ends a frame as rejected or lost: ledger, count and one line for people. `late`: its number was past already. */
  fail(entry: Entry, outcome: 'rejected' | 'lost', reason: string, kind?: 'late'): void;
  readonly notice: (message: string) => void;
  readonly now: () => Date;
}

/** What became of the forecasts and scores for one sink. */
export interface DeliveryCounts {
  readonly delivered: number;
  /** Tries that failed and were made again. */
  readonly retried: number;
  /** Given up: the queue was full, or all tries failed. */
  readonly dropped: number;
  /** Refused for good and put aside in the state folder. */
  readonly refused: number;
  /** Put on disk for a while, because the sink was behind. */
  readonly spilled: number;
  /** In memory, the one under way too: the run is not done with their frames. */
  readonly queued: number;
  /** On disk, still to be delivered. */
  readonly waiting: number;
}

export interface Summary {
  readonly frames: Readonly<Record<Outcome, number>>;
  /** Of the rejected ones: those that came after a later number, and those whose number another file had. */
  readonly late: number;
  readonly duplicate: number;
  /** Frames whose file changed after they were read. */
  readonly revised: number;
  /** Numbers that never appeared though later ones did. */
  readonly missing: number;
  readonly forecasts: number;
  readonly scores: { readonly final: number; readonly expired: number };
  /** Forecasts and scores that sinks with `drop_oldest` did not take, in all. */
  readonly missed: number;
  /** By the sink's name. */
  readonly deliveries: Readonly<Record<string, DeliveryCounts>>;
  readonly seconds: number;
}

/** A running daemon. */
export interface Run {
  /** Completes when the run is over, also when it failed, and has no errors: `finished` tells of them. Subscribe at once. */
  readonly events$: Observable<RunEvent>;
  /**
   * Drains: frames in the network are finished and delivered, then sinks and ledger close. Frames that were read ahead
   * have no outcome yet, and are taken up by the next run. Idempotent.
   */
  stop(): void;
  /** Rejects where `mesocast attach` would end with an error. Everything is closed then. */
  readonly finished: Promise<Summary>;
}
