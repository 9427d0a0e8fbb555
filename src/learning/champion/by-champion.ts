import { concatMap, EMPTY, Observable, Subject, type OperatorFunction } from 'rxjs';

/** A champion that is to take over. */
export interface Upcoming<C> {
  readonly champion: C;
  /** Called once: the stages are as ready for it as they can be. `error`: they failed. */
  readonly ready: (error?: unknown) => void;
}

export interface ByChampionOptions<T, C, M, R> {
  /** What the items of a batch, which agree in it, are to be worked on with; the same object for the same. */
  readonly championOf: (batch: readonly T[]) => Promise<C>;
  readonly upcoming$?: Observable<Upcoming<C>>;
  /** Called with true when a batch begins, and with false when its results are there: others may compute then. */
  readonly working?: (isWorking: boolean) => void;
  /**
   * Subscribed anew for each champion; what it holds must be let go of when it ends. One result for each batch. `isInUse`:
   * false while it rehearses.
   */
  readonly front: (champion: C, isInUse: () => boolean) => OperatorFunction<readonly T[], M>;
  /** What follows, without a state of its own. */
  readonly back: (champion: C) => OperatorFunction<M, R>;
  /** Lets go of what a result of `front` holds. */
  readonly discard: (result: M) => void;
}

/** The stages of a champion: those of the one in use give results on, those of the one that is to follow it do not yet. */
interface Stages<T, C> {
  readonly champion: C;
  readonly batches: Subject<readonly T[]>;
  isInUse: boolean;
  /** Of those that rehearse. */
  ready: Upcoming<C>['ready'] | undefined;
}

const endRehearsal = <T, C>(stages: Stages<T, C>, error?: unknown): void => {
  stages.ready?.(error);
  stages.ready = undefined;
};

/**
 * Runs batches through stages that belong to a champion. One that is to take over rehearses on the last batch, beside the
 * one in use: its programs are compiled, and its states built, when its first batch comes. The old stages end, and with them
 * their state, before the new ones begin. A batch must come only when all results of the one before are there, as `batch`
 * does it; so nothing is under way at a change, and nothing is lost. A rehearsal that fails is told of, and forgotten.
 */
export const byChampion =
  <T, C, M, R>({
    championOf,
    upcoming$ = EMPTY,
    working = () => undefined,
    front,
    back,
    discard,
  }: ByChampionOptions<T, C, M, R>): OperatorFunction<readonly T[], R> =>
  (source$) =>
    new Observable<R>((subscriber) => {
      let current: Stages<T, C> | undefined;
      let next: Stages<T, C> | undefined;
      let last: readonly T[] | undefined;
      let ended = false;

      const open = (champion: C): Stages<T, C> => {
        const stages: Stages<T, C> = {
          champion,
          batches: new Subject(),
          isInUse: false,
          ready: undefined,
        };
        const results = new Subject<M>();
        subscriber.add(
          results.pipe(back(champion)).subscribe({
            next: (result) => {
              working(false);
              subscriber.next(result);
            },
            error: (error: unknown) => subscriber.error(error),
            complete: () => {
              if (ended && current === stages) subscriber.complete();
            },
          }),
        );
        subscriber.add(
          stages.batches.pipe(front(champion, () => stages.isInUse)).subscribe({
            next: (result) => {
              if (stages.isInUse) results.next(result);
              else discard(result);
              endRehearsal(stages);
            },
            error: (error: unknown) => {
              if (stages.isInUse) subscriber.error(error);
              else if (next === stages) next = undefined;
              endRehearsal(stages, error);
              results.complete();
            },
            complete: () => results.complete(),
          }),
        );
        return stages;
      };
      const close = (stages: Stages<T, C> | undefined): void => {
        if (stages === undefined) return;
        endRehearsal(stages);
        stages.batches.complete();
      };
      const begin = (champion: C): Stages<T, C> => {
        close(current);
        const rehearsed = next?.champion === champion && next.ready === undefined ? next : undefined;
        if (rehearsed === undefined) close(next);
        current = rehearsed ?? open(champion);
        next = undefined;
        current.isInUse = true;
        return current;
      };
      const rehearse = ({ champion, ready }: Upcoming<C>): void => {
        close(next);
        next = undefined;
        if (ended || last === undefined || current?.champion === champion) {
          ready();
          return;
        }
        next = open(champion);
        next.ready = ready;
        next.batches.next(last);
      };

      subscriber.add(upcoming$.subscribe(rehearse));
      subscriber.add(
        source$
          .pipe(
            concatMap(async (batch) => {
              const champion = await championOf(batch);
              const stages = champion === current?.champion ? current : begin(champion);
              last = batch;
              working(true);
              stages.batches.next(batch);
            }),
            concatMap(() => EMPTY),
          )
          .subscribe({
            error: (error: unknown) => subscriber.error(error),
            complete: () => {
              ended = true;
              close(next);
              next = undefined;
              if (current === undefined) subscriber.complete();
              else current.batches.complete();
            },
          }),
      );
      return () => {
        working(false);
        close(next);
      };
    });
