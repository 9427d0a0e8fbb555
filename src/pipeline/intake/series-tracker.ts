import { basename } from 'node:path';
import type { Candidate, Look } from './candidates.js';
import { candidateOf, examine, lookAgain } from './candidates.js';
import { FrameError } from '../errors.js';
import type { Entry } from '../frame.js';
import { entryKey, sameRevision } from '../frame.js';
import type { FrameRecord, SeriesRecord } from '../ledger/records.js';
import type { Ledger } from '../ledger/ledger.js';
import { misfit, NUMBERING_FRAMES, numberingOf, placeOf } from './numbering.js';
import { entryOf } from './revisions.js';
import type { Incomplete } from '../plugins/plugin.js';
import type { GiveBack, Ready, RunContext } from '../run.js';

export interface TrackerOptions {
  /** Files are renamed into place: the validator alone decides. */
  readonly atomic: boolean;
  /** Milliseconds that a file may stay incomplete. */
  readonly patience: number;
  /** Milliseconds that a number may be missing while later ones are there; default: `patience`. */
  readonly gapWait?: number | undefined;
  /** What then: go on without it, or end the run. */
  readonly onGap?: 'skip' | 'fail' | undefined;
  /** Milliseconds between the two looks that must find the same revision. */
  readonly settle: number;
}

export interface TrackerContext extends Pick<RunContext, 'fail' | 'notice'> {
  readonly ledger: Ledger;
  validate(entry: Entry): Promise<Incomplete>;
  /** As the source says. */
  isThere(path: string): Promise<boolean>;
  /** Where a look could not look, it does not say what is missing. */
  unseen(path: string): boolean;
  /** Hands a frame on. */
  emit(ready: Ready): void;
  /** One that was handed on is to be handed on again. */
  takenBack(): void;
  /** False when no more frames are wanted. */
  wanted(): boolean;
}

/** Files of a series that were seen and not handed on, as people are told. */
export interface Waiting {
  readonly files: number;
  /** The first of them by number. */
  readonly path: string;
  readonly index: number;
  readonly for: string;
  /** When the file last changed, or was last seen where it is gone: ISO 8601, UTC. */
  readonly since: string;
}

/** Decides, look by look, which frames of one series are whole and next. */
export interface SeriesTracker {
  /** Takes in what a scan found of this series. True when anything was new. @throws FrameError at a gap, where that ends the run */
  look(entries: readonly Entry[], look: Look): Promise<boolean>;
  /** Files that are neither handed on nor given up. */
  readonly waiting: number;
  /** The first of them, and what it waits for; undefined when there is none. */
  firstWaiting(): Waiting | undefined;
  /** Paths of those that need a second look. */
  settling(): readonly string[];
  /** The ledger has an outcome for the file as it is. */
  isDone(entry: Entry): boolean;
  readonly takeBack: GiveBack;
}

/** Gaps of one series that are told one by one. */
const GAPS_TOLD = 5;
/** A file that cannot be read after it was found whole is handed on so many times, and for as long as there is patience. */
const MOST_RETURNS = 4;
/** Files that are validated at once. */
const VALIDATIONS = 8;

/** What the ledger has is this file, as it is. */
const isOf = ({ path, item, revision }: FrameRecord, entry: Entry): boolean =>
  path === entry.path && item === entry.item && sameRevision(revision, entry.revision);

