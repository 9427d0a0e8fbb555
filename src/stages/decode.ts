import { createHash } from 'node:crypto';
import { concatMap, type OperatorFunction } from 'rxjs';
import type { Engine, Handle } from '../engine/types.js';
import { crop, fittedShape } from '../pipeline/fit.js';
import type { Forecast, ForecasterId } from '../pipeline/forecast.js';
import { sizeOf, type Frame } from '../pipeline/frame.js';
import { denormalise } from '../pipeline/normalisation.js';
import type { Observation } from '../pipeline/run.js';
import type { Predicted } from '../pipeline/in-flight.js';

export interface DecodeOptions {
  readonly engine: Engine;
  readonly horizon: number;
  readonly stride: number;
  /** Frame pixels per latent pixel. */
  readonly latentStride: number;
  readonly forecaster: ForecasterId;
  trustedLeads(series: string): number;
  readonly now: () => Date;
}

/** The idempotency key of a forecast: the same frame forecast the same way has the same id, before and after a crash. */
export const forecastId = ({ series, index, contentHash }: Frame, horizon: number, stride: number): string =>
  createHash('sha256')
    .update(JSON.stringify([series, index, contentHash, horizon, stride]))
    .digest('hex');

/** Brings roll-outs over from the device and makes forecasts of them, in the user's physical values. */
export const decode = (options: DecodeOptions): OperatorFunction<readonly Predicted[], Observation> => {
  const { engine, horizon, stride, latentStride } = options;

  const forecastOf = (
    { frame, normalisation, rollOut }: Predicted,
    values: ReadonlyMap<Handle, Float32Array>,
  ): Forecast | undefined => {
    const data = rollOut === undefined ? undefined : values.get(rollOut.frames);
    if (rollOut === undefined || data === undefined || normalisation === undefined) return undefined;
    const { shape, series, index, position, sampleType } = frame;
    const [fitted, size] = [sizeOf(fittedShape(shape, latentStride)), sizeOf(shape)];
    const frames = new Float32Array(horizon * size);
    for (let l = 0; l < horizon; l++) {
      const at = (rollOut.k * horizon + l) * fitted;
      const predicted = crop(data.subarray(at, at + fitted), shape, latentStride);
      frames.set(denormalise(predicted, normalisation), l * size);
    }
    return {
      id: forecastId(frame, horizon, stride),
      series,
      index,
      position,
      issuedAt: options.now().toISOString(),
      horizon,
      stride,
      shape,
      sampleType,
      frames,
      normalisation,
      trustedLeads: options.trustedLeads(series),
      forecaster: options.forecaster,
    };
  };

  return (source$) =>
    source$.pipe(
      concatMap(async (batch) => {
        // Series of one batch share a roll-out: it is brought over once.
        const handles = new Set(batch.flatMap(({ rollOut }) => rollOut?.frames ?? []));
        const values = new Map<Handle, Float32Array>();
        try {
          for (const handle of handles) values.set(handle, (await engine.read(handle)).data as Float32Array);
        } finally {
          for (const { rollOut } of batch) rollOut?.frames.release();
        }
        return batch.map((predicted): Observation => {
          const { rollOut: _, ...rest } = predicted;
          const forecast = forecastOf(predicted, values);
          return forecast === undefined ? rest : { ...rest, forecast };
        });
      }),
      concatMap((observations) => observations),
    );
};
