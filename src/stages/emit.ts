import type { MonoTypeOperatorFunction, Observable } from 'rxjs';
import {
  catchError,
  concat,
  concatMap,
  defer,
  EMPTY,
  finalize,
  forkJoin,
  from,
  fromEvent,
  ignoreElements,
  merge,
  of,
  retry,
  Subject,
  takeUntil,
  tap,
  timer,
} from 'rxjs';
import type { Delivery, Target } from '../pipeline/delivery.js';
import { isRetryable } from '../pipeline/delivery.js';
import { messageOf, SinkError } from '../pipeline/errors.js';

export interface EmitOptions<T> extends RetryOptions {
  readonly targets: readonly Target[];
  /** What an item has for the sinks, in the order they get it; an item that has nothing passes at once. */
  readonly deliveries: (item: T) => readonly Delivery[];
  /** Ends everything, retries included: what was not delivered by then is not emitted. */
  readonly signal: AbortSignal;
}

export interface RetryOptions {
  readonly notice: (message: string) => void;
  /** A best-effort sink did not take this one. */
  readonly dropped?: (sink: string, delivery: Delivery, reason: string) => void;
  /** Milliseconds before the second try; doubles with every try up to `longestDelay`, times 0.5 to 1. */
  readonly firstDelay?: number;
  readonly longestDelay?: number;
  /** Tries that a best-effort sink gets for one delivery. */
  readonly tries?: number;
  /** Deliveries that a best-effort sink may be behind; more are dropped. */
  readonly behind?: number;
  /** 0..1, for the jitter. */
  readonly random?: () => number;
}

/**
 * Hands what items carry to all sinks, one item after the other, and emits each item once every required sink took all
 * of it. A required sink is tried until it works, with growing, jittered pauses; the stream fails only when it refuses
 * for good. A best-effort sink works on its own, at most `behind` deliveries late. Completes when the best-effort sinks
 * are done too; or, without the items under way, when `signal` aborts.
 * @throws SinkError (in the stream) naming the sink
 */
export const emit =
  <T>(options: EmitOptions<T>): MonoTypeOperatorFunction<T> =>
  (source$) =>
    defer(() => {
      const { targets, deliveries, signal } = options;
      if (signal.aborted) return EMPTY;
      const required = targets
        .filter((target) => target.required)
        .map((target) => persistent(target, options));
      const others = targets
        .filter((target) => !target.required)
        .map((target) => bestEffort(target, options));

      const toAll = (delivery: Delivery): Observable<never> => {
        others.forEach((other) => other.offer(delivery));
        return forkJoin(required.map((deliver) => deliver(delivery))).pipe(ignoreElements());
      };
      const delivered$ = source$.pipe(
        concatMap((item) => concat(from(deliveries(item)).pipe(concatMap(toAll)), of(item))),
        finalize(() => others.forEach((other) => other.end())),
      );
      // The queues first: they have to listen before anything is offered.
      return merge(...others.map((other) => other.work$), delivered$).pipe(
        takeUntil(fromEvent(signal, 'abort')),
      );
    });

/** One try after the other while `again` allows, with growing pauses between them; each failure is told. */
const attempts = (
  target: Target,
  delivery: Delivery,
  { firstDelay = 250, longestDelay = 30_000, random = Math.random }: RetryOptions,
  again: (error: unknown, failures: number) => boolean,
): Observable<never> =>
  defer(() => target.deliver(delivery)).pipe(
    ignoreElements(),
    retry({
      delay: (error, failures) => {
        if (!again(error, failures)) throw error;
        return timer(Math.min(firstDelay * 2 ** (failures - 1), longestDelay) * (0.5 + 0.5 * random()));
      },
    }),
  );

/** Delivers until it works, and tells when the sink starts to fail and when it works again. Emits `true` at the end. */
const persistent =
  (target: Target, options: RetryOptions) =>
  (delivery: Delivery): Observable<true> => {
    let failing = false;
    const again = (error: unknown): boolean => {
      if (!isRetryable(error)) return false;
      if (!failing) options.notice(`sink ${target.name}: ${messageOf(error)}; trying again until it works`);
      return (failing = true);
    };
    return concat(attempts(target, delivery, options, again), of(true as const)).pipe(
      tap(() => {
        if (failing) options.notice(`sink ${target.name} works again`);
      }),
      catchError((cause: unknown) => {
        throw new SinkError(`sink ${target.name} refused a ${describe(delivery)}: ${messageOf(cause)}`, {
          cause,
          retryable: false,
        });
      }),
    );
  };

/** A queue of its own, bounded, so that a slow sink holds up nobody. The first drop is told, every drop is counted. */
const bestEffort = (target: Target, options: RetryOptions) => {
  const { tries = 3, behind = 4 } = options;
  const queue = new Subject<Delivery>();
  let pending = 0;
  let told = false;
  const drop = (delivery: Delivery, reason: string): void => {
    options.dropped?.(target.name, delivery, reason);
    if (!told)
      options.notice(
        `sink ${target.name} missed a ${describe(delivery)}: ${reason}; later ones are only counted`,
      );
    told = true;
  };
  return {
    offer: (delivery: Delivery): void => {
      if (pending >= behind) return drop(delivery, `it is ${behind} deliveries behind`);
      pending++;
      queue.next(delivery);
    },
    end: (): void => queue.complete(),
    work$: queue.pipe(
      concatMap((delivery) =>
        attempts(target, delivery, options, (error, failures) => failures < tries && isRetryable(error)).pipe(
          catchError((error: unknown) => {
            drop(delivery, messageOf(error));
            return EMPTY;
          }),
          finalize(() => pending--),
        ),
      ),
    ),
  };
};

const describe = (delivery: Delivery): string => {
  const { series, index } = delivery.type === 'forecast' ? delivery.forecast : delivery.score;
  return `${delivery.type} of ${series}, frame ${index}`;
};
