import type { Candidate, Look } from './candidates.js';
import { candidateOf, examine, lookAgain } from './candidates.js';
import type { Entry } from '../frame.js';
import { entryKey, sameRevision } from '../frame.js';
import type { FrameRecord } from '../ledger/records.js';
import type { Ledger } from '../ledger/ledger.js';
import { createHandedOn } from './handed-on.js';
import { entryOf } from './revisions.js';
import type { OrderOptions } from './series-order.js';
import { seriesOrder } from './series-order.js';
import type { Incomplete } from '../plugins/plugin.js';
import type { GiveBack, Ready, RunContext } from '../run.js';

export interface TrackerOptions extends OrderOptions {
  /** Files are renamed into place: the validator alone decides. */
  readonly atomic: boolean;
  /** Milliseconds that a file may stay incomplete, or a new series without its third frame. */
  readonly patience: number;
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
  /** Some were handed on and have no outcome yet: they may come back. */
  readonly isUnderWay: boolean;
  /** The first of them, and what it waits for; undefined when there is none. */
  firstWaiting(): Waiting | undefined;
  /** Paths of those that need a second look. */
  settling(): readonly string[];
  /** The ledger has an outcome for the file as it is. */
  isDone(entry: Entry): boolean;
  readonly takeBack: GiveBack;
}

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
  const { ledger, notice } = context;
  const { patience } = options;
  ledger.retryRejected(series);
  const order = seriesOrder(series, options, context);
  const handedOn = createHandedOn(series, { ledger, notice, patience });
  const candidates = new Map<string, Candidate>();
  let started = false;
  let saidRevised = false;
  /** Times that frames were given back. */
  let returned = 0;

  /** A later look found it unchanged. */
  const stands = ({ confirmedAt, lookedAt }: Candidate): boolean => confirmedAt - lookedAt >= options.settle;
  const settled = (candidate: Candidate): boolean => options.atomic || stands(candidate);
  const end = ({ entry }: Candidate, outcome: 'rejected' | 'lost', reason: string, kind?: 'late'): void => {
    candidates.delete(entryKey(entry));
    handedOn.giveUp(entryKey(entry));
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

  /** True when the entry is new or has changed. */
  const meet = async (entry: Entry, look: Look): Promise<boolean> => {
    const key = entryKey(entry);
    const candidate = candidates.get(key);
    if (candidate !== undefined) return lookAgain(candidate, entry, look);
    // It will be compared when it is finished.
    if (handedOn.isOnItsWay(key) || ledger.isForgotten(series, entry.index)) return false;
    const known = recordOf(entry);
    if (known !== undefined && (known.path === entry.path || !(await context.isThere(known.path)))) {
      // The same file, or the same frame in a folder that was moved.
      if (known.outcome !== undefined) {
        if (!isOf(known, entry)) takeOver(entry, known);
        return false;
      }
      if (handedOn.isOnItsWay(entryKey(known))) return false;
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
      notice(
        `${entry.path} changed after it was used; such files are counted as revised and not read again ` +
          '(begin anew with another state folder to read them)',
      );
    saidRevised = true;
  };

  const handOn = ({ entry }: Candidate, position: number): void => {
    candidates.delete(entryKey(entry));
    handedOn.add(entry);
    ledger.putFrame({ ...entry, position });
    order.handedOn(entry);
    context.emit({ entry, position });
  };

  /** Deals with candidates in order of their numbers, as far as they are decided. Gives how many need no second try. */
  const advance = (queue: readonly Candidate[], from: number, upTo: number, ripe: number): number => {
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
      const problem = order.problemOf(entry);
      if (problem !== undefined) {
        if (settled(candidate)) end(candidate, 'rejected', problem.reason, problem.kind);
        continue;
      }
      if (!candidate.whole || candidate.missingSince !== undefined) {
        if (queue[at + 1]?.entry.index === entry.index && queue[at + 1]?.whole === true) continue;
        return at;
      }
      const known = (): Candidate[] =>
        queue.slice(0, upTo).filter((one) => candidates.has(entryKey(one.entry)));
      const place = order.place(candidate, known, ripe);
      if (place === 'wait') return at;
      if (place === 'excluded')
        at--; // its problem is told in the next round
      else handOn(candidate, place);
    }
    return at;
  };

  const reasonToWait = ({ whole, verdict, missingSince }: Candidate): string => {
    if (missingSince !== undefined) return 'it is gone, and may come back';
    return whole ? order.waitsFor() : (verdict ?? 'two looks have to find it unchanged');
  };

  /** Validates what has settled; gives up what stays incomplete. */
  const judge = async (candidate: Candidate, now: number): Promise<void> => {
    if (candidate.whole || candidate.missingSince !== undefined || !settled(candidate)) return;
    // Looks may follow each other closely: what was not whole just now need not be read again.
    if (now - candidate.examinedAt < options.settle) return;
    await examine(candidate, (entry) => context.validate(entry), now);
    const { verdict, changedAt, confirmedAt, unreadableSince = -Infinity } = candidate;
    // While nobody can say what is there, patience stands still.
    if (verdict === undefined || confirmedAt - Math.max(changedAt, unreadableSince) < patience) return;
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
    get isUnderWay() {
      handedOn.tidy();
      return handedOn.count > 0;
    },
    takeBack: (entry, why, isGone) => {
      if (!context.wanted()) {
        if (isGone) return false;
        // Its place is taken in the ledger: what has no outcome comes first the next time.
        notice(`${entry.path} could not be read (${why}): the next run takes it up`);
        return true;
      }
      const now = performance.now();
      if (!handedOn.mayReturn(entry, why, now)) return false;
      returned++;
      const look = { began: now, ended: now, date: 0, first: false };
      for (const record of ledger.unfinished(series)) {
        const behind = entryOf(record, record.revision);
        if (record.index < entry.index || !handedOn.takeOut(entryKey(behind))) continue;
        candidates.set(entryKey(behind), candidateOf(behind, look, record.position));
        context.takenBack();
      }
      return true;
    },
    look: async (entries, look) => {
      if (!started) takeUp(look);
      started = true;
      const { gone } = look;
      if (gone === undefined) handedOn.tidy();
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
        if (look.began - candidate.missingSince >= patience)
          end(candidate, 'lost', 'it went away before it was read');
      }
      const queue = [...candidates.values()].sort(
        (a, b) => a.entry.index - b.entry.index || (a.entry.path < b.entry.path ? -1 : 1),
      );
      const [before, returnedBefore] = [candidates.size, returned];
      let at = 0;
      let ripe = order.ripest(queue);
      for (let judged = 0; judged < queue.length && context.wanted();) {
        const some = queue.slice(judged, judged + VALIDATIONS);
        await Promise.all(some.map((candidate) => judge(candidate, look.began)));
        if (returned !== returnedBefore) break; // what came back goes first, and is not in this queue
        judged += some.length;
        ripe = Math.max(ripe, order.ripest(some));
        at = advance(queue, at, judged, ripe);
      }
      return active || candidates.size !== before;
    },
  };
};
