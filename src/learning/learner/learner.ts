import { appendFile, mkdir, readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Engine } from '../../engine/index.js';
import { loadForecaster, saveForecaster } from '../../forecaster/folder.js';
import type { Forecaster } from '../../forecaster/forecaster.js';
import { createRunner } from '../../forecaster/programs.js';
import { messageOf } from '../../pipeline/errors.js';
import { versionsFolder } from '../champion/versions.js';
import { meanOf } from '../judging/noise.js';
import {
  discounted,
  farWindows,
  isBetter,
  reachOf,
  relativeError,
  scoreWindows,
  trendRival,
  windowsOver,
  type Rival,
  type Windows,
} from './compare.js';
import type { FromLearner, HeldOutScore, LearnerSetup } from './messages.js';
import type { Recording, Replay } from './replay.js';
import { canLearn, openStudy, optionsFor, type Study } from './study.js';
import { createTrial, type Trial } from './trial.js';

/** Frames of one series before forecasters are tried, and before learning begins. */
const ENOUGH = 16;
/** Context that comparisons give: that of the forecasters that ship, which have a memory. */
const CONTEXT = 10;
/** Least clips from one judgement to the next, and the share of the time that judging may take. */
const [CLIPS_BETWEEN, JUDGING_SHARE] = [40, 0.2];
/** Judgements without a better one, after which learning rests until there are more frames or the run changes. */
const PATIENCE = 24;
/** By how much the error has to fall to count as better, and by how much frames have to have grown to learn again. */
const [LEAST_FALL, MORE_FRAMES] = [0.01, 1.25];

/** Times that learning may go astray, each time with other first weights and clips, before it is given up. */
const MOST_ASTRAY = 3;

/** A line for each judgement: error over that of the better of persistence and linear extrapolation, on frames kept apart. */
const CURVE = 'curve.jsonl';

export interface LearnerOptions {
  readonly setup: LearnerSetup;
  readonly engine: Engine;
  readonly replay: Replay;
  readonly tell: (message: FromLearner) => void;
  readonly now?: () => number;
}

/** Chooses, learns and judges, a little at a time. */
export interface Learner {
  /** Does the next piece of work; false when there is none until something changes. */
  turn(): Promise<boolean>;
  /** The forecaster in use is another now. One that was gone back to is not challenged before there is more to learn from. */
  setChampion(folder: string | undefined, rolledBack?: boolean): Promise<void>;
  /** The run has changed. */
  wake(): void;
  /** Keeps what was learned. */
  save(): Promise<void>;
  /** It was to choose, and has: frames are of no more use to it. */
  readonly isDone: boolean;
}

const longestOf = (all: readonly Recording[]): number =>
  Math.max(0, ...all.map(({ frames }) => frames.length));

