import { Observable, from, lastValueFrom, mergeMap, toArray } from 'rxjs';
import { messageOf } from '../pipeline/errors.js';
import type { Entry } from '../pipeline/frame.js';
import { bySeries } from '../pipeline/frame.js';
import type { Ledger } from '../pipeline/ledger/ledger.js';
import type { Incomplete, Source } from '../pipeline/plugins/plugin.js';
import type { Ready, RunContext } from '../pipeline/run.js';
import { LEAST_PAUSE, pace } from '../pipeline/intake/pace.js';
import type { SeriesTracker } from '../pipeline/intake/series-tracker.js';
import { trackSeries } from '../pipeline/intake/series-tracker.js';

export interface WatchOptions {
  /** Most seconds between scans. */
  readonly pollInterval: number;
  /** Seconds that a file may stay incomplete, or a new series without its third frame. */
  readonly patience: number;
  /** Seconds that a number may be missing; default: `patience`. */
  readonly gapWait?: number | undefined;
  /** What then: go on without it, or fail. */
  readonly onGap?: 'skip' | 'fail' | undefined;
  /** Complete when nothing new came for so many seconds and no file is waiting. */
  readonly untilIdle?: number | undefined;
  /** Complete after this many frames. */
  readonly frames?: number | undefined;
}

/** One of the folders that are watched, each at its own pace: one that is slow or away holds up no other. */
export interface WatchedRoot {
  /** Opened; watch does not close it. */
  readonly source: Source;
  /** Files appear whole: one is taken as soon as its validator passes. */
  readonly atomic: boolean;
  /** Asks the codec for the entry's file; rejects with the system's error when it cannot be opened. */
  validate(entry: Entry): Promise<Incomplete>;
  /** A series that the ledger knows is of this root. */
  owns(series: string): boolean;
  /** What of a scan counts; default: all. */
  readonly pick?: (entries: readonly Entry[]) => readonly Entry[];
}

export interface WatchContext extends RunContext {
  readonly roots: readonly WatchedRoot[];
  /** Filled with what is known of each series, for those who ask how the run is. */
  readonly trackers?: Map<string, SeriesTracker>;
  /** `fail` must have written to it when it returns. */
  readonly ledger: Ledger;
}

/** Two looks at a file are at least this many seconds apart, unless scans are more frequent. */
const SETTLE = 0.25;
/** Series that are looked at together: bounds open files. */
const SERIES_AT_ONCE = 8;
/**
 * Emits each frame once, when its file is whole, in the order of the numbers of its series. Places are counted from the
 * series' first frame. Files that are not whole in time, vanish, come late, do not fit the numbering or bear a number
 * twice go to `context.fail`; numbers that never appear are counted in the ledger and passed over. What the ledger
 * holds an outcome for is not emitted again; what an earlier run left unfinished is.
 * Completes when `context.signal` aborts, after `frames`, or when idle. Fails at a gap where `onGap` says so.
 */
