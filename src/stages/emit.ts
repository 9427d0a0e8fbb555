import type { MonoTypeOperatorFunction } from 'rxjs';
import { concatMap, defer, EMPTY, fromEvent, takeUntil } from 'rxjs';
import type { Delivery } from '../pipeline/delivery/delivery.js';
import type { SinkQueue } from '../pipeline/delivery/sink-queue.js';

export interface EmitOptions<T> {
  /** Those of all sinks, as they are at the moment. */
  readonly queues: () => readonly Pick<SinkQueue, 'offer'>[];
  /** What an item has for the sinks, in the order they get it; an item that has nothing passes at once. */
  readonly deliveries: (item: T) => readonly Delivery[];
  /** Ends everything: what was not delivered by then is not emitted. */
  readonly signal: AbortSignal;
}

/**
 * Hands what items carry to the queues of all sinks and emits each item, in order, once all of it is settled: delivered,
 * or safe on disk. A sink that is behind holds up the others only when its own queue is full and its policy is `block`.
 * Completes with the source; or, without the items under way, when `signal` aborts.
 */
export const emit =
  <T>({ queues, deliveries, signal }: EmitOptions<T>): MonoTypeOperatorFunction<T> =>
  (source$) =>
    defer(() => {
      if (signal.aborted) return EMPTY;
      return source$.pipe(
        concatMap(async (item) => {
          const settled: Promise<void>[] = [];
          for (const delivery of deliveries(item)) {
            const offers = await Promise.all(queues().map((queue) => queue.offer(delivery)));
            settled.push(...offers.map((offer) => offer.settled));
          }
          return { item, settled };
        }),
        concatMap(async ({ item, settled }) => {
          await Promise.all(settled);
          return item;
        }),
        takeUntil(fromEvent(signal, 'abort')),
      );
    });
