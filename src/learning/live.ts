import { shippedFolder, shippedForecasters } from '../forecaster/folder.js';
import { messageOf } from '../pipeline/errors.js';
import { NO_FORECASTER } from '../pipeline/forecast.js';
import type { Observation } from '../pipeline/run.js';
import { learningFolder } from './champion/log.js';
import { openSuccession, type Succession, type SuccessionOptions } from './champion/succession.js';
import { startLearner, type LearnerProcess } from './learner/process.js';
import { createTold } from './learner/told.js';
import { learnMode, type LiveConfig } from './modes.js';

/** Bytes of frames that a learner keeps in memory. */
const REPLAY_BYTES = 256 * 2 ** 20;
/** Milliseconds between looks for a rollback that was asked for. */
const LOOK = 2_000;

export interface LiveOptions extends Omit<SuccessionOptions, 'config' | 'learns' | 'began'> {
  readonly config: LiveConfig;
  /** What learns; by default a process of its own. */
  readonly start?: typeof startLearner;
}

/** Which forecaster makes forecasts while a run goes on, and what is learned meanwhile. */
export interface Live extends Pick<Succession, 'reignOf' | 'championOf' | 'working' | 'upcoming$'> {
  /** A frame was done with: it can be learned from. */
  observed(observation: Observation): void;
  /** The run has changed. */
  readonly changed: () => void;
  close(): Promise<void>;
}

export const openLive = async (options: LiveOptions): Promise<Live> => {
  const { config, state, ledger, first, notice, start = startLearner } = options;
  const mode = learnMode(config);
  let learner: LearnerProcess | undefined;
  const tellChampion = (): void => {
    if (learner === undefined) return;
    const { folder, isRolledBack } = succession.inUse;
    learner.send({ type: 'champion', folder, rolledBack: isRolledBack });
  };
  const succession = await openSuccession({ ...options, learns: mode !== undefined, began: tellChampion });

  /** One change after the other. */
  let taking: Promise<void> = Promise.resolve();
  const next = (work: () => Promise<void>): void => {
    taking = taking.then(work).catch((error: unknown) => {
      notice(`learning: ${messageOf(error)}`);
      tellChampion(); // it may think that another one is in use
    });
  };

  // Who only chooses has nothing to do once one was chosen, or none is wanted.
  const hasChosen = (): boolean => {
    const { hash, isRolledBack } = succession.inUse;
    return mode === 'choose' && (hash !== NO_FORECASTER.hash || isRolledBack);
  };
  const told = createTold(ledger, REPLAY_BYTES);
  if (mode !== undefined && !hasChosen()) {
    const candidates =
      first.id.hash === NO_FORECASTER.hash ? (await shippedForecasters()).map(shippedFolder) : [];
    learner = start({
      setup: () => {
        const { folder, isRolledBack } = succession.inUse;
        return {
          folder: learningFolder(state),
          learn: mode,
          candidates,
          champion: folder,
          rolledBack: isRolledBack,
          start: succession.start(),
          channels: first.channels,
          codecs: config.codecs,
          symmetries: config.symmetries,
          preparation: config,
          stride: config.stride,
          horizon: config.horizon,
          tried: succession.triedAt(),
          budget: parseFloat(config.learnBudget) / 100,
          bytes: REPLAY_BYTES,
          seed: 1,
        };
      },
      hear: (message) =>
        next(async () => {
          if (message.type === 'notice') {
            notice(message.message);
            return;
          }
          await succession.take(message);
          if (!hasChosen()) return;
          await learner?.close();
          learner = undefined;
        }),
      started: () => told.clear(),
      notice,
    });
  }
  const timer = setInterval(() => next(succession.lookForRollback), LOOK);
  timer.unref();

  return {
    reignOf: succession.reignOf,
    championOf: succession.championOf,
    working: succession.working,
    upcoming$: succession.upcoming$,
    observed: (observation) => {
      const news = learner && told.of(observation);
      if (news !== undefined) learner?.send(news);
    },
    changed: () => learner?.send({ type: 'changed' }),
    close: async () => {
      clearInterval(timer);
      succession.end();
      await learner?.close();
      await taking;
      await succession.dispose();
    },
  };
};
