import { loadForecaster } from '../../forecaster/folder.js';
import type { Forecaster } from '../../forecaster/forecaster.js';
import type { Symmetries } from '../../forecaster/symmetries.js';
import { messageOf } from '../../pipeline/errors.js';
import { isBetter, relativeError, trendRival, type Windows } from './compare.js';
import type { FromLearner, LearnerSetup } from './messages.js';
import type { Scoring } from './scoring.js';
import { begunFrom, canLearn, type Study } from './study.js';

/**
 * Clips that each forecaster learns from before the one that learned best is gone on with. On development runs that of the
 * same kind beat the trend by then, others did not; and going on from these learned later than from nothing.
 */
const CLIPS = 80;

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
  readonly setup: Pick<LearnerSetup, 'folder' | 'learn' | 'start' | 'beginnings' | 'channels' | 'stride'>;
  readonly load: (folder: string | undefined) => Promise<Forecaster | undefined>;
  /** A study that goes on from a forecaster, or one of a network from nothing. */
  readonly open: (from: Forecaster | undefined, symmetries: Symmetries | undefined) => Promise<Study>;
  /** Those that cannot learn from so few frames are not waited for any longer. */
  readonly isLate: () => boolean;
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
  load,
  open,
  isLate,
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
  let isOver = !adapts || setup.beginnings.length === 0;
  let tried: Tried[] | undefined;

  const shipped = async (): Promise<Forecaster[]> => {
    const loaded: Forecaster[] = [];
    for (const folder of setup.beginnings) {
      try {
        const forecaster = await loadForecaster(folder);
        if (forecaster.settings.channels === setup.channels && canLearn(forecaster)) loaded.push(forecaster);
      } catch (error) {
        tell({ type: 'notice', message: `${folder} cannot be learned from: ${messageOf(error)}` });
      }
    }
    return loaded;
  };
  // Another process may have begun already.
  const before = isOver ? undefined : await begunFrom(setup.folder, setup.stride);
  if (typeof before === 'string') best = (await shipped()).find(({ id }) => id.hash === before);
  if (before === null || best !== undefined) isOver = true;

  const end = async (some: readonly Tried[]): Promise<void> => {
    for (const { study } of some) await study.dispose();
  };
  const openAll = async (): Promise<Tried[]> => {
    const all: Tried[] = [];
    for (const forecaster of await shipped())
      all.push({ forecaster, study: await open(forecaster, undefined) });
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
      const able = tried.filter(({ study }) => study.canStep());
      const next = able.find(({ study }) => study.clips < CLIPS);
      if (next !== undefined) {
        await next.study.step();
        return 'works';
      }
      if (able.length < tried.length && !isLate()) return 'waits';
      const all = tried;
      [tried, isOver] = [undefined, true];
      const begun = await choose(able);
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
