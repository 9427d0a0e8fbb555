import { concatMap, EMPTY, Observable, Subject, type OperatorFunction } from 'rxjs';

export interface ByChampionOptions<T, C, R> {
  /** What the items of a batch, which agree in it, are to be worked on with; the same object for the same. */
  readonly championOf: (batch: readonly T[]) => Promise<C>;
  /** Subscribed anew for each champion; what it holds must be let go of when it ends. */
  readonly stages: (champion: C) => OperatorFunction<readonly T[], R>;
}

/**
 * Runs batches through stages that belong to a champion. When another comes, the old stages end, and with them their state,
 * before the new ones begin: they rebuild theirs as after a restart. A batch must come only when all results of the one
 * before are there, as `batch` does it; so nothing is under way at a change, and nothing is lost.
 */
export const byChampion =
  <T, C, R>({ championOf, stages }: ByChampionOptions<T, C, R>): OperatorFunction<readonly T[], R> =>
  (source$) =>
    new Observable<R>((subscriber) => {
      let current: { readonly champion: C; readonly batches: Subject<readonly T[]> } | undefined;
      const begin = (champion: C): Subject<readonly T[]> => {
        current?.batches.complete();
        const batches = new Subject<readonly T[]>();
        current = { champion, batches };
        const stage = batches.pipe(stages(champion)).subscribe({
          next: (result) => subscriber.next(result),
          error: (error: unknown) => subscriber.error(error),
          complete: () => {
            if (ended && current?.batches === batches) subscriber.complete();
          },
        });
        subscriber.add(stage);
        return batches;
      };
      let ended = false;
      subscriber.add(
        source$
          .pipe(
            concatMap(async (batch) => {
              const champion = await championOf(batch);
              const batches = champion === current?.champion ? current.batches : begin(champion);
              batches.next(batch);
            }),
            concatMap(() => EMPTY),
          )
          .subscribe({
            error: (error: unknown) => subscriber.error(error),
            complete: () => {
              ended = true;
              if (current === undefined) subscriber.complete();
              else current.batches.complete();
            },
          }),
      );
    });
