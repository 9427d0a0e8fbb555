import { UsageError } from '../pipeline/errors.js';
import { fit, fittedShape } from '../pipeline/fit.js';
import { describeShape } from '../pipeline/frame.js';
import type { TrainOptions } from './options.js';
import { loadSeries, simulateSeries, type Series } from './series.js';

/** All series that the options name, loaded or simulated. @throws what loading and simulating throw */
export const gather = async (options: TrainOptions, notice: (message: string) => void): Promise<Series[]> => {
  const { simulation, channels, context, range, data } = options;
  if ((simulation === undefined) === (data.length === 0)) {
    throw new UsageError('give folders of frames, or a simulation by name, to train on');
  }
  if (simulation === undefined) return loadSeries(data, { channels, context, range });
  const seeds = Array.from({ length: options.series + options.validation }, (_, k) => options.firstSeed + k);
  notice(
    `simulating ${seeds.length} series of ${options.frames} frames (${simulation}, seeds ${seeds[0]} to ${seeds.at(-1)})`,
  );
  return simulateSeries(simulation, options.simulationOptions, seeds, options.frames, {
    channels,
    context,
    range,
  });
};

/**
 * Training series, as the network takes them, and validation series.
 * @throws UsageError when there are too few, or none is long enough, or sizes differ
 */
export const divide = (
  all: readonly Series[],
  options: TrainOptions,
  latentStride: number,
): { training: Series[]; validation: Series[] } => {
  const { validation, context, leads } = options;
  if (all.length <= validation) {
    throw new UsageError(`${all.length} series are too few to keep ${validation} apart for validation`, {
      hint: 'give more folders, or a smaller --validation',
    });
  }
  const training = all.slice(0, -validation);
  const shape = describeShape((training[0] as Series).shape);
  const odd = all.find((series) => describeShape(series.shape) !== shape);
  if (odd !== undefined)
    throw new UsageError(`series ${odd.name} is ${describeShape(odd.shape)}, the others are ${shape}`, {
      hint: 'train on frames of one size',
    });
  if (!training.some(({ frames }) => frames.length >= context + leads)) {
    throw new UsageError(
      `no series has the ${context + leads} frames that --context ${context} and --leads ${leads} need`,
      { hint: 'lower --leads' },
    );
  }
  return {
    training: training.map((series) => ({
      ...series,
      shape: fittedShape(series.shape, latentStride),
      frames: series.frames.map((frame) => fit(frame, series.shape, latentStride)),
    })),
    validation: all.slice(-validation),
  };
};
