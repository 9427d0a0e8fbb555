import { UsageError } from '../pipeline/errors.js';
import { requireRange } from '../pipeline/intake/normalisation.js';
import { describeLongest, loadSeries, simulateSeries } from './load-series.js';
import { ownRanges, type TrainOptions } from './options.js';
import { fitted, longestStretch, strided, type Series } from './series.js';

/** All series that the options name, on disk or simulated. @throws what loading and simulating throw */
export const gather = async (options: TrainOptions, notice: (message: string) => void): Promise<Series[]> => {
  const { simulation, data } = options;
  if ((simulation === undefined) === (data.length === 0)) {
    throw new UsageError('give folders of frames, or a simulation by name, to train on');
  }
  requireRange(options.range, options.channels, ownRanges(options));
  if (simulation === undefined) return loadSeries({ ...options, ownRanges: ownRanges(options), notice });
  const seeds = Array.from({ length: options.series + options.validation }, (_, k) => options.firstSeed + k);
  notice(
    `simulating ${seeds.length} series of ${options.frames} frames (${simulation}, seeds ${seeds[0]} to ${seeds.at(-1)})`,
  );
  return simulateSeries(simulation, options.simulationOptions, seeds, options.frames, {
    ...options,
    ownRanges: ownRanges(options),
  });
};

/**
 * Training series, as the network takes them, and validation series.
 * @throws UsageError when there are too few, or none is long enough
 */
export const divide = (
  all: readonly Series[],
  options: TrainOptions,
  latentStride: number,
): { training: Series[]; validation: Series[] } => {
  const { validation, context, leads, stride } = options;
  if (all.length <= validation) {
    throw new UsageError(`${all.length} series are too few to keep ${validation} apart for validation`, {
      hint: 'give more folders, or a smaller --validation',
    });
  }
  const training = all.slice(0, -validation).flatMap((series) => strided(series, stride));
  const needed = context + leads;
  if (!training.some((series) => longestStretch(series) >= needed)) {
    const why = `--context ${context} and --leads ${leads} need`;
    throw new UsageError(
      `no series has the ${stride === 1 ? '' : `${stride} times `}${needed} frames that ${why}: the longest has ${describeLongest(all)}`,
      { hint: 'lower --leads' },
    );
  }
  return {
    training: training.map((series) => fitted(series, latentStride)),
    validation: all.slice(-validation).flatMap((series) => strided(series, stride)),
  };
};
