import type { Normalisation } from '../forecast.js';
import type { FrameShape, Revision, SampleType } from '../frame.js';
import type { Outcome } from '../run.js';
import type { SkillSums } from '../skill-sums.js';

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
  /** Why it had to be rejected whatever it holds: its number is past, or another file's. */
  readonly kind?: 'late' | 'duplicate';
  /** When it was handed on or, later, when it ended: milliseconds since the epoch. Ledgers of version 1 did not say. */
  readonly at?: number;
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
  /** Of the rejected ones: those that came after a later number, and those whose number another file had. */
  readonly late: number;
  readonly duplicate: number;
  /** Frames whose file changed after they had an outcome. */
  readonly revised: number;
  /** Numbers that never appeared though later ones did. */
  readonly missing: number;
  readonly scores: { readonly final: number; readonly expired: number };
}

/** The totals of one series, and what is needed to keep its part of the ledger small. */
export interface SeriesCounts extends LedgerCounts {
  /** Records of frames with an outcome that the ledger still has. */
  readonly kept: number;
  /** Records up to this number were forgotten: their frames are dealt with, whatever lies in the directory. */
  readonly forgottenTo?: number;
  readonly skill: SkillSums;
}

const NO_COUNTS: LedgerCounts = {
  frames: { forecast: 0, observed: 0, 'warm-up': 0, rejected: 0, lost: 0 },
  late: 0,
  duplicate: 0,
  revised: 0,
  missing: 0,
  scores: { final: 0, expired: 0 },
};
export const NO_SERIES_COUNTS: SeriesCounts = { ...NO_COUNTS, kept: 0, skill: {} };

/** The counts without (-1) or with (+1) what one record adds to them. */
export const recounted = (
  counts: SeriesCounts,
  record: FrameRecord | undefined,
  sign: 1 | -1,
): SeriesCounts => {
  if (record?.outcome === undefined) return counts;
  const { outcome, kind } = record;
  return {
    ...counts,
    frames: { ...counts.frames, [outcome]: counts.frames[outcome] + sign },
    ...(kind !== undefined && { [kind]: counts[kind] + sign }),
  };
};

/** The totals over all series. */
export const totalOf = (all: Iterable<LedgerCounts>): LedgerCounts => {
  const total = structuredClone(NO_COUNTS) as { -readonly [K in keyof LedgerCounts]: LedgerCounts[K] };
  for (const { frames, late, duplicate, revised, missing, scores } of all) {
    total.frames = addUp(total.frames, frames);
    total.scores = addUp(total.scores, scores);
    total.late += late;
    total.duplicate += duplicate;
    total.revised += revised;
    total.missing += missing;
  }
  return total;
};

const addUp = <T extends Readonly<Record<string, number>>>(a: T, b: T): T =>
  Object.fromEntries(Object.entries(a).map(([key, value]) => [key, value + (b[key] ?? 0)])) as T;
