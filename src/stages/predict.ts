import { concatMap, type OperatorFunction } from 'rxjs';
import { LARGEST_BATCH, type Runner } from '../forecaster/programs.js';
import { fittedShape } from '../pipeline/fit.js';
import type { FrameShape } from '../pipeline/frame.js';
import type { Encoded, Predicted, RollOut } from '../pipeline/in-flight.js';

export interface PredictOptions {
  readonly runner: Runner;
  readonly horizon: number;
  /** Frame pixels per latent pixel. */
  readonly latentStride: number;
}

/** Rolls the state of each frame that a forecast is due from forward over the horizon. What comes out stays on the device. */
export const predict = ({
  runner,
  horizon,
  latentStride,
}: PredictOptions): OperatorFunction<readonly Encoded[], readonly Predicted[]> => {
  const predictBatch = async (batch: readonly Encoded[]): Promise<readonly Predicted[]> => {
    const due = batch.flatMap(({ input }, at) => (input === undefined ? [] : [{ input, at }]));
    const results = new Map<number, RollOut>();
    const shape = batch[0]?.frame.shape as FrameShape;
    try {
      for (let from = 0; from < due.length; from += LARGEST_BATCH) {
        const part = due.slice(from, from + LARGEST_BATCH);
        const frames = await runner.rollOut(
          fittedShape(shape, latentStride),
          part.map(({ input }) => input),
          horizon,
        );
        part.forEach(({ at }, k) => results.set(at, { frames: k === 0 ? frames : frames.retain(), k }));
      }
    } finally {
      due.forEach(({ input }) => input.state.forEach((handle) => handle.release()));
    }
    return batch.map(({ input: _, ...rest }, at) => {
      const rollOut = results.get(at);
      return rollOut === undefined ? rest : { ...rest, rollOut };
    });
  };
  return (source$) => source$.pipe(concatMap(predictBatch));
};
