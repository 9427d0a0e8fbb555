import { appendFile, mkdir, readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Engine } from '../../engine/index.js';
import { saveForecaster } from '../../forecaster/folder.js';
import { versionsFolder } from '../champion/versions.js';
import { createBeginning } from './beginning.js';
import { createChoosing, longestOf } from './choosing.js';
import { isBetter, reachOf, relativeError, trendRival, windowsOver, type Rival } from './compare.js';
import { createIncumbent, createLoader } from './incumbent.js';
import type { FromLearner, HeldOutScore, LearnerSetup } from './messages.js';
import type { Replay } from './replay.js';
import { CONTEXT, createScoring } from './scoring.js';
import { openStudy, optionsFor, type Study } from './study.js';
import { createTrial, type Trial } from './trial.js';

/** Frames of one series before forecasters are tried, and before learning begins. */
const ENOUGH = 16;
/** Least clips from one judgement, or checkpoint, to the next, and the share of the time that judging may take. */
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
  setChampion(folder: string | undefined, rolledBack?: boolean): void;
  /** The run has changed. */
  wake(): void;
  /** It was to choose, and has: frames are of no more use to it. */
  readonly isDone: boolean;
}

export const createLearner = async ({
  setup,
  engine,
  replay,
  tell,
  now = () => performance.now(),
}: LearnerOptions): Promise<Learner> => {
  const load = createLoader(tell);
  const incumbent = createIncumbent(setup.champion, load, tell);
  const scoring = createScoring(engine, replay, setup);
  const choosing = createChoosing(setup, replay, scoring, tell);
  let study: Study | undefined;
  let [judgedAt, savedAt, judging, stepping] = [0, 0, 0, 0];
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

  /** What is judged by: frames that are kept apart, `unseen` of them at the most. */
  const keptApart = () => {
    const parts = replay.heldOut(CONTEXT).filter(({ unseen }) => unseen > 1);
    const unseen = Math.max(...parts.map((part) => part.unseen));
    const windows = windowsOver(
      parts.filter((part) => part.unseen > unseen / 2),
      CONTEXT,
    );
    return windows && { unseen, windows };
  };

  const beginning = await createBeginning({
    setup,
    replay,
    load,
    open: (from, symmetries) => {
      const series = replay.training().reduce((a, b) => (b.frames.length > a.frames.length ? b : a));
      return openStudy({
        engine,
        replay,
        folder: setup.folder,
        stride: setup.stride,
        from,
        fresh: optionsFor(series, setup.seed + astray, setup.symmetries ?? symmetries),
      });
    },
    windows: () => keptApart()?.windows,
    scoring,
    tell,
  });

  /** Takes the forecaster that fits best, if one does. */
  const choose = async (): Promise<void> => {
    const choice = await choosing.choose();
    if (choice === undefined) return;
    const [beyond = []] = await scoring.beyond([choice]);
    // What was begun from nothing while none fitted gives way to what goes on from it.
    if (await beginning.chosen(choice.forecaster)) await discard();
    incumbent.challenge({ ...choice, beyond });
    trial = undefined;
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
    dirname(incumbent.folder ?? '') !== versionsFolder(setup.folder) &&
    (trial !== undefined || isBetter(rival, trendRival(rival)));

  const judge = async (learned: Study): Promise<void> => {
    const apart = keptApart();
    if (apart === undefined) {
      resting = ++since >= PATIENCE ? rest() : undefined;
      return learned.save();
    }
    const { windows } = apart;
    const forecaster = await learned.forecaster({ steps: learned.steps, frames: replay.frames });
    const near = await scoring.on(forecaster, windows);
    const error = relativeError(near);
    if (!Number.isFinite(error)) return goneAstray();
    await learned.save();
    [best, since] = error < best * (1 - LEAST_FALL) ? [error, 0] : [best, since + 1];
    const champion = await incumbent.forecaster();
    if (incumbent.folder !== undefined && champion === undefined) {
      // There is no saying whether it is better.
      resting = since >= PATIENCE ? rest() : undefined;
      return;
    }
    const rival = champion && { forecaster: champion, near: await scoring.on(champion, windows) };
    const toBeat: Rival = rival ? (_, k) => rival.near[k]!.forecasterRmse : trendRival(near);
    const verdict =
      rival && isOnTrial(learned, rival.near)
        ? await (trial ??= createTrial((tried, over) => scoring.on(tried, over))).verdict(
            { forecaster, lengths: replay.lengths() },
            near,
            apart.unseen,
            windows,
            toBeat,
          )
        : undefined;
    // Of the same frames it would learn better and better for ever.
    if (verdict?.isLearning && replay.seen > learningAt) [since, learningAt] = [0, replay.seen];
    const isAdmitted = verdict === undefined || verdict.isPassed;
    if (isAdmitted && isBetter(near, toBeat)) {
      const [beyond = [], before = []] = await scoring.beyond([
        { forecaster, near },
        ...(rival ? [rival] : []),
      ]);
      // Who does better at first, but worse far ahead, is no better forecaster.
      if (before.length === 0 || !isBetter(before, (_, k) => beyond[k]!.forecasterRmse)) {
        const folder = await nextVersion();
        await saveForecaster(folder, forecaster, { durable: true });
        incumbent.challenge({
          folder,
          forecaster,
          why: `learned in ${learned.steps} steps from ${replay.frames} frames`,
          near,
          beyond,
          ...(rival && { champions: rival.near }),
          ...(learned.fromNothing && { tried: triedAt(near) }),
        });
        trial = undefined;
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
      if (choosing.isDue && incumbent.folder === undefined) {
        await choose();
        return true;
      }
      if (setup.learn === 'choose' || astray >= MOST_ASTRAY) return false;
      if (resting !== undefined && replay.fresh < resting) return false;
      if (resting !== undefined) [resting, best, since] = [undefined, Infinity, 0];
      if (study === undefined) {
        const begun = await beginning.turn();
        if (begun === 'works' || begun === 'waits') return begun === 'works';
        study = begun.study;
        // What an older network was tried at says nothing of this one.
        if (study.steps === 0) triedBefore = 0;
        [judgedAt, savedAt] = [study.clips - begun.unjudged, study.clips];
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
      // Steps of large frames take long, and none of them is to be made again.
      if (study.clips < study.judgedFrom && study.clips - savedAt >= CLIPS_BETWEEN) {
        savedAt = study.clips;
        await study.save();
      }
      const loss = await study.step();
      stepping += now() - started;
      if (!Number.isFinite(loss)) await goneAstray();
      return true;
    },
    setChampion: (folder, rolledBack = false) => {
      incumbent.set(folder);
      trial = undefined;
      if (folder !== undefined || rolledBack) choosing.end();
      isRolledBack = rolledBack;
    },
    wake: () => {
      if (resting !== undefined) resting = 0;
    },
    get isDone() {
      return setup.learn === 'choose' && choosing.isOver;
    },
  };
};
