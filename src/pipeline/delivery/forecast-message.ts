import { littleEndian } from '../bytes.js';
import type { Delivery } from './delivery.js';
import type { Forecast } from '../forecast.js';
import { sizeOf } from '../frame.js';
import { forecastPath } from './layout.js';

/**
 * Names a delivery for good: the forecast's id, and that with `.score` for what became of it. A repeat after a crash has
 * the same key, so a receiver that remembers keys sees everything once.
 */
export const keyOf = (delivery: Delivery): string =>
  delivery.type === 'forecast' ? delivery.forecast.id : `${delivery.score.id}.score`;

/** "forecast of run1, frame 12", for people. */
export const describeDelivery = (delivery: Delivery): string => {
  const { series, index } = delivery.type === 'forecast' ? delivery.forecast : delivery.score;
  return `${delivery.type} of ${series}, frame ${index}`;
};

/** Everything about a forecast but its arrays, with statistics of each lead: a line of forecasts.jsonl. */
export const forecastLine = (forecast: Forecast) => {
  const { id, series, index, position, issuedAt, horizon, stride, shape, sampleType } = forecast;
  const { forecaster, trustedLeads, normalisation, uncertainty, time, view } = forecast;
  return {
    id,
    series,
    index,
    position,
    ...(time && { time }),
    issuedAt,
    horizon,
    stride,
    shape,
    ...(view && { view }),
    sampleType,
    forecaster,
    trustedLeads,
    normalisation,
    ...(forecast.damping !== undefined && { damping: forecast.damping }),
    path: forecastPath(series, index),
    leads: Array.from({ length: horizon }, (_, at) => ({
      ...statistics(forecast, at + 1),
      ...forecast.outlook?.[at],
    })),
    ...(uncertainty && {
      uncertainty: {
        members: uncertainty.members,
        ...(uncertainty.interval && { level: uncertainty.interval.level }),
      },
    }),
  };
};

/** Physical values, seven digits: what a float32 holds. */
const statistics = (forecast: Forecast, lead: number) => {
  const { frames, shape, uncertainty } = forecast;
  const size = sizeOf(shape);
  let [min, max, sum, known] = [Infinity, -Infinity, 0, 0];
  for (let at = (lead - 1) * size; at < lead * size; at++) {
    const value = frames[at]!;
    if (Number.isNaN(value)) continue;
    known++;
    if (value < min) min = value;
    if (value > max) max = value;
    sum += value;
  }
  const short = (value: number): number => Number(value.toPrecision(7));
  const meanOf = (values: Float32Array): number =>
    short(
      values
        .subarray((lead - 1) * size, lead * size)
        .reduce((total, value) => (Number.isNaN(value) ? total : total + value), 0) / known,
    );
  const { spread, interval } = uncertainty ?? {};
  const time = timeOfLead(forecast, lead);
  return {
    lead,
    ...(time !== undefined && { time }),
    min: short(min),
    max: short(max),
    mean: short(sum / known),
    ...(spread && { spread: meanOf(spread) }),
    ...(interval && { lower: meanOf(interval.lower), upper: meanOf(interval.upper) }),
  };
};

/** The time that a lead speaks of, in the unit of the forecast's time; undefined where it is not known. */
export const timeOfLead = ({ time }: Pick<Forecast, 'time'>, lead: number): number | undefined =>
  time?.perLead === undefined ? undefined : Number((time.value + lead * time.perLead).toPrecision(12));

/** The leads asked for: ascending, each once, none beyond the horizon. */
export const chosenLeads = (leads: 'all' | readonly number[], horizon: number): number[] =>
  leads === 'all'
    ? Array.from({ length: horizon }, (_, at) => at + 1)
    : [...new Set(leads)].filter((chosen) => chosen <= horizon).sort((a, b) => a - b);

/** One lead's values [H, W, C], a view. */
export const frameOf = ({ frames, shape }: Pick<Forecast, 'frames' | 'shape'>, lead: number): Float32Array =>
  frames.subarray((lead - 1) * sizeOf(shape), lead * sizeOf(shape));

/** [leads, H, W, C]; a view where all leads are wanted. */
export const framesOf = (forecast: Forecast, leads: readonly number[]): Float32Array => {
  if (leads.length === forecast.horizon) return forecast.frames;
  const result = new Float32Array(leads.length * sizeOf(forecast.shape));
  leads.forEach((lead, place) => result.set(frameOf(forecast, lead), place * sizeOf(forecast.shape)));
  return result;
};

/** The option `frames` of sinks that send JSON, as `jsonMessage` takes it. */
export const leadsToSend = (
  frames: 'none' | 'all' | readonly number[],
): 'all' | readonly number[] | undefined => (frames === 'none' ? undefined : frames);

/** A topic or subject with `{series}` and `{type}` filled in; `fit` makes a series' name fit for it. */
export const filledIn = (template: string, delivery: Delivery, fit: (series: string) => string): string => {
  const { series } = delivery.type === 'forecast' ? delivery.forecast : delivery.score;
  return template.replaceAll(/\{(series|type)\}/g, (_, name) =>
    name === 'type' ? delivery.type : fit(series),
  );
};

/**
 * A delivery as one JSON object for another program: `type`, `key`, then the fields of docs/output.md. With `leads` a
 * forecast carries `frames`: `{ leads, shape [n, H, W, C], dtype: "<f4", base64 }`, physical values.
 */
export const jsonMessage = (
  delivery: Delivery,
  leads?: 'all' | readonly number[],
): Record<string, unknown> => {
  const key = keyOf(delivery);
  if (delivery.type === 'score') return { type: 'score', key, ...delivery.score };
  const { forecast } = delivery;
  const chosen = leads === undefined ? [] : chosenLeads(leads, forecast.horizon);
  return {
    type: 'forecast',
    key,
    ...forecastLine(forecast),
    ...(leads !== undefined && {
      frames: {
        leads: chosen,
        shape: [chosen.length, ...forecast.shape],
        dtype: '<f4',
        base64: littleEndian(framesOf(forecast, chosen)).toString('base64'),
      },
    }),
  };
};
