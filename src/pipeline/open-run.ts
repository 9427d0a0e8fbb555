import { join } from 'node:path';
import { createJudge } from '../learning/judging/judge.js';
import { openLive } from '../learning/live.js';
import type { cleanup } from './cleanup.js';
import type { AttachConfig } from './config/config.js';
import { openSinkSet } from './delivery/sink-set.js';
import type { EngineKeeper } from './engine-keeper.js';
import { createRoots } from './intake/open-roots.js';
import { openLedger } from './ledger/ledger.js';
import { placesOf, prepareRun } from './prepare-run.js';
import { openOutstanding } from './state/outstanding.js';
import { requireSameChannels, requireSameReading, requireSameView } from './state/require-same.js';
import { openStateFolder } from './state/state-folder.js';

export interface OpenRunOptions {
  readonly engines: EngineKeeper;
  /** Settings of sinks that have worked in this process. */
  readonly running: AttachConfig['sinks'];
  /** Ends the taking in of frames. */
  readonly intake: AbortSignal;
  /** Ends what still waits for a sink. */
  readonly hard: AbortSignal;
  readonly notice: (message: string) => void;
  /** Closes what was opened, also when something after it could not be. */
  readonly undo: ReturnType<typeof cleanup>;
}

/**
 * Opens what a run works with: sinks first, the source after them, and the learning last.
 * @throws UsageError, PluginError, StartupError, ForecasterError, StateError
 */
export const openRun = async (
  config: AttachConfig,
  { engines, running, intake, hard, notice, undo }: OpenRunOptions,
) => {
  const { roots, out, statePath } = placesOf(config);
  // What can be wrong with the settings is found before anything is written.
  const { codecs, createdSinks, ...prepared } = await prepareRun(config, notice, running);
  const { settled, forecaster, preparation } = prepared;
  const engine = await engines.open(config.device, config.threads, notice);
  const state = openStateFolder(statePath);
  undo.add(() => state.release());
  const ledger = openLedger(state.path, { keep: config.keepLedger });
  undo.add(() => ledger.close());
  requireSameChannels(ledger, forecaster.channels, state.path);
  requireSameView(ledger, preparation.description, state.path);
  await requireSameReading(ledger, config.codecs, state.path);
  const outstanding = await openOutstanding({
    directory: join(state.path, 'outstanding'),
    quotaBytes: config.outstandingBytes,
    store: ledger.forecasts,
  });
  const sinks = await openSinkSet(createdSinks, { out, state: state.path, signal: hard, notice });
  undo.add(() => sinks.close());
  const watched = await createRoots({
    roots,
    start: config.start,
    outputs: [out, statePath],
    codecs,
    ledger,
    notice,
  });
  for (const { source } of watched) {
    undo.add(() => source.close());
    await source.open(intake);
  }
  const judge = createJudge({ ...settled, store: ledger.verified });
  const live = await openLive({
    config: settled,
    state: state.path,
    ledger,
    engine,
    judge,
    first: forecaster,
    notice,
    now: () => new Date(),
  });
  undo.add(() => live.close());
  return { ...prepared, codecs, engine, state, ledger, outstanding, sinks, watched, judge, live };
};

/** What a run works with, open. */
export type OpenRun = Awaited<ReturnType<typeof openRun>>;
