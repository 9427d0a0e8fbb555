import type { Hint } from '../plugins/plugin.js';

export interface PaceOptions {
  /** Milliseconds after which everything is looked at, hints or not. */
  readonly interval: number;
  /** Milliseconds between two looks that have to find a file unchanged. */
  readonly settle: number;
  readonly now: () => number;
  readonly signal: AbortSignal;
}

/** When to look at what. */
export interface Pace {
  /** These files may have changed, or anything. */
  hint(hint: Hint): void;
  /** A look took place: at everything, or at some files. */
  looked(began: number, ended: number, all: boolean): void;
  /**
   * Resolves when there is something to look at: with paths, or undefined for everything; with undefined when the signal
   * aborts. `settling` are files that need a second look.
   */
  next(settling: readonly string[]): Promise<readonly string[] | undefined>;
}

/** Milliseconds between looks however many hints come. */
export const LEAST_PAUSE = 20;
/** Scans take a tenth of the time at most: a folder that takes long to scan is scanned less often, */
const REST = 9;
/** but after so many milliseconds at the latest. */
const LONGEST_REST = 60_000;

export const pace = ({ interval, settle, now, signal }: PaceOptions): Pace => {
  const hinted = new Set<string>();
  let everything = false;
  let [least, ended, rested, due] = [LEAST_PAUSE, now(), 0, 0];
  let wake = (): void => undefined;
  const sleep = (milliseconds: number, untilHint: boolean): Promise<void> =>
    new Promise((resolve) => {
      const timer = setTimeout(finish, Math.max(1, milliseconds));
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
  return {
    hint: (paths) => {
      if (paths === undefined) everything = true;
      else for (const path of paths) hinted.add(path);
      wake();
    },
    looked: (began, end, all) => {
      ended = end;
      least = Math.max(LEAST_PAUSE, end - began);
      if (!all) return;
      rested = end + Math.min(LONGEST_REST, Math.max(LEAST_PAUSE, REST * (end - began)));
      due = Math.max(rested, end + interval);
    },
    next: async (settling) => {
      await sleep(Math.min(least, LONGEST_REST), false);
      const again = settling.length > 0 ? ended + settle : Infinity;
      for (;;) {
        const time = now();
        const scanAt = everything ? Math.min(rested, due) : due;
        if (signal.aborted || time >= scanAt) {
          hinted.clear();
          everything = false;
          return undefined;
        }
        if (hinted.size > 0 || time >= again) {
          const paths = [...new Set([...hinted, ...settling])];
          hinted.clear();
          return paths;
        }
        await sleep(Math.min(scanAt, again) - time, true);
      }
    },
  };
};
