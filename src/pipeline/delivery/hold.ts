import { setTimeout as sleep } from 'node:timers/promises';
import { SinkError } from '../errors.js';

/** Waits; resolves early when the signal aborts. */
export const pauseFor = (ms: number, signal: AbortSignal): Promise<void> =>
  sleep(ms, undefined, { signal }).catch(() => undefined);

/** Resolves when the signal aborts. */
export const aborting = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });

/** Stops what is done for a sink for a while, so that another can take its place. */
export interface Hold {
  readonly isOn: boolean;
  /** The delivery under way was given up for it. */
  readonly interrupts: boolean;
  /** Ends pauses between tries; `untilDrain`: those that the end of a run ends, too. */
  pausing(untilDrain: boolean): AbortSignal;
  /** One delivery; rejects when the hold interrupts, whether or not it heeds its signal. */
  attempt(deliver: (signal: AbortSignal) => Promise<void>): Promise<void>;
  /** Ends pauses at once and deliveries after the grace; resolves when `working` does. */
  begin(working: Promise<void> | undefined): Promise<void>;
  end(): void;
}

/**
 * @param signal ends everything
 * @param draining the run is over
 * @param grace milliseconds that a delivery under way is given
 */
export const createHold = (signal: AbortSignal, draining: AbortSignal, grace: number): Hold => {
  // Signals are combined once, not for each delivery: a run of months makes many.
  const fresh = () => {
    const [holding, interrupting] = [new AbortController(), new AbortController()];
    return {
      holding,
      interrupting,
      trying: AbortSignal.any([signal, interrupting.signal]),
      pausing: AbortSignal.any([signal, holding.signal]),
      pausingUntilDrain: AbortSignal.any([signal, holding.signal, draining]),
    };
  };
  let now = fresh();
  return {
    get isOn() {
      return now.holding.signal.aborted;
    },
    get interrupts() {
      return now.interrupting.signal.aborted;
    },
    pausing: (untilDrain) => (untilDrain ? now.pausingUntilDrain : now.pausing),
    attempt: (deliver) =>
      new Promise((resolve, reject) => {
        const { trying } = now;
        const { signal: interrupted } = now.interrupting;
        const giveUp = (): void => reject(new SinkError('it was interrupted'));
        interrupted.addEventListener('abort', giveUp, { once: true });
        void (async () => deliver(trying))()
          .then(resolve, reject)
          .finally(() => interrupted.removeEventListener('abort', giveUp));
      }),
    begin: async (working) => {
      now.holding.abort();
      const ended = new AbortController();
      await Promise.race([working, pauseFor(grace, AbortSignal.any([signal, ended.signal]))]);
      ended.abort();
      now.interrupting.abort();
      await Promise.race([working, aborting(signal)]);
    },
    end: () => {
      now = fresh();
    },
  };
};
