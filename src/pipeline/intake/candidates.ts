import { codeOf, messageOf } from '../errors.js';
import type { Entry } from '../frame.js';
import { sameRevision } from '../frame.js';
import type { Incomplete } from '../plugins/plugin.js';

/** A file that is there and has not been handed on. Times are milliseconds by a clock that nobody sets. */
export interface Candidate {
  entry: Entry;
  /** When a look first found this revision: the second look must come later. */
  lookedAt: number;
  /** When the last look that found it so began. */
  confirmedAt: number;
  /** Last change, by our own clock; by the file's for what was there before the run began. */
  changedAt: number;
  /** The format's validator found it whole, at this revision. */
  whole: boolean;
  /** What the validator said otherwise, and when. */
  verdict: string | undefined;
  examinedAt: number;
  /** Since when the system does not let us read it: that says nothing of the file, however old it is. */
  unreadableSince: number | undefined;
  /** Since when scans do not find it. */
  missingSince: number | undefined;
  /** Its place in the series, when an earlier run had handed it on and not finished it. */
  readonly owed: number | undefined;
}

/** When a look took place, in milliseconds by a clock that nobody sets. */
export interface Look {
  readonly began: number;
  readonly ended: number;
  /** When it ended by the clock on the wall, since the epoch: what files' own times are compared with. */
  readonly date: number;
  /** The first scan of the run. */
  readonly first: boolean;
  /** Paths that it looked at and did not find; undefined: everything was looked at, and what it did not find is not there. */
  readonly gone?: ReadonlySet<string> | undefined;
  /** Paths of files that hold several frames by now: as one frame of their folder there is no such file. */
  readonly stacks?: ReadonlySet<string> | undefined;
}

/** A candidate as a look first finds it. */
export const candidateOf = (entry: Entry, look: Look, owed?: number): Candidate => ({
  entry,
  lookedAt: look.ended,
  confirmedAt: look.ended,
  // Only what was there before us goes by the file's clock, which may be another machine's.
  changedAt: look.first
    ? look.ended - Math.max(0, look.date - Number(BigInt(entry.revision.mtimeNs) / 1_000_000n))
    : look.ended,
  whole: false,
  verdict: undefined,
  examinedAt: -Infinity,
  unreadableSince: undefined,
  missingSince: undefined,
  owed,
});

/** A look found it again: takes over what changed. True when the file is not the one of the look before. */
export const lookAgain = (candidate: Candidate, entry: Entry, look: Look): boolean => {
  candidate.missingSince = undefined;
  candidate.confirmedAt = look.began;
  if (sameRevision(candidate.entry.revision, entry.revision)) return false;
  candidate.entry = entry;
  candidate.lookedAt = candidate.confirmedAt = candidate.changedAt = look.ended;
  candidate.examinedAt = -Infinity;
  candidate.whole = false;
  candidate.verdict = undefined;
  candidate.unreadableSince = undefined;
  return true;
};

/** Asks the validator and keeps its answer. A file that cannot be opened counts as not whole. */
export const examine = async (
  candidate: Candidate,
  validate: (entry: Entry) => Promise<Incomplete>,
  now: number,
): Promise<void> => {
  const { entry } = candidate;
  candidate.examinedAt = now;
  let verdict: Incomplete;
  let unreadableSince: number | undefined;
  try {
    verdict = await validate(entry);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return; // the next scan will say so
    verdict = `it cannot be read: ${messageOf(error).split(',')[0] ?? ''}`;
    unreadableSince = candidate.unreadableSince ?? now;
  }
  if (candidate.entry !== entry) return;
  candidate.unreadableSince = unreadableSince;
  candidate.verdict = verdict;
  candidate.whole = verdict === undefined;
};
