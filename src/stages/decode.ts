import { createHash } from 'node:crypto';
import { concatMap, type OperatorFunction } from 'rxjs';
import type { Handle } from '../engine/types.js';
import type { Runner } from '../forecaster/programs.js';
import { withoutOverflow } from '../forecaster/without-overflow.js';
import { crop, fittedShape } from '../pipeline/fit.js';
import type {
  Forecast,
  ForecasterId,
  ForecastTime,
  Normalisation,
  Uncertainty,
} from '../pipeline/forecast.js';
import { sizeOf, type Frame, type FrameShape, type View } from '../pipeline/frame.js';
import { allFinite, filled, withGapsOf } from '../pipeline/intake/gaps.js';
import { denormalise, denormaliseDifferences, normalise } from '../pipeline/intake/normalisation.js';
import type { Observation } from '../pipeline/run.js';
import type { Predicted } from '../pipeline/in-flight.js';
import type { SeriesClock } from '../pipeline/state/series-clock.js';
import { tellOnce } from '../pipeline/tell-once.js';
import { halfWidths, localOf, type Calibration } from '../uncertainty/calibration.js';
import { rolledOut } from '../uncertainty/ensemble.js';

export interface DecodeOptions {
  readonly runner: Pick<Runner, 'engine' | 'members'>;
  readonly horizon: number;
  readonly stride: number;
  /** Frame pixels per latent pixel. */
  readonly latentStride: number;
  readonly forecaster: ForecasterId;
  /** Intervals that forecasts carry. */
  readonly interval?: {
    readonly level: number;
    readonly calibration: Calibration;
    readonly periodic: boolean;
  };
  readonly now: () => Date;
  /** What of the frames the run looks at, if not all. */
  readonly view?: View | undefined;
  /** Default: leads have no times. */
  readonly clock?: SeriesClock;
  readonly notice: (message: string) => void;
}

/** The idempotency key of a forecast: the same frame forecast the same way has the same id, before and after a crash. */
export const forecastId = (
  { series, index, contentHash }: Pick<Frame, 'series' | 'index' | 'contentHash'>,
  horizon: number,
  stride: number,
): string =>
  createHash('sha256')
    .update(JSON.stringify([series, index, contentHash, horizon, stride]))
    .digest('hex');

/** Frames one behind the other. */
const stacked = (frames: readonly Float32Array[]): Float32Array => {
  const size = frames[0]?.length ?? 0;
  const result = new Float32Array(frames.length * size);
  frames.forEach((frame, l) => result.set(frame, l * size));
  return result;
};

/** From normalised frames and their spread at each lead. */
const uncertaintyOf = (
  { runner, latentStride, interval }: DecodeOptions,
  predicted: readonly Float32Array[],
  spread: readonly Float32Array[] | undefined,
  own: Float32Array | undefined,
  shape: FrameShape,
  normalisation: Normalisation,
): Uncertainty | undefined => {
  if (spread === undefined && interval === undefined) return undefined;
  const halves =
    interval &&
    predicted.map((frame, l) => {
      const local = localOf(frame, spread?.[l], shape, interval.periodic, own);
      return halfWidths(interval.calibration, interval.level, l + 1, local);
    });
  const end = (sign: 1 | -1, widths: readonly Float32Array[]): Float32Array =>
    stacked(
      predicted.map((frame, l) =>
        denormalise(
          frame.map((value, i) => value + sign * widths[l]![i]!),
          normalisation,
        ),
      ),
    );
  return {
    members: runner.members(fittedShape(shape, latentStride)),
    ...(spread && { spread: denormaliseDifferences(stacked(spread), normalisation) }),
    ...(interval &&
      halves && { interval: { level: interval.level, lower: end(-1, halves), upper: end(1, halves) } }),
  };
};

const gapped = (uncertainty: Uncertainty | undefined, frame: Float32Array): Uncertainty | undefined => {
  const { spread, interval } = uncertainty ?? {};
  return (
    uncertainty && {
      ...uncertainty,
      ...(spread && { spread: withGapsOf(spread, frame) }),
      ...(interval && {
        interval: {
          ...interval,
          lower: withGapsOf(interval.lower, frame),
          upper: withGapsOf(interval.upper, frame),
        },
      }),
    }
  );
};

/** Brings roll-outs over from the device and makes forecasts of them, in the user's physical values. */
export const decode = (options: DecodeOptions): OperatorFunction<readonly Predicted[], Observation> => {
  const { horizon, stride, latentStride } = options;
  const { engine } = options.runner;
  const tell = tellOnce(options.notice);
  /** Of the last frame scores can say how bad it is. */
  const leadsOf = (
    leads: readonly Float32Array[],
    { series, index, data, shape }: Frame,
    normalisation: Normalisation,
  ): readonly Float32Array[] => {
    const lost = leads.findIndex((values) => !allFinite(values));
    if (lost < 0) return leads;
    tell(
      'overflow',
      () =>
        `${options.forecaster.name} gives values that are not finite from lead ${lost + 1} of the forecast at frame ${index} of ${series} on: those of the frame stand in their place`,
    );
    const now = normalise(filled(data, shape), normalisation);
    return leads.map((values) => withoutOverflow(values, now));
  };

  const forecastOf = (
    { frame, normalisation, rollOut }: Predicted,
    time: ForecastTime | undefined,
    values: ReadonlyMap<Handle, Float32Array>,
  ): Forecast | undefined => {
    const data = rollOut === undefined ? undefined : values.get(rollOut.frames);
    if (rollOut === undefined || data === undefined || normalisation === undefined) return undefined;
    const { shape, series, index, position, sampleType } = frame;
    const fitted = sizeOf(fittedShape(shape, latentStride));
    const byLead = (values: Float32Array): Float32Array[] =>
      Array.from({ length: horizon }, (_, l) =>
        crop(values.subarray(l * fitted, (l + 1) * fitted), shape, latentStride),
      );
    const rolled = rolledOut(rollOut.frames, data, rollOut.k, horizon);
    const predicted = leadsOf(byLead(rolled.frames), frame, normalisation);
    const spread = rolled.spread && byLead(rolled.spread).map((values) => withoutOverflow(values));
    const own = rolled.own && withoutOverflow(crop(rolled.own, shape, latentStride));
    const uncertainty = gapped(
      uncertaintyOf(options, predicted, spread, own, shape, normalisation),
      frame.data,
    );
    return {
      id: forecastId(frame, horizon, stride),
      series,
      index,
      position,
      ...(time && { time }),
      issuedAt: options.now().toISOString(),
      horizon,
      stride,
      shape,
      sampleType,
      ...(options.view && { view: options.view }),
      frames: withGapsOf(stacked(predicted.map((frame) => denormalise(frame, normalisation))), frame.data),
      normalisation,
      ...(uncertainty && { uncertainty }),
      trustedLeads: 0, // for `compose` to say
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
          const forecast = forecastOf(predicted, options.clock?.see(predicted.frame), values);
          return forecast === undefined ? rest : { ...rest, forecast };
        });
      }),
      concatMap((observations) => observations),
    );
};
