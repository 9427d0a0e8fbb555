/** What a frame, or the forecasts of a batch, owe to the pool. */
export interface Credit {
  /** Corrects the bytes once they are known; never waits. */
  resize(bytes: number): void;
  /** Idempotent. */
  release(): void;
}

/**
 * Bounds what is in memory between reading and delivery: one pool of items and bytes for all series. Frames have one, and
 * forecasts another: in a common one frames that wait for the network would keep out the forecasts that they wait for.
 */
export interface Credits {
  /**
   * One item of so many bytes, when there is room; in the order of the calls. What is larger than the whole pool is let
   * through alone.
   * @throws the signal's reason when it aborts before
   */
  take(bytes: number, signal: AbortSignal): Promise<Credit>;
  readonly items: number;
  readonly bytes: number;
}

export interface CreditLimits {
  readonly items: number;
  readonly bytes: number;
}

interface Waiter {
  readonly bytes: number;
  readonly grant: () => void;
}

/** One credit for `count` items of so many bytes each, by parts that are given back one by one, each once. */
export const inParts = (credit: Credit, count: number, bytes: number): (() => void)[] => {
  let left = count;
  const giveBack = (): void => {
    left--;
    if (left > 0) credit.resize(left * bytes);
    else credit.release();
  };
  return Array.from({ length: count }, () => giveBack);
};

export const createCredits = (limits: CreditLimits): Credits => {
  const used = { items: 0, bytes: 0 };
  const queue: Waiter[] = [];

  const admit = (): void => {
    for (let next = queue[0]; next !== undefined; next = queue[0]) {
      const fits = used.items < limits.items && used.bytes + next.bytes <= limits.bytes;
      if (!fits && used.items > 0) return;
      queue.shift();
      next.grant();
    }
  };
  const creditOf = (bytes: number): Credit => {
    let held: number | undefined = bytes;
    return {
      resize: (actual) => {
        if (held === undefined) return;
        used.bytes += actual - held;
        held = actual;
        admit();
      },
      release: () => {
        if (held === undefined) return;
        used.items--;
        used.bytes -= held;
        held = undefined;
        admit();
      },
    };
  };

  return {
    take: (bytes, signal) =>
      new Promise((resolve, reject) => {
        const giveUp = (): void => {
          queue.splice(queue.indexOf(waiter), 1);
          reject(signal.reason as Error);
          admit();
        };
        const waiter: Waiter = {
          bytes,
          grant: () => {
            signal.removeEventListener('abort', giveUp);
            used.items++;
            used.bytes += bytes;
            resolve(creditOf(bytes));
          },
        };
        if (signal.aborted) {
          reject(signal.reason as Error);
          return;
        }
        signal.addEventListener('abort', giveUp);
        queue.push(waiter);
        admit();
      }),
    get items() {
      return used.items;
    },
    get bytes() {
      return used.bytes;
    },
  };
};
