import type { AttachConfig } from '../config/config.js';
import { hintOf, messageOf, SinkError, StartupError } from '../errors.js';
import type { Forecast, Score } from '../forecast.js';
import type { Sink } from '../plugins/plugin.js';

/** What happens when deliveries come faster than a sink takes them. */
export type QueuePolicy = 'block' | 'drop_oldest' | 'spill';

/** A sink with its place in the run. */
export interface NamedSink {
  /** Unique in the run; also the name of its folder in the state. */
  readonly name: string;
  /** As the configuration has them. */
  readonly settings: AttachConfig['sinks'][number];
  readonly sink: Sink;
}

/** One thing to hand to every sink. */
export type Delivery =
  | { readonly type: 'forecast'; readonly forecast: Forecast }
  | { readonly type: 'score'; readonly score: Score };

/** Hands one delivery to an opened sink; one without `score` takes no scores. */
export const deliverTo = (sink: Sink, delivery: Delivery, signal: AbortSignal): Promise<void> =>
  delivery.type === 'forecast'
    ? sink.forecast(delivery.forecast, signal)
    : (sink.score?.(delivery.score, signal) ?? Promise.resolve());

/**
 * A sink whose first start may fail: `open` says so and resolves, and each delivery tries again to open it before it is
 * handed over. Whatever the failure is, it counts as one that may pass.
 */
export const openedWhenPossible = (name: string, sink: Sink, log: (message: string) => void): Sink => {
  let isOpen = false;
  const open = async (signal: AbortSignal): Promise<void> => {
    if (isOpen) return;
    try {
      await sink.open(signal);
    } catch (cause) {
      await sink.close().catch(() => undefined); // half-open: the next try begins anew
      throw new SinkError(`cannot start: ${messageOf(cause)}`, { cause });
    }
    isOpen = true;
  };
  return {
    open: (signal) =>
      open(signal).catch((error: unknown) => {
        log(`sink ${name} ${messageOf(error)}; it is started when that works`);
      }),
    forecast: (forecast, signal) => open(signal).then(() => sink.forecast(forecast, signal)),
    score: (score, signal) => open(signal).then(() => sink.score?.(score, signal)),
    close: () => {
      isOpen = false;
      return sink.close();
    },
  };
};

/** What a program's own mistakes are called: trying again would not help. */
const MISTAKES = new Set(['TypeError', 'ReferenceError', 'RangeError', 'SyntaxError']);

/**
 * An error may say so itself (`retryable`); else everything but a mistake in the sink's code is worth another try. `fetch`
 * throws a TypeError when a server is away: its cause says why.
 */
export const isRetryable = (error: unknown): boolean => {
  if (typeof error !== 'object' || error === null) return true;
  if ('retryable' in error && typeof error.retryable === 'boolean') return error.retryable;
  const isMistake = 'name' in error && MISTAKES.has(String(error.name));
  return isMistake && 'cause' in error && error.cause !== undefined ? isRetryable(error.cause) : !isMistake;
};

/**
 * Opens sinks in the order given. When one fails, those before it are closed again.
 * @throws StartupError naming the sink
 */
export const openSinks = async (
  sinks: readonly Pick<NamedSink, 'name' | 'sink'>[],
  signal: AbortSignal,
  notice: (message: string) => void,
): Promise<void> => {
  for (const [at, { name, sink }] of sinks.entries()) {
    try {
      await sink.open(signal);
    } catch (cause) {
      await closeSinks(sinks.slice(0, at + 1), notice);
      const hint = hintOf(cause);
      throw new StartupError(`sink ${name} cannot start: ${messageOf(cause)}`, {
        cause,
        ...(hint === undefined ? {} : { hint }),
      });
    }
  }
};

/** Closes sinks in reverse order. One that fails is reported and does not keep the others open. */
export const closeSinks = async (
  sinks: readonly Pick<NamedSink, 'name' | 'sink'>[],
  notice: (message: string) => void,
): Promise<void> => {
  for (const { name, sink } of sinks.toReversed()) {
    try {
      await sink.close();
    } catch (error) {
      notice(`sink ${name} did not close: ${messageOf(error)}`);
    }
  }
};
