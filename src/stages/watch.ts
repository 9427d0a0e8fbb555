import { Observable, from, lastValueFrom, mergeMap, toArray } from 'rxjs';
import { messageOf } from '../pipeline/errors.js';
import type { Entry } from '../pipeline/frame.js';
import { bySeries } from '../pipeline/frame.js';
import type { Ledger } from '../pipeline/ledger/ledger.js';
import type { Incomplete, Source } from '../pipeline/plugins/plugin.js';
import type { Ready, RunContext } from '../pipeline/run.js';
import type { SeriesTracker } from '../pipeline/intake/series-tracker.js';
import { trackSeries } from '../pipeline/intake/series-tracker.js';

export interface WatchOptions {
  /** The writer renames finished files into place: a file is taken as soon as its validator passes. */
  readonly atomic: boolean;
  /** Most seconds between scans. */
  readonly pollInterval: number;
  /** Seconds that a file may stay incomplete, a number missing, or a new series without its third frame. */
  readonly patience: number;
  /** Complete when nothing new came for so many seconds and no file is waiting. */
  readonly untilIdle?: number | undefined;
  /** Complete after this many frames. */
  readonly frames?: number | undefined;
}

export interface WatchContext extends RunContext {
  /** Opened; watch does not close it. */
  readonly source: Source;
  /** Filled with what is known of each series, for those who ask how the run is. */
  readonly trackers?: Map<string, SeriesTracker>;
  /** `fail` must have written to it when it returns. */
  readonly ledger: Ledger;
  /** Asks the codec for the entry's file; rejects with the system's error when it cannot be opened. */
  validate(entry: Entry): Promise<Incomplete>;
}

/** Two looks at a file are at least this many seconds apart, unless scans are more frequent. */
const SETTLE = 0.25;
/** Series that are looked at together: bounds open files. */
const SERIES_AT_ONCE = 8;
/** Milliseconds between scans however many hints come. */
const LEAST_PAUSE = 20;

/**
 * Emits each frame once, when its file is whole, in the order of the numbers of its series. Places are counted from the
 * series' first frame. Files that are not whole in time, vanish, come late, do not fit the numbering or bear a number
 * twice go to `context.fail`; numbers that never appear are counted in the ledger and passed over. What the ledger
 * holds an outcome for is not emitted again; what an earlier run left unfinished is.
 * Completes when `context.signal` aborts, after `frames`, or when idle.
 */
export const watch = (options: WatchOptions, context: WatchContext): Observable<Ready> =>
  new Observable<Ready>((subscriber) => {
    const ended = new AbortController();
    const signal = AbortSignal.any([context.signal, ended.signal]);
    const trackers = context.trackers ?? new Map<string, SeriesTracker>();
    // Not the time of day: that may be set back while files wait.
    const now = (): number => performance.now();
    const settle = Math.max(LEAST_PAUSE, Math.min(options.pollInterval, SETTLE) * 1000);
    let emitted = 0;
    let failing = false;
    let hinted = false;
    let wake = (): void => undefined;

    const wanted = (): boolean =>
      !signal.aborted && (options.frames === undefined || emitted < options.frames);
    const trackerOf = (series: string): SeriesTracker => {
      const known = trackers.get(series);
      if (known !== undefined) return known;
      const tracker = trackSeries(
        series,
        { atomic: options.atomic, patience: options.patience * 1000, settle },
        {
          ledger: context.ledger,
          fail: (...failure) => {
            context.fail(...failure);
          },
          notice: (message) => {
            context.notice(message);
          },
          validate: (entry) => context.validate(entry),
          wanted,
          emit: (ready) => {
            emitted++;
            subscriber.next(ready);
          },
        },
      );
      trackers.set(series, tracker);
      return tracker;
    };

    const scan = async (): Promise<readonly Entry[]> => {
      try {
        const entries = await context.source.scan(signal);
        failing = false;
        return entries;
      } catch (error) {
        if (!signal.aborted && !failing) context.notice(`the scan failed: ${messageOf(error)}; trying again`);
        failing = true;
        return [];
      }
    };

    const sleep = (milliseconds: number, untilHint = false): Promise<void> =>
      new Promise((resolve) => {
        const timer = setTimeout(finish, milliseconds);
        function finish(): void {
          clearTimeout(timer);
          signal.removeEventListener('abort', finish);
          wake = () => undefined;
          resolve();
        }
        if (untilHint) wake = finish;
        if (signal.aborted) finish();
        else signal.addEventListener('abort', finish);
      });
    /** Waits for the timer, or for a hint once `least` has passed. */
    const pause = async (least: number, most: number): Promise<void> => {
      await sleep(least);
      if (!hinted && most > least) await sleep(most - least, true);
    };

    const run = async (): Promise<void> => {
      // Series that an earlier run knew are looked at even when nothing of them is there any more.
      for (const { series } of context.ledger.allSeries()) trackerOf(series);
      let lastNews = now();
      for (let first = true; wanted(); first = false) {
        hinted = false;
        const began = now();
        const entries = bySeries(await scan());
        if (!wanted()) break;
        const look = { began, ended: now(), date: context.now().getTime(), first };
        for (const series of entries.keys()) trackerOf(series);
        const news = await lastValueFrom(
          from([...trackers]).pipe(
            mergeMap(([series, tracker]) => tracker.look(entries.get(series) ?? [], look), SERIES_AT_ONCE),
            toArray(),
          ),
        );
        const all = [...trackers.values()];
        if (news.includes(true)) lastNews = look.ended;
        const waiting = all.some((tracker) => tracker.waiting > 0);
        if (options.untilIdle !== undefined && !waiting && now() - lastNews >= options.untilIdle * 1000)
          break;
        // A folder that takes long to scan is scanned less often.
        const least = Math.max(LEAST_PAUSE, look.ended - began);
        const soon = all.some((tracker) => tracker.unsettled(now()));
        await pause(least, soon ? settle : options.pollInterval * 1000);
      }
    };

    const hints = context.source.hints.subscribe({
      next: () => {
        hinted = true;
        wake();
      },
      error: (error: unknown) => {
        context.notice(`no hints of changes any more: ${messageOf(error)}; scanning goes on`);
      },
    });
    const stop = (): void => {
      subscriber.complete();
    };
    context.signal.addEventListener('abort', stop);
    run().then(stop, (error: unknown) => {
      subscriber.error(error);
    });
    return () => {
      context.signal.removeEventListener('abort', stop);
      ended.abort();
      hints.unsubscribe();
    };
  });
