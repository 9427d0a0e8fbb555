import { didYouMean } from '../pipeline/closest.js';
import { UsageError } from '../pipeline/errors.js';
import { requireRange, type KnownRanges } from '../pipeline/intake/normalisation.js';
import type { Parameter } from '../pipeline/parameters.js';
import { describeLongest, loadSeries, simulateSeries } from './load-series.js';
import { ownRanges, type TrainOptions } from './options.js';
import { fitted, longestStretch, strided, type Series } from './series.js';

/**
 * All series that the options name, on disk or simulated. `known` says which of the ranges is the user's, and which a forecaster
 * that is gone on from was trained with: that holds where frames fit it, as when it forecasts. @throws what loading and
 * simulating throw, and the reason of `signal` when it aborts
 */
export const gather = async (
  options: TrainOptions,
  known: Pick<KnownRanges, 'range' | 'usual'>,
  notice: (message: string) => void,
  signal: AbortSignal,
): Promise<Series[]> => {
  const { simulation, data } = options;
  if ((simulation === undefined) === (data.length === 0)) {
    throw new UsageError('give folders of frames, or a simulation by name, to train on');
  }
  requireRange(options.range, options.channels, ownRanges(options));
  const ranges = { ...known, ownRanges: ownRanges(options) };
  if (simulation === undefined)
    return loadSeries({
      ...options,
      ...ranges,
      parameters: undefined, // each series has its own, or there is nothing to learn
      asked:
        options.from === undefined ? options.parameters.map(({ name }) => ({ name })) : options.parameters,
      notice,
      signal,
    });
  const seeds = Array.from({ length: options.series + options.validation }, (_, k) => options.firstSeed + k);
  notice(
    `simulating ${seeds.length} series of ${options.frames} frames (${simulation}, seeds ${seeds[0]} to ${seeds.at(-1)})`,
  );
  return simulateSeries(simulation, options.simulationOptions, seeds, options.frames, {
    ...options,
    ...ranges,
    signal,
  });
};

/**
 * The options with a range for each scalar that the network is told: where none was given the one that it had `before`, since
 * what it has learned goes by that, else its least and greatest value.
 * @throws UsageError for one that is not known of a series, or is the same in all
 */
export const withParameterRanges = (
  options: TrainOptions,
  all: readonly Series[],
  before: readonly Parameter[] = [],
): TrainOptions => ({
  ...options,
  parameters: options.parameters.map((asked) => {
    const { name } = asked;
    const values = all.map(({ name: series, parameters = {} }) => {
      const value = parameters[name];
      if (value !== undefined) return value;
      throw new UsageError(`the parameter "${name}" is not known of ${series}`, {
        hint: didYouMean(name, Object.keys(parameters)),
      });
    });
    if (asked.low !== undefined) return asked;
    const known = before.find((one) => one.name === name);
    if (known !== undefined) return known;
    const [low, high] = [Math.min(...values), Math.max(...values)];
    if (low < high) return { name, low, high };
    throw new UsageError(`the parameter "${name}" is ${low} in all series: nothing can be learned of it`, {
      hint: 'add series of other values, leave it out, or give the range that others have: --parameter NAME=LOW:HIGH',
    });
  }),
});

/**
 * Training series, as the network takes them, and validation series.
 * @throws UsageError when there are too few, or none is long enough
 */
export const divide = (
  all: readonly Series[],
  options: TrainOptions,
  latentStride: number,
): { training: Series[]; validation: Series[] } => {
  const { validation, context, leads, rollIn, stride } = options;
  if (all.length <= validation) {
    throw new UsageError(`${all.length} series are too few to keep ${validation} apart for validation`, {
      hint: 'give more folders, or a smaller --validation',
    });
  }
  const training = all.slice(0, -validation).flatMap((series) => strided(series, stride));
  const needed = context + rollIn + leads;
  if (!training.some((series) => longestStretch(series) >= needed)) {
    const why = `--context ${context}${rollIn > 0 ? `, --roll-in ${rollIn}` : ''} and --leads ${leads} need`;
    throw new UsageError(
      `no series has the ${stride === 1 ? '' : `${stride} times `}${needed} frames that ${why}: the longest has ${describeLongest(all)}`,
      { hint: rollIn > 0 ? 'lower --leads or --roll-in' : 'lower --leads' },
    );
  }
  return {
    training: training.map((series) => fitted(series, latentStride)),
    validation: all.slice(-validation).flatMap((series) => strided(series, stride)),
  };
};
