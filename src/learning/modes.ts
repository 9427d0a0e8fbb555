import { loadForecaster, shippedFolder, shippedForecasters } from '../forecaster/folder.js';
import type { AttachConfig } from '../pipeline/config/config.js';
import { UsageError } from '../pipeline/errors.js';
import type { GivenRange } from '../pipeline/intake/normalisation.js';
import { loadForecasterSet, type ForecasterSet } from '../uncertainty/forecaster-set.js';
import { noForecaster } from './champion/no-forecaster.js';

const widthOf = ([low, high]: GivenRange): number => high - low;

/**
 * The ranges that frames may fit when no forecaster is named: of those that will be tried, the narrowest first, since what
 * fits it fits a wider one too.
 */
const rangesToTry = async (learn: AttachConfig['learn']): Promise<readonly GivenRange[]> => {
  // Who learns from nothing tries none that was trained.
  const names = learn === 'scratch' ? [] : await shippedForecasters();
  // What cannot be loaded is told when it is tried.
  const loaded = await Promise.allSettled(names.map((name) => loadForecaster(shippedFolder(name))));
  const known = loaded.flatMap((one) => (one.status === 'fulfilled' ? [one.value.settings.range] : []));
  const all: GivenRange[] = [...known.filter((range) => range !== undefined), [0, 1]];
  return all.sort((a, b) => widthOf(a) - widthOf(b));
};

/** The forecaster that a run begins with. */
export const firstForecaster = async (config: AttachConfig): Promise<ForecasterSet> => {
  const { forecaster, interval, ensemble, lagged } = config;
  if (forecaster !== undefined) return loadForecasterSet(forecaster, config);
  const [asked] =
    Object.entries({ interval, ensemble, lagged }).find(
      ([, value]) => value !== undefined && value !== false,
    ) ?? [];
  if (asked !== undefined)
    throw new UsageError(`--${asked} belongs to a forecaster, and none was given`, {
      hint: 'name one with --forecaster',
    });
  return noForecaster(await rangesToTry(config.learn));
};

/** Who makes forecasts, as the user said or by default. */
export interface Modes {
  readonly learn: 'off' | 'adapt' | 'scratch';
  readonly madeBy: 'best' | 'forecaster';
}

/** Settings of a run, with what was left to us. */
export type LiveConfig = AttachConfig & Modes;

/**
 * What is learned in a run has no members and is not calibrated, and neither is the trend: where forecasts are to have a
 * spread or intervals, they are those of the forecaster that was given.
 * @throws UsageError for both at once
 */
export const modesOf = (
  { learn, madeBy, interval, symmetries }: AttachConfig,
  { members, lagged }: Pick<ForecasterSet, 'members' | 'lagged'>,
): Modes => {
  if (members === 1 && !lagged && interval === undefined)
    return { learn: learn ?? 'adapt', madeBy: madeBy ?? 'best' };
  const what = interval !== undefined ? '--interval' : lagged ? '--lagged' : 'an ensemble';
  if (learn !== undefined && learn !== 'off')
    throw new UsageError(`--learn ${learn} does not go with ${what}`, {
      hint: 'what is learned while attached has no members and is not calibrated: --learn off',
    });
  if (madeBy === 'best')
    throw new UsageError(`--made-by best does not go with ${what}`, {
      hint: 'spread and intervals are of the forecaster’s own forecasts: --made-by forecaster',
    });
  if (symmetries !== undefined)
    throw new UsageError(`--symmetries does not go with ${what}`, {
      hint: 'it is for learning, and nothing is learned; members are those that the forecaster was trained with',
    });
  return { learn: 'off', madeBy: 'forecaster' };
};

/** Whether frames are looked at by a learner, and what for. */
export const learnMode = ({ learn, forecaster }: LiveConfig): 'choose' | 'adapt' | 'scratch' | undefined =>
  learn !== 'off' ? learn : forecaster === undefined ? 'choose' : undefined;
