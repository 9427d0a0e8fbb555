/** Milliseconds that are enough for a piece of work, such as to compile a program. */
const ENOUGH = 1_000;

/**
 * When there is time for something else than the batches of frames. A program that is compiled beside a forecast makes it
 * take three times as long on two cores: its threads wait for each other at every operator.
 */
export interface BetweenBatches {
  /** A batch begins, or its results are there. */
  readonly working: (isWorking: boolean) => void;
  /**
   * Resolves when none is under way and, if batches go on coming as the last two did, a second or half of the time between
   * them is left until the next.
   */
  time(): Promise<void>;
  /** No more batches come: nobody waits. */
  readonly end: () => void;
}

export const createBetweenBatches = (): BetweenBatches => {
  const now = (): number => performance.now();
  let [isWorking, isOver] = [false, false];
  /** When the last batch began, and how long after the one before. */
  let [beganAt, apart] = [-Infinity, Infinity];
  const waiting = new Set<() => void>();
  /** Resolves when a batch is done, or after some time in which none began. */
  const done = (ms = Infinity): Promise<void> =>
    new Promise((resolve) => {
      const timer = Number.isFinite(ms) ? setTimeout(() => !isWorking && end(), ms) : undefined;
      const end = (): void => {
        clearTimeout(timer);
        waiting.delete(end);
        resolve();
      };
      waiting.add(end);
    });
  return {
    working: (isWorkingNow) => {
      isWorking = isWorkingNow;
      if (isWorking) [beganAt, apart] = [now(), now() - beganAt];
      else for (const end of [...waiting]) end();
    },
    end: () => {
      isOver = true;
      for (const end of [...waiting]) end();
    },
    time: () => {
      if (isOver) return Promise.resolve();
      if (isWorking) return done();
      const left = beganAt + apart - now();
      // One that is late by as much as it took may not come at all.
      return left > Math.min(ENOUGH, apart / 2) || left <= -apart || !Number.isFinite(left)
        ? Promise.resolve()
        : done(left + apart);
    },
  };
};