export const trackSeries = (
  series: string,
  options: TrackerOptions,
  context: TrackerContext,
): SeriesTracker => {
  const { ledger } = context;
  const { gapWait = options.patience } = options;
  ledger.retryRejected(series);
  let record: SeriesRecord | undefined = ledger.series(series);
  const candidates = new Map<string, Candidate>();
  /** Numbers of files that were handed on and may not have their outcome yet. */
  const handed = new Map<string, number>();
  /** Files that could not be read when they were handed on: how often, and since when. */
  const returned = new Map<string, { times: number; readonly since: number }>();
  let started = false;
  let saidRevised = false;
  let gaps = 0;

  /** A later look found it unchanged. */
  const stands = ({ confirmedAt, lookedAt }: Candidate): boolean => confirmedAt - lookedAt >= options.settle;
  const settled = (candidate: Candidate): boolean => options.atomic || stands(candidate);
  const end = ({ entry }: Candidate, outcome: 'rejected' | 'lost', reason: string, kind?: 'late'): void => {
    candidates.delete(entryKey(entry));
    returned.delete(entryKey(entry));
    context.fail(entry, outcome, reason, kind);
  };

  /** Frames that an earlier run handed on and did not finish come again, at the places that they had. */
  const takeUp = (look: Look): void => {
    for (const { index, path, item, revision, position } of ledger.unfinished(series)) {
      const entry = { series, index, path, ...(item !== undefined && { item }), revision };
      const candidate = candidateOf(entry, look, position);
      candidate.whole = position !== undefined;
      candidates.set(entryKey(entry), candidate);
    }
  };

  const recordOf = (entry: Entry): FrameRecord | undefined => {
    const record = ledger.frame(series, entry.index);
    return record === undefined || record.path === entry.path ? record : (ledger.duplicate(entry) ?? record);
  };
  const isDone = (entry: Entry): boolean => {
    if (ledger.isForgotten(series, entry.index)) return true;
    const record = recordOf(entry);
    return record?.outcome !== undefined && isOf(record, entry);
  };
  const isOnItsWay = (key: string): boolean => {
    const index = handed.get(key);
    if (index === undefined) return false;
    if (!ledger.isForgotten(series, index) && ledger.frame(series, index)?.outcome === undefined) return true;
    handed.delete(key);
    returned.delete(key);
    return false;
  };

  /** True when the entry is new or has changed. */
  const meet = async (entry: Entry, look: Look): Promise<boolean> => {
    const key = entryKey(entry);
    const candidate = candidates.get(key);
    if (candidate !== undefined) return lookAgain(candidate, entry, look);
    // It will be compared when it is finished.
    if (isOnItsWay(key) || ledger.isForgotten(series, entry.index)) return false;
    const known = recordOf(entry);
    if (known !== undefined && (known.path === entry.path || !(await context.isThere(known.path)))) {
      // The same file, or the same frame in a folder that was moved.
      if (known.outcome !== undefined) {
        if (!isOf(known, entry)) takeOver(entry, known);
        return false;
      }
      if (isOnItsWay(entryKey(known))) return false;
      candidates.delete(entryKey(known));
      candidates.set(key, candidateOf(entry, look, known.position));
      return true;
    }
    candidates.set(key, candidateOf(entry, look));
    return true;
  };

  const takeOver = (entry: Entry, { revision }: FrameRecord): void => {
    ledger.revise(entry);
    if (sameRevision(revision, entry.revision)) return;
    if (!saidRevised)
      context.notice(
        `${entry.path} changed after it was used; such files are counted as revised and not read again ` +
          '(begin anew with another state folder to read them)',
      );
    saidRevised = true;
  };

  /** Why a candidate can never be a frame of this series, whatever it holds. */
  const problemOf = ({ entry }: Candidate): { reason: string; kind?: 'late' } | undefined => {
    const { index, path } = entry;
    const holder = ledger.frame(series, index);
    if (holder !== undefined && holder.path !== path)
      return {
        reason:
          `${basename(holder.path)} and ${basename(path)} both have number ${index}: ` +
          'say which files are meant with include, such as "*.png"',
      };
    if (record?.last !== undefined && index <= record.last)
      return { reason: `late: it came after number ${record.last}`, kind: 'late' };
    if (record === undefined) return undefined;
    // A ledger that was rebuilt knows where its series began, and not how far they have come.
    if (index < record.first)
      return { reason: `late: its series began with number ${record.first}`, kind: 'late' };
    if (record.increment === 0) return undefined;
    return placeOf(index, record) === undefined ? { reason: misfit(index, record) } : undefined;
  };

  const keep = (change: Partial<SeriesRecord> & Pick<SeriesRecord, 'first' | 'increment'>): void => {
    // The ledger's own record may have got a shape or a normalisation from others meanwhile.
    record = { ...ledger.series(series), ...change, series };
    ledger.putSeries(record);
  };

  /** Learns the first number from the first complete frame, the increment from those behind it; false while it is too early to say. */
  const learnNumbering = (queue: readonly Candidate[], now: number): boolean => {
    const last = record?.last ?? -1;
    const fresh = queue.filter(
      ({ entry, owed }) => candidates.has(entryKey(entry)) && owed === undefined && entry.index > last,
    );
    const whole = fresh.filter((candidate) => candidate.whole);
    const [next] = whole;
    if (next === undefined) return false;
    if (fresh.some((candidate) => !candidate.whole && candidate.entry.index < next.entry.index)) return false;
    // A number tells the numbering even when its file is not whole yet, or never will be.
    const given = [...ledger.frames(series, next.entry.index), ...fresh.map(({ entry }) => entry)];
    const numbers = new Set([
      ...(record === undefined ? [] : [record.first]),
      ...given.map(({ index }) => index),
    ]);
    const quiet = whole.every(({ changedAt }) => now - changedAt >= options.patience);
    if (numbers.size < NUMBERING_FRAMES && !quiet) return false;
    keep(numberingOf([...numbers]));
    return true;
  };

  /** False while a number before the candidate may still come. @throws FrameError when the run is to end there */
  const passGap = ({ entry }: Candidate, queue: readonly Candidate[], now: number): boolean => {
    if (record?.last === undefined || record.increment === 0) return true;
    const { first, last, increment } = record;
    const from = last + increment;
    if (entry.index <= from) return true;
    let missing = (entry.index - from) / increment;
    for (const { index } of ledger.frames(series, from, entry.index - 1))
      if ((index - first) % increment === 0) missing--;
    if (missing === 0) return true;
    const waited = queue.some(
      ({ entry: later, whole, changedAt }) => whole && later.index > from && now - changedAt >= gapWait,
    );
    if (!waited) return false;
    if (options.onGap === 'fail')
      throw new FrameError(`${series}: ${missing} missing between ${last} and ${entry.index}`, {
        hint: 'the run ends where a number is missing (on-gap: fail); start it again when the frame is there',
      });
    ledger.countMissing(series, missing);
    if (++gaps <= GAPS_TOLD)
      context.notice(
        `${series}: ${missing} missing between ${last} and ${entry.index}; went on` +
          (gaps === GAPS_TOLD ? ' (further gaps of this series are only counted)' : ''),
      );
    return true;
  };

  const handOn = ({ entry }: Candidate, position: number): void => {
    candidates.delete(entryKey(entry));
    handed.set(entryKey(entry), entry.index);
    ledger.putFrame({ ...entry, position });
    const { first, increment, last } = record ?? { first: entry.index, increment: 0 };
    keep({ first, increment, last: Math.max(last ?? entry.index, entry.index) });
    context.emit({ entry, position });
  };

  /** Deals with candidates in order of their numbers, as far as they are decided. Gives how many need no second try. */
  const advance = (queue: readonly Candidate[], from: number, upTo: number, now: number): number => {
    let at = from;
    for (let candidate = queue[at]; candidate !== undefined && at < upTo; candidate = queue[++at]) {
      const { entry } = candidate;
      if (!context.wanted()) return at;
      if (!candidates.has(entryKey(entry))) continue;
      if (candidate.owed !== undefined) {
        if (!candidate.whole || candidate.missingSince !== undefined) return at;
        handOn(candidate, candidate.owed);
        continue;
      }
      const begins = record !== undefined && record.last === undefined && record.first === entry.index;
      const unknown = !begins && (record === undefined || record.increment === 0);
      const problem = problemOf(candidate);
      if (problem !== undefined) {
        if (settled(candidate)) end(candidate, 'rejected', problem.reason, problem.kind);
        continue;
      }
      if (!candidate.whole || candidate.missingSince !== undefined) {
        if (queue[at + 1]?.entry.index === entry.index && queue[at + 1]?.whole === true) continue;
        return at;
      }
      if (unknown && !learnNumbering(queue.slice(0, upTo), now)) return at;
      if (problemOf(candidate) !== undefined) {
        at--; // what was learned excludes it
        continue;
      }
      if (!passGap(candidate, queue, now)) return at;
      const { first, increment } = record ?? { first: entry.index, increment: 0 };
      handOn(candidate, increment === 0 ? 0 : (entry.index - first) / increment);
    }
    return at;
  };

  const reasonToWait = ({ whole, verdict, missingSince }: Candidate): string => {
    if (missingSince !== undefined) return 'it is gone, and may come back';
    if (!whole) return verdict ?? 'two looks have to find it unchanged';
    if (record?.last === undefined || record.increment === 0) return 'more frames, to tell the numbering';
    return `number ${record.last + record.increment}, which comes before it`;
  };

  /** Validates what has settled; gives up what stays incomplete. */
  const judge = async (candidate: Candidate, now: number): Promise<void> => {
    if (candidate.whole || candidate.missingSince !== undefined || !settled(candidate)) return;
    // Looks may follow each other closely: what was not whole just now need not be read again.
    if (now - candidate.examinedAt < options.settle) return;
    await examine(candidate, (entry) => context.validate(entry), now);
    const { verdict, changedAt, confirmedAt } = candidate;
    // While nobody can say what is there, patience stands still.
    if (verdict === undefined || confirmedAt - changedAt < options.patience) return;
    // Even a file that was old when we came gets its two looks.
    if (stands(candidate)) end(candidate, 'rejected', verdict);
  };

  return {
    get waiting() {
      return candidates.size;
    },
    firstWaiting: () => {
      const [first, ...others] = [...candidates.values()].sort((a, b) => a.entry.index - b.entry.index);
      if (first === undefined) return undefined;
      const { entry, missingSince, changedAt } = first;
      return {
        files: 1 + others.length,
        path: entry.path,
        index: entry.index,
        for: reasonToWait(first),
        // Waiting is measured by a clock that nobody sets; people know another.
        since: new Date(Date.now() - (performance.now() - (missingSince ?? changedAt))).toISOString(),
      };
    },
    settling: () =>
      [...candidates.values()]
        .filter((candidate) => candidate.missingSince === undefined && !candidate.whole && !stands(candidate))
        .map(({ entry }) => entry.path),
    isDone,
    takeBack: (entry, why) => {
      if (!context.wanted()) return false;
      const key = entryKey(entry);
      const now = performance.now();
      const { times, since } = returned.get(key) ?? { times: 0, since: now };
      if (times >= MOST_RETURNS && now - since >= options.patience) return false;
      if (times === 0) context.notice(`${entry.path} could not be read (${why}): it is tried again`);
      returned.set(key, { times: times + 1, since });
      const look = { began: now, ended: now, date: 0, first: false };
      for (const record of ledger.unfinished(series)) {
        const behind = entryOf(record, record.revision);
        if (record.index < entry.index || !handed.delete(entryKey(behind))) continue;
        candidates.set(entryKey(behind), candidateOf(behind, look, record.position));
        context.takenBack();
      }
      return true;
    },
    look: async (entries, look) => {
      if (!started) takeUp(look);
      started = true;
      const { gone } = look;
      if (gone === undefined) for (const key of handed.keys()) isOnItsWay(key);
      let active = false;
      for (const entry of entries) if (await meet(entry, look)) active = true;
      const found = new Set(entries.map(entryKey));
      for (const candidate of candidates.values()) {
        if (gone?.has(candidate.entry.path) === false || found.has(entryKey(candidate.entry))) continue;
        if (context.unseen(candidate.entry.path)) continue;
        if (candidate.entry.item === undefined && look.stacks?.has(candidate.entry.path) === true) {
          candidates.delete(entryKey(candidate.entry));
          continue;
        }
        candidate.missingSince ??= look.ended;
        if (look.began - candidate.missingSince >= options.patience)
          end(candidate, 'lost', 'it went away before it was read');
      }
      const queue = [...candidates.values()].sort(
        (a, b) => a.entry.index - b.entry.index || (a.entry.path < b.entry.path ? -1 : 1),
      );
      const before = candidates.size;
      let at = 0;
      for (let judged = 0; judged < queue.length && context.wanted();) {
        const some = queue.slice(judged, judged + VALIDATIONS);
        await Promise.all(some.map((candidate) => judge(candidate, look.began)));
        judged += some.length;
        at = advance(queue, at, judged, look.began);
      }
      return active || candidates.size !== before;
    },
  };
};
