import { rm } from 'node:fs/promises';
import { basename } from 'node:path';
import type { Engine } from '../engine/index.js';
import { shippedFolder, shippedForecasters } from '../forecaster/folder.js';
import type { Runner } from '../forecaster/programs.js';
import { ForecasterError, messageOf } from '../pipeline/errors.js';
import { NO_FORECASTER } from '../pipeline/forecast.js';
import type { Frame } from '../pipeline/frame.js';
import type { Ledger } from '../pipeline/ledger/ledger.js';
import type { Observation } from '../pipeline/run.js';
import { loadForecasterSet, type ForecasterSet } from '../uncertainty/forecaster-set.js';
import { appendChange, learningFolder, readChanges, type Change } from './champion/log.js';
import { noForecaster } from './champion/no-forecaster.js';
import { openReigns } from './champion/reigns.js';
import { forgetOldVersions } from './champion/versions.js';
import { askedRollback, forgetRollback } from './champion/rollback.js';
import type { Judge } from './judging/judge.js';
import type { FrameFile, FromLearner, HeldOutScore } from './learner/messages.js';
import { startLearner, type LearnerProcess } from './learner/process.js';
import { learnMode, type LiveConfig } from './modes.js';

/** Bytes of frames that a learner keeps in memory. */
const REPLAY_BYTES = 256 * 2 ** 20;
/** Forecasters that are kept on the engine: the one in use, and what frames that come again may ask for. */
const MOST_CHAMPIONS = 3;
/** Milliseconds between looks for a rollback that was asked for. */
const LOOK = 2_000;

/** Why a forecaster is in use that was gone back to. */
const ROLLED_BACK = 'rolled back';

/** The note of what vouches for a forecaster, for when the run is begun again. */
const vouchedKey = (hash: string): string => `vouched:${hash}`;
interface Vouched {
  readonly hash: string;
  readonly scores: readonly HeldOutScore[];
  readonly tried?: number;
}

/** A forecaster that makes forecasts, on the engine. */
export interface Champion {
  readonly set: ForecasterSet;
  readonly runner: Runner;
}

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
  /** A frame was done with: it can be learned from. */
  observed(observation: Observation): void;
  /** The run has changed. */
  readonly changed: () => void;
  close(): Promise<void>;
}

