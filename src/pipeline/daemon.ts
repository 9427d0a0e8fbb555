import { isDeepStrictEqual } from 'node:util';
import { Subject } from 'rxjs';
import type { AttachConfig } from './config/config.js';
import { engineKeeper } from './engine-keeper.js';
import { hintOf, messageOf } from './errors.js';
import { prepareRun } from './prepare-run.js';
import { addSummaries } from './run-counts.js';
import type { Run, RunEvent, Summary } from './run.js';
import { attach, type AttachedRun } from './runner.js';

/** A run that can be told to go on with other settings. Its summary is of all of it. */
export interface Daemon extends Run {
  /** The settings that it goes by now. */
  config(): AttachConfig;
  /**
   * Takes up the settings that `read` gives. Other sinks are changed while the run goes on; for anything else it is drained
   * and begun again from its ledger, with the same engine where device and threads are the same. Settings that cannot be
   * read, or that a run does not start with, are told of, and the run goes on as before. Resolves when that is decided.
   */
  reload(read: () => Promise<AttachConfig>): Promise<void>;
}

/** Keys in which two configurations differ. */
const changedKeys = (before: AttachConfig, after: AttachConfig): string[] =>
  [...new Set([...Object.keys(before), ...Object.keys(after)])].filter(
    (key) => !isDeepStrictEqual(before[key as keyof AttachConfig], after[key as keyof AttachConfig]),
  );

/** @throws as `attach`: nothing is left open then */
export const attachDaemon = async (first: AttachConfig): Promise<Daemon> => {
  const engines = engineKeeper();
  const events = new Subject<RunEvent>();
  const notice = (message: string): void => events.next({ type: 'notice', message });
  let config = first;
  let run: AttachedRun;
  try {
    run = await attach(first, { engines });
  } catch (error) {
    await engines.dispose();
    throw error;
  }
  let stopping = false;
  let over = false;
  /** What the run is begun again with once it has drained. */
  let next: { readonly config: AttachConfig; readonly keys: readonly string[] } | undefined;
  let begun: () => void = () => undefined;

  const refuse = (error: unknown): void => {
    const hint = hintOf(error);
    notice(
      `not reloaded, the run goes on with the settings that it has: ${messageOf(error)}${hint === undefined ? '' : ` (${hint})`}`,
    );
  };
  const beginAgain = async (wanted: NonNullable<typeof next>): Promise<AttachedRun> => {
    const running = config.sinks;
    try {
      const again = await attach(wanted.config, { engines, running });
      config = wanted.config;
      notice(`reloaded: the run goes on with the new ${wanted.keys.join(', ')}`);
      return again;
    } catch (error) {
      refuse(error);
      return attach(config, { engines, running });
    }
  };
  const finish = async (): Promise<Summary> => {
    try {
      for (let total: Summary | undefined; ;) {
        run.events$.subscribe((event) => events.next(event));
        total = addSummaries(total, await run.finished);
        if (next === undefined || stopping) return total;
        run = await beginAgain(next);
        next = undefined;
        begun();
        // It may have been asked to stop while there was no run to stop.
        if (stopping) run.stop();
      }
    } finally {
      over = true;
      begun();
      await engines.dispose();
      events.complete();
    }
  };

  const takeUp = async (read: () => Promise<AttachConfig>): Promise<void> => {
    try {
      const wanted = await read();
      const keys = changedKeys(config, wanted);
      if (over || stopping) return;
      if (keys.length === 0) return notice('reloaded: no setting has changed');
      if (keys.length === 1 && keys[0] === 'sinks') {
        const lines = await run.changeSinks(wanted.sinks);
        config = wanted;
        return notice(`reloaded: ${lines.join(', ') || 'the order of the sinks has changed'}`);
      }
      await prepareRun(wanted, () => undefined, config.sinks);
      if (over || stopping) return;
      notice(`reloading ${keys.join(', ')}: what was read is finished first`);
      next = { config: wanted, keys };
      const decided = new Promise<void>((resolve) => (begun = resolve));
      run.stop();
      await decided;
    } catch (error) {
      refuse(error);
    }
  };
  const finished = finish();
  finished.catch(() => undefined); // the caller awaits it; until then it is not "unhandled"
  let reloading: Promise<void> = Promise.resolve();
  return {
    events$: events.asObservable(),
    finished,
    config: () => config,
    stop: () => {
      stopping = true;
      run.stop();
    },
    reload: (read) => (reloading = reloading.then(() => takeUp(read))),
  };
};
