import { concatMap, type OperatorFunction } from 'rxjs';
import { LARGEST_BATCH, type Runner } from '../forecaster/programs.js';
import { fittedShape } from '../pipeline/fit.js';
import { sizeOf, type FrameShape } from '../pipeline/frame.js';
import type { Encoded, Predicted, RollOut } from '../pipeline/in-flight.js';
import { inParts, type Credits } from '../pipeline/intake/credits.js';

export interface PredictOptions {
  readonly runner: Runner;
  readonly horizon: number;
  /** Frame pixels per latent pixel. */
  readonly latentStride: number;
  /** Default: there is room for every forecast. */
  readonly room?: ForecastRoom;
  /** False while it rehearses: what comes out goes nowhere, and takes nobody's room. Default: it is in use. */
  readonly isInUse?: () => boolean;
}

/** Memory for the forecasts that sinks do not have yet. */
export interface ForecastRoom {
  readonly credits: Credits;
  /** Arrays of the size of its frames, [horizon, H, W, C], that a forecast holds. */
  readonly layers: number;
  /** Ends the waiting, with an error. */
  readonly signal: AbortSignal;
}

const BYTES_PER_VALUE = 4;

/**
 * Rolls the state of each frame that a forecast is due from forward over the horizon. What comes out stays on the device.
 * A batch waits until there is room for all of its forecasts: sinks that hold up the run hold up the network, not memory.
 */
export const predict = ({
  runner,
  horizon,
  latentStride,
  room,
  isInUse = () => true,
}: PredictOptions): OperatorFunction<readonly Encoded[], readonly Predicted[]> => {
  const reserve = async (count: number, shape: FrameShape): Promise<readonly (() => void)[]> => {
    if (room === undefined || count === 0 || !isInUse()) return [];
    const bytes = room.layers * horizon * sizeOf(shape) * BYTES_PER_VALUE;
    return inParts(await room.credits.take(count * bytes, room.signal), count, bytes);
  };
  const predictBatch = async (batch: readonly Encoded[]): Promise<readonly Predicted[]> => {
    const due = batch.flatMap(({ input }, at) => (input === undefined ? [] : [{ input, at }]));
    const results = new Map<number, Pick<Predicted, 'rollOut' | 'release'>>();
    const shape = batch[0]?.frame.shape as FrameShape;
    try {
      const releases = await reserve(due.length, shape);
      for (let from = 0; from < due.length; from += LARGEST_BATCH) {
        const part = due.slice(from, from + LARGEST_BATCH);
        const frames = await runner.rollOut(
          fittedShape(shape, latentStride),
          part.map(({ input }) => input),
          horizon,
        );
        part.forEach(({ at }, k) => {
          const rollOut: RollOut = { frames: k === 0 ? frames : frames.retain(), k };
          const release = releases[from + k];
          results.set(at, { rollOut, ...(release && { release }) });
        });
      }
    } finally {
      due.forEach(({ input }) => input.state.forEach((handle) => handle.release()));
    }
    return batch.map(({ input: _, ...rest }, at) => ({ ...rest, ...results.get(at) }));
  };
  return (source$) => source$.pipe(concatMap(predictBatch));
};
