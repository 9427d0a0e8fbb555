import type { Batched } from '../pipeline/in-flight.js';
import { Observable, Subject, Subscription, type OperatorFunction } from 'rxjs';

export interface BatchOptions<T> {
  /** Most items in a batch. */
  readonly size: number;
  /** Milliseconds that an item waits for others when nothing is being worked on. */
  readonly delay: number;
  /** Items of one series never share a batch: each needs the state that the one before it leaves. */
  seriesOf(item: T): string;
  /** Items of one batch agree in this, as the network takes one shape at a time. */
  shapeOf(item: T): string;
  /** When it aborts, items that wait are dropped, and the stream completes with what is being worked on. */
  readonly signal?: AbortSignal;
}

interface Waiting<T> {
  readonly item: T;
  readonly series: string;
  readonly shape: string;
  /** When it came, in milliseconds. */
  readonly since: number;
}

/**
 * Dynamic batching across series: hands `work` a batch when it is full or its first item has waited for `delay`, one
 * batch at a time; meanwhile items gather, so that a busy network gets larger batches. Order within a series is kept.
 * `work` is subscribed once, so that stages in it can keep state from batch to batch. It must give one result for each
 * item: the next batch comes when all results of the last one are there.
 */
export const batch =
  <T, R>(
    options: BatchOptions<T>,
    work: OperatorFunction<readonly Batched<T>[], R>,
  ): OperatorFunction<T, R> =>
  (source$) =>
    new Observable<R>((subscriber) => {
      const waiting = new Set<Waiting<T>>();
      const batches = new Subject<readonly Batched<T>[]>();
      const subscriptions = new Subscription();
      let owed = 0;
      let ended = false;
      let timer: NodeJS.Timeout | undefined;

      /** The first item, and those that can go with it. */
      const next = (): Waiting<T>[] => {
        const chosen: Waiting<T>[] = [];
        const series = new Set<string>();
        for (const entry of waiting) {
          if (chosen.length >= options.size) break;
          const fits = !series.has(entry.series) && entry.shape === (chosen[0] ?? entry).shape;
          series.add(entry.series); // also when it does not fit: nothing of its series may overtake it
          if (fits) chosen.push(entry);
        }
        return chosen;
      };
      const start = (entries: readonly Waiting<T>[]): void => {
        clearTimeout(timer);
        timer = undefined;
        owed = entries.length;
        for (const entry of entries) waiting.delete(entry);
        const behind = new Set([...waiting].map(({ series }) => series));
        batches.next(entries.map(({ item, series }) => ({ item, newest: !behind.has(series) })));
      };
      const schedule = (): void => {
        if (owed > 0 || batches.closed) return;
        if (options.signal?.aborted === true) waiting.clear();
        const [first] = waiting;
        if (first === undefined) {
          clearTimeout(timer);
          timer = undefined;
          if (ended) batches.complete();
          return;
        }
        const ready = next();
        // Timers may be a fraction of a millisecond early.
        const left = Math.ceil(first.since + options.delay - performance.now());
        if (ready.length >= options.size || ended || left <= 0) start(ready);
        else
          timer ??= setTimeout(() => {
            timer = undefined;
            schedule();
          }, left);
      };

      subscriptions.add(
        batches.pipe(work).subscribe({
          next: (result) => {
            subscriber.next(result);
            owed--;
            schedule();
          },
          error: (error: unknown) => subscriber.error(error),
          complete: () => subscriber.complete(),
        }),
      );
      subscriptions.add(
        source$.subscribe({
          next: (item) => {
            const [series, shape] = [options.seriesOf(item), options.shapeOf(item)];
            waiting.add({ item, series, shape, since: performance.now() });
            schedule();
          },
          error: (error: unknown) => subscriber.error(error),
          complete: () => {
            ended = true;
            schedule();
          },
        }),
      );
      return () => {
        clearTimeout(timer);
        subscriptions.unsubscribe();
        batches.unsubscribe();
      };
    });
