/**
 * Calls `stop` at the first SIGINT or SIGTERM, so that a command can finish what it has begun. A second SIGINT ends the
 * process at once. Returns a function that gives the signals back.
 */
export const onStopSignal = (stop: (signal: string) => void): (() => void) => {
  let stopping = false;
  const handle = (signal: NodeJS.Signals): void => {
    if (stopping && signal === 'SIGINT') {
      // By the signal itself, which shells show as 130: process.exit would take the engine's thread down in the middle of
      // a run, and ONNX Runtime then aborts the process.
      release();
      process.kill(process.pid, 'SIGINT');
    }
    if (stopping) return;
    stopping = true;
    stop(signal);
  };
  const release = (): void => {
    process.off('SIGINT', handle);
    process.off('SIGTERM', handle);
  };
  process.on('SIGINT', handle);
  process.on('SIGTERM', handle);
  return release;
};

/** An abort signal that fires at the first SIGINT or SIGTERM; `release` gives the signals back. */
export const abortOnStopSignal = (): { signal: AbortSignal; release: () => void } => {
  const controller = new AbortController();
  return {
    signal: controller.signal,
    release: onStopSignal((name) => controller.abort(new Error(`stopped by ${name}`))),
  };
};

/**
 * SIGHUP no longer ends the process: from now on each one is kept until somebody says what is to be done. `release` gives
 * the signal back. Windows, where it means that the window closes, does not get that far.
 */
export const onHangUp = (): { each(handle: () => void): void; release(): void } => {
  let [kept, handle] = [false, (): void => void (kept = true)];
  const hear = (): void => handle();
  if (process.platform !== 'win32') process.on('SIGHUP', hear);
  return {
    each: (wanted) => {
      handle = wanted;
      if (kept) wanted();
      kept = false;
    },
    release: () => process.off('SIGHUP', hear),
  };
};
