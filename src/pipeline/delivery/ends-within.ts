/**
 * Work that has to end in time. What it is given aborts with `signal` or after `ms`, and then this rejects whether or not the
 * work heeds it. Leaves nothing behind on `signal`, which lasts as long as a run: `AbortSignal.any` leaves a little of each
 * delivery.
 * @throws the signal's reason; Error when it takes too long
 */
export const endsWithin = async <T>(
  ms: number,
  signal: AbortSignal,
  work: (limit: AbortSignal) => Promise<T>,
): Promise<T> => {
  signal.throwIfAborted();
  const limit = new AbortController();
  const stop = (): void => limit.abort(signal.reason);
  const timer = setTimeout(() => limit.abort(new Error(`no answer within ${ms / 1000} s`)), ms);
  signal.addEventListener('abort', stop);
  try {
    return await new Promise<T>((resolve, reject) => {
      limit.signal.addEventListener('abort', () => reject(limit.signal.reason));
      work(limit.signal).then(resolve, reject);
    });
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', stop);
  }
};
