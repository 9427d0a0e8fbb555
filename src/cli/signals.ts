/** Exit code after a second interrupt: 128 + SIGINT, as shells have it. */
const INTERRUPTED = 130;

/**
 * Calls `stop` at the first SIGINT or SIGTERM, so that a command can finish what it has begun. A second SIGINT ends the
 * process at once. Returns a function that gives the signals back.
 */
export const onStopSignal = (stop: (signal: string) => void): (() => void) => {
  let stopping = false;
  const handle = (signal: NodeJS.Signals): void => {
    if (stopping && signal === 'SIGINT') process.exit(INTERRUPTED);
    if (stopping) return;
    stopping = true;
    stop(signal);
  };
  process.on('SIGINT', handle);
  process.on('SIGTERM', handle);
  return () => {
    process.off('SIGINT', handle);
    process.off('SIGTERM', handle);
  };
};

/** An abort signal that fires at the first SIGINT or SIGTERM; `release` gives the signals back. */
export const abortOnStopSignal = (): { signal: AbortSignal; release: () => void } => {
  const controller = new AbortController();
  return {
    signal: controller.signal,
    release: onStopSignal((name) => controller.abort(new Error(`stopped by ${name}`))),
  };
};
