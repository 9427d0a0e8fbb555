import { loadForecaster } from '../../forecaster/folder.js';
import type { Forecaster } from '../../forecaster/forecaster.js';
import { messageOf } from '../../pipeline/errors.js';
import { meanOf } from '../judging/noise.js';
import { reachOf } from './compare.js';
import type { FromLearner, HeldOutScore } from './messages.js';
import type { Contestant } from './scoring.js';

type RmseKey = 'forecasterRmse' | 'persistenceRmse' | 'linearRmse';

/** A forecaster that is to take the place of the one in use. */
export interface Challenger extends Contestant {
  readonly folder: string;
  readonly why: string;
  /** Beyond the frames kept apart. */
  readonly beyond: readonly HeldOutScore[];
  /** What the one in use did on the frames kept apart. */
  readonly champions?: readonly HeldOutScore[];
  readonly tried?: number;
}

/** The forecaster in use, as far as the learner knows. */
export interface Incumbent {
  readonly folder: string | undefined;
  /** Undefined where none is in use, and where it cannot be loaded. */
  forecaster(): Promise<Forecaster | undefined>;
  set(folder: string | undefined): void;
  /** Another one is in use, unless the daemon says that it is not. */
  challenge(by: Challenger): void;
}

export const createIncumbent = (
  first: string | undefined,
  load: (folder: string | undefined) => Promise<Forecaster | undefined>,
  tell: (message: FromLearner) => void,
): Incumbent => {
  let folder = first;
  let loaded: Forecaster | undefined;
  return {
    get folder() {
      return folder;
    },
    forecaster: async () => (loaded ??= await load(folder)),
    set: (now) => {
      if (now !== folder) [folder, loaded] = [now, undefined];
    },
    challenge: ({ near, beyond, champions, tried, ...by }) => {
      const mean = (all: readonly HeldOutScore[], key: RmseKey): number =>
        meanOf(all.map((entry) => entry[key]));
      tell({
        type: 'challenger',
        folder: by.folder,
        over: folder,
        why: by.why,
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
      [folder, loaded] = [by.folder, by.forecaster];
    },
  };
};

/** Loads forecasters; says once of each that cannot be loaded that what is learned cannot be compared with it. */
export const createLoader = (tell: (message: FromLearner) => void) => {
  const unloadable = new Set<string>();
  return async (folder: string | undefined): Promise<Forecaster | undefined> => {
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
};