export const watch = (options: WatchOptions, context: WatchContext): Observable<Ready> =>
  new Observable<Ready>((subscriber) => {
    const ended = new AbortController();
    const signal = AbortSignal.any([context.signal, ended.signal]);
    const all = context.trackers ?? new Map<string, SeriesTracker>();
    // Not the time of day: that may be set back while files wait.
    const now = (): number => performance.now();
    const settle = Math.max(LEAST_PAUSE, Math.min(options.pollInterval, SETTLE) * 1000);
    const { gapWait } = options;
    let emitted = 0;
    let lastNews = now();

    const wanted = (): boolean =>
      !signal.aborted && (options.frames === undefined || emitted < options.frames);
    const isIdle = (): boolean =>
      options.untilIdle !== undefined &&
      now() - lastNews >= options.untilIdle * 1000 &&
      [...all.values()].every((tracker) => tracker.waiting === 0 && !tracker.isUnderWay);

    const newTracker = (series: string, root: WatchedRoot): SeriesTracker =>
      trackSeries(
        series,
        {
          atomic: root.atomic,
          patience: options.patience * 1000,
          gapWait: gapWait === undefined ? undefined : gapWait * 1000,
          onGap: options.onGap,
          settle,
        },
        {
          ...context,
          validate: (entry) => root.validate(entry),
          isThere: (path) => root.source.isThere(path),
          wanted,
          unseen: (path) => root.source.unseen?.(path) ?? false,
          takenBack: () => {
            emitted--;
          },
          emit: (ready) => {
            emitted++;
            subscriber.next(ready);
          },
        },
      );

    /** Follows one root until no more frames are wanted. */
    const follow = async (root: WatchedRoot): Promise<void> => {
      const { source } = root;
      const trackers = new Map<string, SeriesTracker>();
      const track = (series: string): void => {
        if (trackers.has(series)) return;
        const tracker = newTracker(series, root);
        trackers.set(series, tracker);
        all.set(series, tracker);
      };
      const look = looking(root, signal, {
        notice: context.notice,
        isDone: (entry) => trackers.get(entry.series)?.isDone(entry) ?? false,
      });
      const rhythm = pace({ interval: options.pollInterval * 1000, settle, now, signal });
      const hints = source.hints.subscribe({
        next: (hint) => {
          rhythm.hint(hint);
        },
        error: (error: unknown) => {
          context.notice(`no hints of changes any more: ${messageOf(error)}; scanning goes on`);
        },
      });
      try {
        // Series that an earlier run knew are looked at even when nothing of them is there any more.
        for (const { series } of context.ledger.allSeries()) if (root.owns(series)) track(series);
        let paths: readonly string[] | undefined;
        let first = true;
        while (wanted()) {
          const began = now();
          const found = await look(paths);
          if (!wanted()) return;
          const [until, date] = [now(), context.now().getTime()];
          const entries = new Map(bySeries(found.entries));
          // Of a series that is new a scan has to tell: hints of its files come in any order, and it begins with the first.
          const stacks = new Set(
            found.entries.flatMap(({ item, path }) => (item === undefined ? [] : [path])),
          );
          const isNew = (series: string): boolean => !found.scanned && !trackers.has(series);
          const unknown = [...entries.keys()].filter(isNew);
          for (const series of unknown) entries.delete(series);
          for (const series of entries.keys()) track(series);
          // Of the others nothing is new.
          const concerned = [...trackers].filter(
            ([series, { waiting }]) => found.gone === undefined || waiting > 0 || entries.has(series),
          );
          const news = await lastValueFrom(
            from(concerned).pipe(
              mergeMap(
                ([series, tracker]) =>
                  tracker.look(entries.get(series) ?? [], {
                    began,
                    ended: until,
                    date,
                    first,
                    gone: found.gone,
                    stacks,
                  }),
                SERIES_AT_ONCE,
              ),
              toArray(),
            ),
            { defaultValue: [] as boolean[] },
          );
          if (found.gone === undefined) first = false;
          // Of what cannot be read nobody knows whether there is news.
          if (news.includes(true) || found.failed === true) lastNews = until;
          if (found.failed !== true) looked.add(root);
          if (looked.size === context.roots.length && isIdle()) ended.abort();
          if (found.unsure === true || unknown.length > 0) rhythm.hint(undefined);
          rhythm.looked(began, until, found.scanned);
          paths = await rhythm.next([...trackers.values()].flatMap((tracker) => tracker.settling()));
        }
      } finally {
        hints.unsubscribe();
      }
    };

    /** Roots that were scanned once: before all were, nobody can say that there is nothing. */
    const looked = new Set<WatchedRoot>();
    const stop = (): void => {
      subscriber.complete();
    };
    context.signal.addEventListener('abort', stop);
    Promise.all(context.roots.map(follow)).then(stop, (error: unknown) => {
      ended.abort();
      subscriber.error(error);
    });
    return () => {
      context.signal.removeEventListener('abort', stop);
      ended.abort();
    };
  });

interface Found {
  readonly entries: readonly Entry[];
  /** Everything was looked at, or was to be. */
  readonly scanned: boolean;
  /** What is known to be missing of what was looked at; undefined: all that is not among the entries. */
  readonly gone: ReadonlySet<string> | undefined;
  /** Only a scan can tell what became of the paths. */
  readonly unsure?: boolean;
  /** Nothing could be looked at. */
  readonly failed?: boolean;
}

/** Looks at paths, or at everything. Never fails: what is wrong is told once, until it is right again. */
const looking = (
  { source, pick = (entries) => entries }: WatchedRoot,
  signal: AbortSignal,
  { notice, isDone }: { notice: (message: string) => void; isDone: (entry: Entry) => boolean },
): ((paths: readonly string[] | undefined) => Promise<Found>) => {
  let failing = false;
  const look = async (paths: readonly string[] | undefined): Promise<Found> => {
    if (paths === undefined || source.look === undefined)
      return { entries: pick(await source.scan(signal, isDone)), scanned: true, gone: undefined };
    const entries = await source.look(paths, signal);
    if (entries === undefined) return { entries: [], scanned: false, gone: new Set(), unsure: true };
    const gone = new Set(paths);
    for (const { path } of entries) gone.delete(path);
    return { entries: pick(entries), scanned: false, gone };
  };
  return async (paths) => {
    try {
      const found = await look(paths);
      failing = false;
      return found;
    } catch (error) {
      if (!signal.aborted && !failing) notice(`the scan failed: ${messageOf(error)}; trying again`);
      failing = true;
      const scanned = paths === undefined || source.look === undefined;
      return { entries: [], scanned, gone: new Set(), failed: true };
    }
  };
};
