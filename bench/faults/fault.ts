import { until } from '../../test/support/runs.js';

/** Where a fault is tried. */
export interface Place {
  /** Its own, empty. */
  readonly folder: string;
  /** A folder with a small forecaster: context 4. */
  readonly forecaster: string;
  /** Fewer and shorter, for development. */
  readonly quick: boolean;
  readonly note: (line: string) => void;
}

/** What a fault did, in numbers, and what went wrong: nothing, if all is well. */
export interface Findings {
  /** What was done, as the table says it. */
  readonly done: string;
  readonly frames: number;
  /** Frames that are whole on disk and came to another end than they should. */
  readonly lost: number;
  /** Frames that were taken with contents that their writer never finished. */
  readonly torn: number;
  /** Forecasts and scores that a sink should have and does not. */
  readonly missing: number;
  /** Deliveries that came more than once. */
  readonly repeats: number;
  /** Those among them whose key does not say so, and deliveries that should not be there at all. */
  readonly unknown: number;
  readonly wrong: readonly string[];
}

export interface Fault {
  readonly name: string;
  run(place: Place): Promise<Findings | { readonly skipped: string }>;
}

/** Findings with nothing amiss but what `changes` say. */
export const findings = (done: string, changes: Partial<Findings>): Findings => ({
  done,
  frames: 0,
  lost: 0,
  torn: 0,
  missing: 0,
  repeats: 0,
  unknown: 0,
  wrong: [],
  ...changes,
});

/** Something that must hold, in words, if it does not. */
export const unless = (holds: boolean, otherwise: string): string[] => (holds ? [] : [otherwise]);

/** Waits with the patience that a busy machine needs; what takes so long is wrong. */
export const patiently = (what: string, holds: () => boolean | Promise<boolean>): Promise<void> =>
  until(what, holds, 300);
