import type { ObservableInput } from 'rxjs';
import { EMPTY } from 'rxjs';
import { MesocastError, messageOf, StartupError } from './errors.js';
import type { Forecast, Score } from './forecast.js';
import type { Sink } from './plugin.js';

/** A sink with its place in the run. */
export interface NamedSink {
  readonly name: string;
  /** Required: a frame waits until this sink took it. Otherwise the sink gets a few tries and holds nothing up. */
  readonly required: boolean;
  readonly sink: Sink;
}

/** One thing to hand to every sink. */
export type Delivery =
  | { readonly type: 'forecast'; readonly forecast: Forecast }
  | { readonly type: 'score'; readonly score: Score };

/** Where deliveries go: a sink, or a double in virtual time. */
export interface Target {
  readonly name: string;
  readonly required: boolean;
  deliver(delivery: Delivery): ObservableInput<unknown>;
}

/** Deliveries to opened sinks; a sink without `score` takes no scores. */
export const targetsOf = (sinks: readonly NamedSink[], signal: AbortSignal): Target[] =>
  sinks.map(({ name, required, sink }) => ({
    name,
    required,
    deliver: (delivery) =>
      delivery.type === 'forecast'
        ? sink.forecast(delivery.forecast, signal)
        : (sink.score?.(delivery.score, signal) ?? EMPTY),
  }));

/** What a program's own mistakes are called: trying again would not help. */
const MISTAKES = new Set(['TypeError', 'ReferenceError', 'RangeError', 'SyntaxError']);

/** An error may say so itself (`retryable`); else everything but a mistake in the sink's code is worth another try. */
export const isRetryable = (error: unknown): boolean => {
  if (error instanceof MesocastError) return error.retryable;
  if (typeof error !== 'object' || error === null) return true;
  if ('retryable' in error && typeof error.retryable === 'boolean') return error.retryable;
  return !('name' in error && MISTAKES.has(String(error.name)));
};

/**
 * Opens sinks in the order given. When one fails, those before it are closed again.
 * @throws StartupError naming the sink
 */
export const openSinks = async (
  sinks: readonly NamedSink[],
  signal: AbortSignal,
  notice: (message: string) => void,
): Promise<void> => {
  for (const [at, { name, sink }] of sinks.entries()) {
    try {
      await sink.open(signal);
    } catch (cause) {
      await closeSinks(sinks.slice(0, at + 1), notice);
      const hint = cause instanceof MesocastError ? cause.hint : undefined;
      throw new StartupError(`sink ${name} cannot start: ${messageOf(cause)}`, {
        cause,
        ...(hint === undefined ? {} : { hint }),
      });
    }
  }
};

/** Closes sinks in reverse order. One that fails is reported and does not keep the others open. */
export const closeSinks = async (
  sinks: readonly NamedSink[],
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
