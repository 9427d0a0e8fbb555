import type { Normalisation } from '../forecast.js';
import type { FrameShape, Revision, SampleType } from '../frame.js';
import type { Outcome } from '../run.js';

/** What the ledger knows of one frame; its key is (series, index). */
export interface FrameRecord {
  readonly series: string;
  readonly index: number;
  /** Absolute path of the file that was taken for this frame. */
  readonly path: string;
  /** Which frame of the file it is, where the file is a series of its own. */
  readonly item?: number;
  /** The file's revision when it was taken. */
  readonly revision: Revision;
  /** SHA-256 of the file's bytes, hex, once it was read. */
  readonly contentHash?: string;
  /** When it was, in the unit of its series, where that is known. */
  readonly time?: number;
  /** Place in the series; set when the frame was handed on. */
  readonly position?: number;
  /** How the frame ended; not set while it is on its way. */
  readonly outcome?: Outcome;
  readonly reason?: string;
}

/** What the ledger knows of one series. */
export interface SeriesRecord {
  readonly series: string;
  /** Number in the name of the first frame. */
  readonly first: number;
  /** Difference of neighbouring numbers; 0 while there is only one frame to tell from. */
  readonly increment: number;
  /** Number of the last frame that was handed on. */
  readonly last?: number;
  /** Shape and sample type of the first frame that was read: all others must agree. */
  readonly shape?: FrameShape;
  readonly sampleType?: SampleType;
  readonly normalisation?: Normalisation;
}

/** Totals since the ledger was begun. */
export interface LedgerCounts {
  readonly frames: Readonly<Record<Outcome, number>>;
  /** Frames whose file changed after they had an outcome. */
  readonly revised: number;
  /** Numbers that never appeared though later ones did. */
  readonly missing: number;
  readonly scores: { readonly final: number; readonly expired: number };
}

export const NO_COUNTS: LedgerCounts = {
  frames: { forecast: 0, observed: 0, 'warm-up': 0, rejected: 0, lost: 0 },
  revised: 0,
  missing: 0,
  scores: { final: 0, expired: 0 },
};