export const createLearner = async ({
  setup,
  engine,
  replay,
  tell,
  now = () => performance.now(),
}: LearnerOptions): Promise<Learner> => {
  const unloadable = new Set<string>();
  const load = async (folder: string | undefined): Promise<Forecaster | undefined> => {
    if (folder === undefined) return undefined;
    try {
      return await loadForecaster(folder);
    } catch (error) {
      if (!unloadable.has(folder))
        tell({
          type: 'notice',
          message: `what is learned cannot be compared with ${folder}: ${messageOf(error)}`,
        });
      unloadable.add(folder);
      return undefined;
    }
  };
  let champion = await load(setup.champion);
  let championIn = setup.champion;
  /** What learning goes on from when it adapts. */
  let start = await load(setup.start);
  let candidates = [...setup.candidates];
  /** Frames from which they are tried. */
  let tryFrom = 0;
  let study: Study | undefined;
  let [judgedAt, judging, stepping] = [0, 0, 0];
  let [best, since] = [Infinity, 0];
  /** Times that it went astray. */
  let astray = 0;
  /** The forecaster in use was gone back to: it is to stay for a while. */
  let isRolledBack = setup.rolledBack;
  /** Too few frames fit into memory, and this was said. */
  let isTooLarge = false;
  /** It rests until so many frames have come. */
  let resting: number | undefined;
  const rest = (): number => replay.fresh + (MORE_FRAMES - 1) * replay.frames;
  /** Lengths of the series when the first version was made. */
  let firstAt: ReadonlyMap<string, number> | undefined;
  /** Of what is learned from nothing, against the forecaster in use. */
  let trial: Trial | undefined;
  /** Frames that had come when it was last said to be learning while on trial. */
  let learningAt = 0;
  /** What versions of an earlier process were tried at. */
  let triedBefore = setup.tried ?? 0;

  const score = async (forecaster: Forecaster, windows: Windows): Promise<HeldOutScore[]> => {
    const runner = createRunner(forecaster, engine);
    try {
      return await scoreWindows(runner, forecaster.network.encoder.stride, windows);
    } finally {
      await runner.dispose();
    }
  };
  /** What contestants do at leads beyond those of the frames kept apart, where they have `near`; the same windows for all. */
  const scoreBeyond = async (
    contestants: readonly { readonly forecaster: Forecaster; readonly near: readonly HeldOutScore[] }[],
  ): Promise<(readonly HeldOutScore[])[]> => {
    const contexts = contestants.map(({ forecaster }) => forecaster.settings.context);
    const far = farWindows(replay.live(), Math.min(CONTEXT, Math.max(...contexts)), {
      horizon: setup.horizon,
      reached: Math.max(...contestants.map(({ near }) => reachOf(near))),
    });
    const beyond: (readonly HeldOutScore[])[] = [];
    for (const { forecaster, near } of contestants) {
      const scores: HeldOutScore[][] = [];
      for (const windows of far) scores.push(await score(forecaster, windows));
      beyond.push(discounted(scores, near));
    }
    return beyond;
  };
  const challenge = (
    folder: string,
    forecaster: Forecaster,
    why: string,
    [near, beyond]: readonly [near: readonly HeldOutScore[], beyond: readonly HeldOutScore[]],
    { champions, tried }: { champions?: readonly HeldOutScore[]; tried?: number } = {},
  ): void => {
    const mean = (all: readonly HeldOutScore[], key: keyof Omit<HeldOutScore, 'betweenRmse'>): number =>
      meanOf(all.map((entry) => entry[key]));
    tell({
      type: 'challenger',
      folder,
      over: championIn,
      why,
      scores: [...near, ...beyond],
      ...(tried !== undefined && { tried }),
      evidence: {
        windows: new Set(near.map(({ window }) => window)).size,
        leads: reachOf(near),
        rmse: mean(near, 'forecasterRmse'),
        ...(champions && { champion: mean(champions, 'forecasterRmse') }),
        persistence: mean(near, 'persistenceRmse'),
        linear: mean(near, 'linearRmse'),
      },
    });
    [champion, championIn, trial] = [forecaster, folder, undefined];
  };

  /** The furthest lead that what is learned from nothing was tried at: by frames kept apart, and by forecasts since its first version. */
  const triedAt = (near: readonly HeldOutScore[]): number => {
    firstAt ??= replay.lengths();
    const grown = [...replay.lengths()].map(([series, length]) => length - (firstAt?.get(series) ?? 0));
    return Math.max(triedBefore + Math.max(...grown), reachOf(near));
  };

  /** What has been learned is not gone on with. */
  const discard = async (): Promise<void> => {
    await study?.discard();
    [study, best, since, trial] = [undefined, Infinity, 0, undefined];
    [firstAt, triedBefore] = [undefined, 0];
  };

  /** Tries the forecasters that might fit on all frames so far; none of them has learned from these. */
  const choose = async (): Promise<void> => {
    const all = replay.all();
    const longest = longestOf(all);
    tryFrom = replay.seen + replay.frames; // until one fits
    // Windows have half as many leads as there are frames: no more than forecasts have.
    const parts = all
      .filter(({ frames }) => frames.length >= longest / 2 && frames.length > CONTEXT + 2)
      .map((series) => {
        const frames = series.frames.slice(-(CONTEXT + 2 * setup.horizon));
        return { series: { ...series, frames }, unseen: frames.length - CONTEXT };
      });
    const windows = windowsOver(parts, CONTEXT);
    if (windows === undefined) return;
    const tried: { folder: string; forecaster: Forecaster; near: HeldOutScore[]; error: number }[] = [];
    for (const folder of candidates) {
      try {
        const forecaster = await loadForecaster(folder);
        if (forecaster.settings.channels !== setup.channels) continue;
        // What has no weights was trained on nothing: it is no other beginning.
        if (setup.learn === 'scratch' && canLearn(forecaster)) continue;
        const near = await score(forecaster, windows);
        tried.push({ folder, forecaster, near, error: relativeError(near) });
      } catch (error) {
        tell({ type: 'notice', message: `the forecaster in ${folder} cannot be tried: ${messageOf(error)}` });
      }
    }
    const first = tried.sort((a, b) => a.error - b.error)[0];
    if (first === undefined) candidates = [];
    if (first === undefined) return;
    const { folder, forecaster, near } = first;
    const told = tried.map(({ forecaster: { id }, error }) => `${id.name} ${error.toFixed(2)}`).join(', ');
    const trend = trendRival(near);
    if (isBetter(near, trend)) {
      const [beyond = []] = await scoreBeyond([{ forecaster, near }]);
      // What was begun from nothing while none fitted gives way to what goes on from it.
      if (start === undefined && setup.learn === 'adapt' && canLearn(forecaster)) await discard();
      start ??= forecaster;
      challenge(
        folder,
        forecaster,
        `of those that ship it fits best: errors over those of the better of persistence and linear extrapolation: ${told}`,
        [near, beyond],
      );
    } else {
      const ofTrend = relativeError(near.map((one, k) => ({ ...one, forecasterRmse: trend(one, k) })));
      tell({
        type: 'notice',
        message: `no forecaster that ships fits this run (errors over those of the better of persistence and linear extrapolation: ${told}; the trend ${ofTrend.toFixed(2)})`,
      });
    }
  };

  const begin = async (): Promise<Study> => {
    const series = replay.training().reduce((a, b) => (b.frames.length > a.frames.length ? b : a));
    const from = setup.learn === 'adapt' && start !== undefined && canLearn(start) ? start : undefined;
    return openStudy({
      engine,
      replay,
      folder: setup.folder,
      stride: setup.stride,
      from,
      fresh: optionsFor(series, setup.seed + astray),
    });
  };

  const goneAstray = async (): Promise<void> => {
    await discard();
    const isGivenUp = ++astray >= MOST_ASTRAY;
    const then = isGivenUp ? 'it is given up until mesocast is started again' : 'it begins anew';
    tell({ type: 'notice', message: `learning went astray: ${then}` });
  };

  const tellTooLarge = (): void => {
    if (isTooLarge) return;
    isTooLarge = true;
    tell({
      type: 'notice',
      message: `nothing is learned: of no series do ${ENOUGH * setup.stride} frames fit into the ${Math.round(setup.bytes / 2 ** 20)} MB that learning keeps; --region or --downsample makes frames smaller`,
    });
  };

  const nextVersion = async (): Promise<string> => {
    await mkdir(versionsFolder(setup.folder), { recursive: true });
    const numbers = (await readdir(versionsFolder(setup.folder))).map(Number).filter(Number.isInteger);
    return join(versionsFolder(setup.folder), String(Math.max(0, ...numbers) + 1).padStart(4, '0'));
  };

  /** What is learned from nothing takes the place of a forecaster that is of use and has learned nothing here after a trial. */
  const isOnTrial = ({ fromNothing }: Study, rival: readonly HeldOutScore[]): boolean =>
    fromNothing &&
    dirname(championIn ?? '') !== versionsFolder(setup.folder) &&
    (trial !== undefined || isBetter(rival, trendRival(rival)));

  const judge = async (learned: Study): Promise<void> => {
    const parts = replay.heldOut(CONTEXT).filter(({ unseen }) => unseen > 1);
    const most = Math.max(...parts.map(({ unseen }) => unseen));
    const windows = windowsOver(
      parts.filter(({ unseen }) => unseen > most / 2),
      CONTEXT,
    );
    if (windows === undefined) {
      resting = ++since >= PATIENCE ? rest() : undefined;
      return learned.save();
    }
    const forecaster = await learned.forecaster({ steps: learned.steps, frames: replay.frames });
    const near = await score(forecaster, windows);
    const error = relativeError(near);
    if (!Number.isFinite(error)) return goneAstray();
    await learned.save();
    [best, since] = error < best * (1 - LEAST_FALL) ? [error, 0] : [best, since + 1];
    if (championIn !== undefined) champion ??= await load(championIn);
    if (championIn !== undefined && champion === undefined) {
      // There is no saying whether it is better.
      resting = since >= PATIENCE ? rest() : undefined;
      return;
    }
    const rival = champion && { forecaster: champion, near: await score(champion, windows) };
    const toBeat: Rival = rival ? (_, k) => rival.near[k]!.forecasterRmse : trendRival(near);
    const verdict =
      rival && isOnTrial(learned, rival.near)
        ? await (trial ??= createTrial(score)).verdict(
            { forecaster, lengths: replay.lengths() },
            near,
            most,
            windows,
            toBeat,
          )
        : undefined;
    // Of the same frames it would learn better and better for ever.
    if (verdict?.isLearning && replay.seen > learningAt) [since, learningAt] = [0, replay.seen];
    const isAdmitted = verdict === undefined || verdict.isPassed;
    if (isAdmitted && isBetter(near, toBeat)) {
      const [beyond = [], before = []] = await scoreBeyond([{ forecaster, near }, ...(rival ? [rival] : [])]);
      // Who does better at first, but worse far ahead, is no better forecaster.
      if (before.length === 0 || !isBetter(before, (_, k) => beyond[k]!.forecasterRmse)) {
        const folder = await nextVersion();
        await saveForecaster(folder, forecaster, { durable: true });
        challenge(
          folder,
          forecaster,
          `learned in ${learned.steps} steps from ${replay.frames} frames`,
          [near, beyond],
          {
            ...(rival && { champions: rival.near }),
            ...(learned.fromNothing && { tried: triedAt(near) }),
          },
        );
        since = 0;
      }
    }
    resting = since >= PATIENCE ? rest() : undefined;
    const line = {
      at: new Date().toISOString(),
      steps: learned.steps,
      frames: replay.frames,
      relativeError: error,
      ...(rival && { champion: relativeError(rival.near) }),
      resting: resting !== undefined,
    };
    await appendFile(join(setup.folder, CURVE), `${JSON.stringify(line)}\n`);
  };

  return {
    turn: async () => {
      if (longestOf(replay.all()) < ENOUGH) {
        if (replay.isFull) tellTooLarge();
        return false;
      }
      if (isRolledBack) [resting, isRolledBack] = [rest(), false];
      if (candidates.length > 0 && champion === undefined && replay.seen >= tryFrom) {
        await choose();
        return true;
      }
      if (setup.learn === 'choose' || astray >= MOST_ASTRAY) return false;
      if (resting !== undefined && replay.fresh < resting) return false;
      if (resting !== undefined) [resting, best, since] = [undefined, Infinity, 0];
      if (study === undefined) {
        study = await begin();
        judgedAt = study.clips;
      }
      if (!study.canStep()) return false;
      const due = judging <= JUDGING_SHARE * (judging + stepping);
      const started = now();
      if (study.clips >= study.judgedFrom && study.clips - judgedAt >= CLIPS_BETWEEN && due) {
        judgedAt = study.clips;
        await judge(study);
        judging += now() - started;
        return true;
      }
      const loss = await study.step();
      stepping += now() - started;
      if (!Number.isFinite(loss)) await goneAstray();
      return true;
    },
    setChampion: async (folder, rolledBack = false) => {
      [champion, championIn, trial] = [await load(folder), folder, undefined];
      // One was taken, or none is wanted.
      if (folder !== undefined || rolledBack) candidates = [];
      isRolledBack = rolledBack;
    },
    wake: () => {
      if (resting !== undefined) resting = 0;
    },
    save: async () => study?.save(),
    get isDone() {
      return setup.learn === 'choose' && candidates.length === 0;
    },
  };
};
