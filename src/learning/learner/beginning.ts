import type { Forecaster } from '../../forecaster/forecaster.js';
import type { Symmetries } from '../../forecaster/symmetries.js';
import { loadCandidates, longestOf } from './choosing.js';
import { isBetter, relativeError, trendRival, type Windows } from './compare.js';
import type { FromLearner, LearnerSetup } from './messages.js';
import type { Replay } from './replay.js';
import type { Scoring } from './scoring.js';
import { begunFrom, canLearn, type Study } from './study.js';

/**
 * Clips that each forecaster learns from before the one that learned best is gone on with. On development runs that of the
 * same kind beat the trend by then, others did not; and going on from these learned later than from nothing.
 */
const CLIPS = 80;
/** Frames of a series with which one that cannot learn from them is not waited for any longer. */
const ENOUGH = 32;

/** A study to go on with. */
export interface Begun {
  readonly study: Study;
  /** Clips that it has learned from and was not judged after. */
  readonly unjudged: number;
}

/**
 * What learning begins with: the forecaster that was given or chosen; or the one of those that ship that learns best from the
 * first frames, if it beats the trend then; or nothing.
 */
export interface Beginning {
  /** The next piece of work towards a study, until there is one; `waits`: for more frames. */
  turn(): Promise<Begun | 'works' | 'waits'>;
  /** One was chosen as it is. True: it is gone on from, and what was begun before it is not. */
  chosen(forecaster: Forecaster): Promise<boolean>;
}

export interface BeginningOptions {
  readonly replay: Pick<Replay, 'all'>;
  readonly setup: Pick<LearnerSetup, 'folder' | 'learn' | 'start' | 'candidates' | 'channels' | 'stride'>;
  readonly load: (folder: string | undefined) => Promise<Forecaster | undefined>;
  /** A study that goes on from a forecaster, or one of a network from nothing. */
  readonly open: (from: Forecaster | undefined, symmetries: Symmetries | undefined) => Promise<Study>;
  /** What is judged by. */
  readonly windows: () => Windows | undefined;
  readonly scoring: Pick<Scoring, 'on'>;
  readonly tell: (message: FromLearner) => void;
}

interface Tried {
  readonly forecaster: Forecaster;
  readonly study: Study;
}

export const createBeginning = async ({
  setup,
  replay,
  load,
  open,
  windows,
  scoring,
  tell,
}: BeginningOptions): Promise<Beginning> => {
  const adapts = setup.learn === 'adapt';
  /** What was given or chosen. */
  let start = await load(setup.start);
  /** What learned best of those that ship. */
  let best: Forecaster | undefined;
  /** There are none to try, or they have been. */
  let isOver = !adapts || setup.candidates.length === 0;
  let tried: Tried[] | undefined;

  const able = async (): Promise<Forecaster[]> =>
    (await loadCandidates(setup.candidates, setup.channels, tell))
      .map(({ forecaster }) => forecaster)
      .filter(canLearn);
  // Another process may have begun already.
  const before = isOver ? undefined : await begunFrom(setup.folder, setup.stride);
  if (typeof before === 'string') best = (await able()).find(({ id }) => id.hash === before);
  if (before === null || best !== undefined) isOver = true;

  const end = async (some: readonly Tried[]): Promise<void> => {
    for (const { study } of some) await study.dispose();
  };
  const openAll = async (): Promise<Tried[]> => {
    const all: Tried[] = [];
    for (const forecaster of await able()) all.push({ forecaster, study: await open(forecaster, undefined) });
    return all;
  };
  /** The one that errs least on frames that it has not learned from, if it beats the trend by more than noise. */
  const choose = async (all: readonly Tried[]): Promise<Begun | undefined> => {
    const over = windows();
    if (all.length === 0 || over === undefined) return undefined;
    const scored = [];
    for (const one of all) {
      const near = await scoring.on(await one.study.forecaster({}), over);
      scored.push({ ...one, near, error: relativeError(near) });
    }
    const [first] = scored.filter(({ error }) => Number.isFinite(error)).sort((a, b) => a.error - b.error);
    const winner = first && isBetter(first.near, trendRival(first.near)) ? first : undefined;
    const from = winner === undefined ? 'nothing' : winner.forecaster.id.name;
    const errors = scored.map(({ forecaster: { id }, error }) => `${id.name} ${error.toFixed(2)}`).join(', ');
    tell({
      type: 'notice',
      message: `learning begins from ${from}: errors of those that ship, after ${CLIPS} clips, over those of the better of persistence and linear extrapolation: ${errors}`,
    });
    if (winner === undefined) return undefined;
    best = winner.forecaster;
    await winner.study.save();
    return { study: winner.study, unjudged: CLIPS };
  };
  /** What is gone on from. */
  const from = (): Forecaster | undefined =>
    best ?? (adapts && start !== undefined && canLearn(start) ? start : undefined);

  return {
    turn: async () => {
      if (isOver || from() !== undefined)
        return { study: await open(from(), start?.settings.symmetries), unjudged: 0 };
      tried ??= await openAll();
      const ready = tried.filter(({ study }) => study.canStep());
      const next = ready.find(({ study }) => study.clips < CLIPS);
      if (next !== undefined) {
        await next.study.step();
        return 'works';
      }
      if (ready.length < tried.length && longestOf(replay.all()) < ENOUGH) return 'waits';
      const all = tried;
      [tried, isOver] = [undefined, true];
      const begun = await choose(ready);
      await end(all.filter(({ study }) => study !== begun?.study));
      return begun ?? 'works';
    },
    chosen: async (forecaster) => {
      const isKnown = from() !== undefined;
      start ??= forecaster;
      if (isKnown || from() === undefined) return false;
      await end(tried ?? []);
      tried = undefined;
      return true;
    },
  };
};