export const openLive = async (options: LiveOptions): Promise<Live> => {
  const { config, state, ledger, engine, judge, first, notice, now, start = startLearner } = options;
  const reigns = openReigns(ledger, first.id.hash);
  const mode = learnMode(config);
  const { context, horizon, stride } = config;
  const asked = { context, horizon, stride };
  /** The last change to each forecaster, in the order in which they were last in use. */
  const changes = new Map<string, Change>();
  const remember = (change: Change): void => {
    changes.delete(change.hash);
    changes.set(change.hash, change);
  };
  for (const change of await readChanges(state)) remember(change);
  let learner: LearnerProcess | undefined;
  const champions = new Map<string, Promise<Champion>>();

  const bring = (set: ForecasterSet): Champion => ({ set, runner: set.run(engine, config.tile, notice) });
  /** @throws ForecasterError when it is not known, cannot be read, or takes other frames than this run has */
  const read = async (hash: string): Promise<ForecasterSet> => {
    if (hash === first.id.hash) return first;
    if (hash === NO_FORECASTER.hash) return noForecaster();
    const folder = changes.get(hash)?.folder;
    if (folder === undefined) throw new ForecasterError(`nothing is known of the forecaster ${hash}`);
    const set = await loadForecasterSet(folder, asked);
    if (set.channels !== first.channels)
      throw new ForecasterError(
        `the forecaster in ${folder} takes ${set.channels} channels, this run has ${first.channels}`,
      );
    return set;
  };
  const load = async (hash: string): Promise<Champion> => {
    try {
      return bring(await read(hash));
    } catch (error) {
      notice(`${messageOf(error)}: forecasts are those of ${first.id.name} again`);
      return bring(first);
    }
  };
  /** The last one used comes last. A run of months has many: the ones that were not used for longest go. */
  const keep = (hash: string, champion: Promise<Champion>): Promise<Champion> => {
    champions.delete(hash);
    champions.set(hash, champion);
    const [oldest] = champions;
    if (champions.size > MOST_CHAMPIONS && oldest !== undefined) {
      champions.delete(oldest[0]);
      oldest[1].then(({ runner }) => runner.dispose()).catch((error: unknown) => notice(messageOf(error)));
    }
    return champion;
  };
  /** One that is on the engine already stays there. */
  const place = (hash: string, set: ForecasterSet): void =>
    void keep(hash, champions.get(hash) ?? Promise.resolve(bring(set)));
  const championBy = (hash: string): Promise<Champion> => keep(hash, champions.get(hash) ?? load(hash));
  const folderOf = (hash: string): string | undefined =>
    hash === first.id.hash && first.folder !== '' ? first.folder : changes.get(hash)?.folder;

  const nameOf = (hash: string): string =>
    hash === first.id.hash ? first.id.name : (changes.get(hash)?.name ?? NO_FORECASTER.name);

  const changeTo = (hash: string, why: string): Change => {
    const folder = folderOf(hash);
    return {
      at: now().toISOString(),
      name: nameOf(hash),
      hash,
      ...(folder !== undefined && { folder }),
      why,
    };
  };
  const enter = async (change: Change): Promise<void> => {
    await appendChange(state, change);
    remember(change);
  };
  const begin = async (change: Change, rolledBack = false): Promise<void> => {
    const old = reigns.champion;
    if (!changes.has(old)) await enter(changeTo(old, 'the run began with it'));
    await enter(change);
    await reigns.begin(change.hash);
    learner?.send({ type: 'champion', folder: change.folder, rolledBack });
    const kept = [change.hash, first.id.hash, startOf()];
    for (const hash of await forgetOldVersions(state, [...changes.values()], kept)) {
      changes.delete(hash);
      ledger.putNote(vouchedKey(hash), undefined);
      judge.vouch(hash, undefined);
    }
  };
  const beginWithFirst = async (why: string): Promise<void> => {
    await enter(changeTo(first.id.hash, why));
    await reigns.begin(first.id.hash);
  };
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

  /** The learner's scores count for a forecaster until it has verified forecasts of its own. */
  const vouch = ({ hash, scores, tried }: Vouched): void =>
    judge.vouch(hash, {
      tried,
      scores: scores.map(({ window, ...score }) => ({
        ...score,
        origin: -window,
        forecaster: hash,
        rmse: score.forecasterRmse,
        madeBy: 'forecaster' as const,
      })),
    });
  /** What an older mesocast has left may know less of the trend. */
  const vouchedOf = (hash: string): Vouched | undefined => {
    const known = ledger.note(vouchedKey(hash)) as Vouched | undefined;
    return known && { ...known, scores: known.scores.filter((score) => 'betweenRmse' in score) };
  };
  // Of all of them: frames that come again after a crash are of the forecaster that they had.
  for (const hash of changes.keys()) {
    const known = vouchedOf(hash);
    if (known !== undefined) vouch(known);
  }

  const take = async (message: FromLearner): Promise<void> => {
    if (message.type === 'notice') notice(message.message);
    if (message.type !== 'challenger') return;
    const { folder, over, why, evidence, scores, tried } = message;
    if (over !== folderOf(reigns.champion)) {
      // Another one was gone back to meanwhile.
      if (folder.startsWith(learningFolder(state))) await rm(folder, { recursive: true, force: true });
      return;
    }
    const set = await loadForecasterSet(folder, asked);
    const { hash, name } = set.id;
    place(hash, set);
    const news: Vouched = { hash, scores, ...(tried !== undefined && { tried }) };
    vouch(news);
    ledger.putNote(vouchedKey(hash), news);
    const isLearned = folder.startsWith(learningFolder(state));
    const version = isLearned ? `${name} ${basename(folder)}` : name;
    if (!isLearned && startOf() === NO_FORECASTER.hash) ledger.putNote('start', hash);
    await begin({ at: now().toISOString(), name: version, hash, folder, why, evidence });
    const times = (rmse: number): string => (evidence.rmse / rmse).toFixed(2);
    notice(
      `forecasts are those of ${version} from now on: ${why}. On ${evidence.windows} windows that it had not learned from its error was ${times(Math.min(evidence.persistence, evidence.linear))} of the better of persistence and linear extrapolation` +
        (evidence.champion === undefined ? '' : `, ${times(evidence.champion)} of the one before`),
    );
  };
  /** One after the other. */
  let taking: Promise<void> = Promise.resolve();
  const next = (work: () => Promise<void>): void => {
    taking = taking.then(work).catch((error: unknown) => {
      notice(`learning: ${messageOf(error)}`);
      // It may think that another one is in use.
      learner?.send({ type: 'champion', folder: folderOf(reigns.champion), rolledBack: isRolledBack() });
    });
  };

  const isRolledBack = (): boolean => changes.get(reigns.champion)?.why === ROLLED_BACK;
  const lookForRollback = async (): Promise<void> => {
    const hash = await askedRollback(state);
    if (hash !== undefined && hash !== reigns.champion) {
      for (const change of await readChanges(state)) remember(change);
      try {
        place(hash, await read(hash));
        const change = changeTo(hash, ROLLED_BACK);
        await begin(change, true);
        notice(`forecasts are those of ${change.name} from now on: ${change.why}`);
      } catch (error) {
        if (!(error instanceof ForecasterError)) throw error;
        notice(`${messageOf(error)}: it is not gone back to`);
      }
    }
    if (hash !== undefined) await forgetRollback(state);
  };
  await lookForRollback();
  // What cannot be read any more could not be beaten either: nothing would ever take its place.
  try {
    place(reigns.champion, await read(reigns.champion));
  } catch (error) {
    notice(`${messageOf(error)}: forecasts are those of ${first.id.name} again`);
    await beginWithFirst('the one before cannot be read');
  }

  /** Series whose frames the learner has been told of. */
  const told = new Set<string>();
  const fileOf = ({
    position = 0,
    path,
    item,
    contentHash,
  }: Partial<FrameFile> & { path: string }): FrameFile => ({
    position,
    path,
    ...(item !== undefined && { item }),
    ...(contentHash !== undefined && { contentHash }),
  });
  if (mode !== undefined) {
    const candidates =
      first.id.hash === NO_FORECASTER.hash && reigns.champion === NO_FORECASTER.hash
        ? (await shippedForecasters()).map(shippedFolder)
        : [];
    learner = start({
      setup: () => ({
        folder: learningFolder(state),
        learn: mode,
        candidates: reigns.champion === NO_FORECASTER.hash && !isRolledBack() ? candidates : [],
        champion: folderOf(reigns.champion),
        rolledBack: isRolledBack(),
        start: folderOf(startOf()),
        channels: first.channels,
        codecs: config.codecs,
        preparation: config,
        stride: config.stride,
        horizon: config.horizon,
        tried: vouchedOf(reigns.champion)?.tried,
        budget: parseFloat(config.learnBudget) / 100,
        bytes: REPLAY_BYTES,
        seed: 1,
      }),
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
      return championBy(hash);
    },
    observed: ({ frame, normalisation }) => {
      if (learner === undefined || normalisation === undefined) return;
      const { series, position, source, contentHash } = frame;
      const earlier: FrameFile[] = [];
      if (!told.has(series)) {
        told.add(series);
        const fit = Math.ceil(REPLAY_BYTES / frame.data.byteLength) * (ledger.series(series)?.increment ?? 1);
        for (const { outcome, ...record } of ledger.frames(series, frame.index - fit, frame.index - 1))
          if (record.position !== undefined && outcome !== 'rejected' && outcome !== 'lost')
            earlier.push(fileOf(record));
      }
      learner.send({
        type: 'frames',
        series,
        normalisation,
        parameters: frame.parameters,
        earlier,
        frames: [fileOf({ ...source, position, contentHash })],
      });
    },
    changed: () => learner?.send({ type: 'changed' }),
    close: async () => {
      clearInterval(timer);
      await learner?.close();
      await taking;
      for (const champion of champions.values()) await (await champion).runner.dispose();
    },
  };
};
