import { Observable, of, Subscription, type OperatorFunction } from 'rxjs';

export interface BatchOptions<T> {
  /** Most items in a batch. */
  readonly size: number;
  /** Milliseconds that an item waits for others when nothing is being worked on. */
  readonly delay: number;
  /** Items of one series never share a batch: each needs the state that the one before it leaves. */
  seriesOf(item: T): string;
  /** Items of one batch agree in this, as the network takes one shape at a time. */
  shapeOf(item: T): string;
}

/** An item on its way into the network. */
export interface Batched<T> {
  readonly item: T;
  /** No later item of its series was waiting when the batch was made. */
  readonly newest: boolean;
}

/**
 * Dynamic batching across series: hands `work` a batch when it is full or its first item has waited for `delay`, one
 * batch at a time; meanwhile items gather, so that a busy network gets larger batches. Order within a series is kept.
 */
export const batch =
  <T, R>(options: BatchOptions<T>, work: OperatorFunction<readonly Batched<T>[], R>): OperatorFunction<T, R> =>
  (source$) =>
    new Observable<R>((subscriber) => {
      const waiting: T[] = [];
      const inner = new Subscription();
      let [busy, ended] = [false, false];
      let timer: NodeJS.Timeout | undefined;

      /** The first item, and those that can go with it. */
      const next = (): T[] => {
        const chosen: T[] = [];
        const series = new Set<string>();
        const [first] = waiting;
        for (const item of waiting) {
          if (first === undefined || chosen.length >= options.size) break;
          const name = options.seriesOf(item);
          const fits = !series.has(name) && options.shapeOf(item) === options.shapeOf(first);
          series.add(name); // also when it does not fit: nothing of its series may overtake it
          if (fits) chosen.push(item);
        }
        return chosen;
      };
      const start = (items: readonly T[]): void => {
        clearTimeout(timer);
        timer = undefined;
        busy = true;
        for (const item of items) waiting.splice(waiting.indexOf(item), 1);
        const behind = new Set(waiting.map((item) => options.seriesOf(item)));
        const batched = items.map((item) => ({ item, newest: !behind.has(options.seriesOf(item)) }));
        inner.add(
          of(batched)
            .pipe(work)
            .subscribe({
              next: (result) => subscriber.next(result),
              error: (error: unknown) => subscriber.error(error),
              complete: () => {
                busy = false;
                schedule();
              },
            }),
        );
      };
      const schedule = (): void => {
        if (busy) return;
        if (waiting.length === 0) {
          if (ended) subscriber.complete();
          return;
        }
        const ready = next();
        if (ready.length >= options.size || ended || options.delay <= 0) start(ready);
        else timer ??= setTimeout(() => start(next()), options.delay);
      };

      inner.add(
        source$.subscribe({
          next: (item) => {
            waiting.push(item);
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
        inner.unsubscribe();
      };
    });
