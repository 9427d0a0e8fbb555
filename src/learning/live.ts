import { readdir, realpath, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { Subject, type Observable } from 'rxjs';
import type { Engine } from '../engine/index.js';
import { shippedFolder, shippedForecasters } from '../forecaster/folder.js';
import { isTemporary } from '../pipeline/atomic.js';
import { EngineError, ForecasterError, FrameError, messageOf } from '../pipeline/errors.js';
import { NO_FORECASTER } from '../pipeline/forecast.js';
import type { Frame } from '../pipeline/frame.js';
import type { Ledger } from '../pipeline/ledger/ledger.js';
import type { Observation } from '../pipeline/run.js';
import { loadForecasterSet, type ForecasterSet } from '../uncertainty/forecaster-set.js';
import type { Upcoming } from './champion/by-champion.js';
import { openHistory, type History } from './champion/history.js';
import { learningFolder } from './champion/log.js';
import { createOnEngine, type Champion } from './champion/on-engine.js';
import { openReigns } from './champion/reigns.js';
import { askedRollback, forgetRollback } from './champion/rollback.js';
import { versionsFolder } from './champion/versions.js';
import { openVouchers } from './champion/vouchers.js';
import type { Judge } from './judging/judge.js';
import type { FromLearner } from './learner/messages.js';
import { startLearner, type LearnerProcess } from './learner/process.js';
import { createTold } from './learner/told.js';
import { learnMode, type LiveConfig } from './modes.js';

/** Bytes of frames that a learner keeps in memory. */
const REPLAY_BYTES = 256 * 2 ** 20;
/** Milliseconds between looks for a rollback that was asked for. */
const LOOK = 2_000;

export interface LiveOptions {
  readonly config: LiveConfig;
  /** The state folder. */
  readonly state: string;
  readonly ledger: Ledger;
  readonly engine: Engine;
  readonly judge: Judge;
  /** What the run was given, or `noForecaster()`. */
  readonly first: ForecasterSet;
  readonly notice: (message: string) => void;
  readonly now: () => Date;
  /** What learns; by default a process of its own. */
  readonly start?: typeof startLearner;
}

/** Which forecaster makes forecasts while a run goes on, and what is learned meanwhile. */
export interface Live {
  /** Hash of the forecaster of a frame: frames of one batch agree in it. */
  reignOf(frame: Frame): string;
  championOf(frames: readonly Frame[]): Promise<Champion>;
  /** Those that are to take over as soon as they are ready. */
  readonly upcoming$: Observable<Upcoming<Champion>>;
  /** A frame was done with: it can be learned from. */
  observed(observation: Observation): void;
  /** The run has changed. */
  readonly changed: () => void;
  close(): Promise<void>;
}

/** What a kill has left: halves of files, and versions that were saved and never put in use. */
const tidy = async (state: string, { changes }: History, given: string): Promise<void> => {
  const learning = learningFolder(state);
  const versions = versionsFolder(learning);
  const namesIn = (folder: string): Promise<string[]> => readdir(folder).catch(() => []);
  for (const name of await namesIn(learning))
    if (isTemporary(name)) await rm(join(learning, name), { force: true });
  // A log that is not there any more says nothing of what it had.
  if (changes.length === 0) return;
  // The run may have been given a version of its own, by whatever path.
  const real = (folder: string): Promise<string> => realpath(folder).catch(() => folder);
  const known = new Set(
    await Promise.all([given, ...changes.flatMap(({ folder = [] }) => folder)].map(real)),
  );
  for (const name of await namesIn(versions)) {
    const folder = join(versions, name);
    if (!known.has(await real(folder))) await rm(folder, { recursive: true, force: true });
  }
};

export const openLive = async (options: LiveOptions): Promise<Live> => {
  const { config, state, ledger, engine, judge, first, notice, now, start = startLearner } = options;
  const reigns = openReigns(ledger, first.id.hash, config.memoryFrames);
  const mode = learnMode(config);
  const { context, horizon, stride, tile } = config;
  const asked = { context, horizon, stride };
  const history = await openHistory(state, first, now);
  const { folderOf, nameOf } = history;
  const versions = versionsFolder(learningFolder(state));
  const onEngine = createOnEngine({
    engine,
    first,
    asked,
    tile,
    versions,
    folderOf,
    notice,
  });
  const upcoming = new Subject<Upcoming<Champion>>();
  /** Resolves when it is ready for batches as they come at present. @throws what the engine says of a network that it cannot run */
  const place = async (hash: string, set: ForecasterSet): Promise<void> => {
    const champion = await onEngine.place(hash, set);
    if (!upcoming.observed) return;
    const error = await new Promise((resolve) => upcoming.next({ champion, ready: resolve }));
    // Of frames that are gone the stages in use decide, when their time comes.
    if (error !== undefined && !(error instanceof FrameError)) throw error;
  };
  let learner: LearnerProcess | undefined;

  const tellChampion = (): void =>
    learner?.send({
      type: 'champion',
      folder: folderOf(reigns.champion),
      rolledBack: history.isRolledBack(reigns.champion),
    });
  /** It makes the forecasts from the next frame on: the log has it before the ledger does. */
  const begin = async (hash: string, enter: () => Promise<unknown>): Promise<void> => {
    const old = reigns.champion;
    if (!history.changes.some((change) => change.hash === old))
      await history.enter(old, 'the run began with it');
    await enter();
    await reigns.begin(hash);
    tellChampion();
    for (const gone of await history.forgetOld([hash, first.id.hash, startOf()])) vouchers.forget(gone);
  };
  const beginWithFirst = async (why: string): Promise<void> => {
    await history.enter(first.id.hash, why);
    await reigns.begin(first.id.hash);
  };
  // A kill may have come between the two.
  const last = history.changes.at(-1);
  if (last !== undefined && last.hash !== reigns.champion)
    await history.enter(reigns.champion, 'the run ended before the change');
  await tidy(state, history, first.folder);

  /** Why what was learned before is not gone on with: the same beginning as last time goes on, another begins anew. */
  const whyAnew = (): string | undefined => {
    const before = ledger.note('forecaster');
    if (before !== undefined && before !== first.id.hash)
      return 'the forecaster is not the one that this state began with';
    const strideBefore = (ledger.note('stride') as number | undefined) ?? config.stride;
    if (strideBefore !== config.stride)
      return `what this state knows was learned with a stride of ${strideBefore}`;
    if (mode === undefined && reigns.champion !== first.id.hash) return 'nothing is learned in this run';
    return undefined;
  };
  const anew = whyAnew();
  if (anew !== undefined) {
    notice(`${anew}: forecasts from now on are those of ${first.id.name}`);
    ledger.putNote('start', undefined);
    if (reigns.champion !== first.id.hash) await beginWithFirst(anew);
  } else if (reigns.champion !== first.id.hash)
    notice(`forecasts are those of ${nameOf(reigns.champion)} from the run before`);
  ledger.putNote('forecaster', first.id.hash);
  ledger.putNote('stride', config.stride);

  const vouchers = openVouchers(
    ledger,
    judge,
    history.changes.map(({ hash }) => hash),
  );

  const take = async (message: FromLearner): Promise<void> => {
    if (message.type === 'notice') notice(message.message);
    if (message.type !== 'challenger') return;
    const { folder, over, why, evidence, scores, tried } = message;
    const isLearned = folder.startsWith(versions);
    if (over !== folderOf(reigns.champion)) {
      // Another one was gone back to meanwhile.
      if (isLearned) await rm(folder, { recursive: true, force: true });
      return;
    }
    const set = await loadForecasterSet(folder, asked);
    const { hash, name } = set.id;
    try {
      await place(hash, set);
    } catch (error) {
      if (isLearned) await rm(folder, { recursive: true, force: true });
      throw error;
    }
    vouchers.take({ hash, scores, ...(tried !== undefined && { tried }) });
    const version = isLearned ? `${name} ${basename(folder)}` : name;
    if (!isLearned && startOf() === NO_FORECASTER.hash) ledger.putNote('start', hash);
    await begin(hash, () => history.enterNew({ name: version, hash, folder, why, evidence }));
    const times = (rmse: number): string => (evidence.rmse / rmse).toFixed(2);
    notice(
      `forecasts are those of ${version} from now on: ${why}. On ${evidence.windows} windows that it had not learned from its error was ${times(Math.min(evidence.persistence, evidence.linear))} of the better of persistence and linear extrapolation` +
        (evidence.champion === undefined ? '' : `, ${times(evidence.champion)} of the one before`),
    );
    if (!hasChosen()) return;
    await learner?.close();
    learner = undefined;
  };
  /** One after the other. */
  let taking: Promise<void> = Promise.resolve();
  const next = (work: () => Promise<void>): void => {
    taking = taking.then(work).catch((error: unknown) => {
      notice(`learning: ${messageOf(error)}`);
      tellChampion(); // it may think that another one is in use
    });
  };

  const lookForRollback = async (): Promise<void> => {
    const hash = await askedRollback(state);
    if (hash !== undefined && hash !== reigns.champion) {
      try {
        await place(hash, await onEngine.read(hash));
        await begin(hash, () => history.goBackTo(hash));
        notice(`forecasts are those of ${nameOf(hash)} from now on: rolled back`);
      } catch (error) {
        if (!(error instanceof ForecasterError || error instanceof EngineError)) throw error;
        notice(`${messageOf(error)}: it is not gone back to`);
      }
    }
    if (hash !== undefined) await forgetRollback(state);
  };
  await lookForRollback();
  // What cannot be read any more could not be beaten either: nothing would ever take its place.
  try {
    await place(reigns.champion, await onEngine.read(reigns.champion));
  } catch (error) {
    notice(`${messageOf(error)}: forecasts are those of ${first.id.name} again`);
    await beginWithFirst('the one before cannot be read');
  }

  const told = createTold(ledger, REPLAY_BYTES);
  // Who only chooses has nothing to do once one was chosen, or none is wanted.
  const hasChosen = (): boolean =>
    mode === 'choose' && (reigns.champion !== NO_FORECASTER.hash || history.isRolledBack(reigns.champion));
  if (mode !== undefined && !hasChosen()) {
    const candidates =
      first.id.hash === NO_FORECASTER.hash && reigns.champion === NO_FORECASTER.hash
        ? (await shippedForecasters()).map(shippedFolder)
        : [];
    learner = start({
      setup: () => {
        const { champion } = reigns;
        const rolledBack = history.isRolledBack(champion);
        return {
          folder: learningFolder(state),
          learn: mode,
          candidates: champion === NO_FORECASTER.hash && !rolledBack ? candidates : [],
          champion: folderOf(champion),
          rolledBack,
          start: folderOf(startOf()),
          channels: first.channels,
          codecs: config.codecs,
          preparation: config,
          stride: config.stride,
          horizon: config.horizon,
          tried: vouchers.triedOf(champion),
          budget: parseFloat(config.learnBudget) / 100,
          bytes: REPLAY_BYTES,
          seed: 1,
        };
      },
      hear: (message) => next(() => take(message)),
      started: () => told.clear(),
      notice,
    });
  }
  /** What learning set out from: the forecaster that was given, or the first one that was chosen. */
  function startOf(): string {
    if (first.id.hash !== NO_FORECASTER.hash) return first.id.hash;
    const chosen = ledger.note('start');
    return typeof chosen === 'string' ? chosen : NO_FORECASTER.hash;
  }
  const timer = setInterval(() => next(lookForRollback), LOOK);
  timer.unref();

  return {
    reignOf: ({ series, position }) => reigns.of(series, position),
    championOf: async ([frame]) => {
      const hash = frame === undefined ? reigns.champion : reigns.of(frame.series, frame.position);
      return onEngine.of(hash);
    },
    upcoming$: upcoming,
    observed: (observation) => {
      const news = learner && told.of(observation);
      if (news !== undefined) learner?.send(news);
    },
    changed: () => learner?.send({ type: 'changed' }),
    close: async () => {
      clearInterval(timer);
      await learner?.close();
      await taking;
      await onEngine.dispose();
    },
  };
};
