import { createHash } from 'node:crypto';
import { resolve } from 'node:path';
import type { Forecast, Score } from '../pipeline/forecast.js';
import type { Frame, FrameShape } from '../pipeline/frame.js';
import { sizeOf } from '../pipeline/frame.js';
import type { SinkContext } from '../pipeline/plugins/plugin.js';
import { createPlugin } from '../pipeline/plugins/registry.js';

/** An observed frame, number 10 * `position` of its series; values from `value(place in the frame)`. */
export const exampleFrame = (
  position: number,
  value: (at: number) => number = (at) => at,
  options: { series?: string; shape?: FrameShape } = {},
): Frame => {
  const { series = 'run1', shape = [8, 9, 1] } = options;
  const index = 10 * position;
  return {
    series,
    index,
    position,
    shape,
    data: Float32Array.from({ length: sizeOf(shape) }, (_, at) => value(at)),
    sampleType: 'uint8',
    contentHash: `content of ${position}`,
    source: { series, index, path: `/frames/${index}.png`, revision: { size: 1, mtimeNs: '1' } },
  };
};

/** A forecast issued at a frame, by default of 3 leads; values from `value(lead, place in the frame)`. */
export const exampleForecast = (
  frame: Frame,
  value: (lead: number, at: number) => number = (lead, at) => 3 * lead + at,
  options: Partial<Forecast> = {},
): Forecast => {
  const { horizon = 3, stride = 1 } = options;
  const size = sizeOf(frame.shape);
  return {
    id: createHash('sha256').update(`${frame.series}/${frame.index}/${horizon}/${stride}`).digest('hex'),
    series: frame.series,
    index: frame.index,
    position: frame.position,
    issuedAt: new Date(Date.UTC(2024, 0, 1) + 1000 * frame.position).toISOString(),
    horizon,
    stride,
    shape: frame.shape,
    sampleType: frame.sampleType,
    frames: Float32Array.from({ length: horizon * size }, (_, at) =>
      value(1 + Math.floor(at / size), at % size),
    ),
    normalisation: { low: 0, high: 200 },
    trustedLeads: 0,
    forecaster: { name: 'test', hash: 'abc' },
    ...options,
  };
};

/** What became of a forecast: lead 1 was scored, then the run ended. */
export const exampleScore = ({ id, series, index, horizon, stride, forecaster }: Forecast): Score => ({
  id,
  series,
  index,
  status: 'expired',
  reason: 'the run ended before its truth came',
  horizon,
  stride,
  leads: [
    {
      lead: 1,
      rmse: 0.1,
      madeBy: 'forecaster',
      forecasterRmse: 0.1,
      persistenceRmse: 0.2,
      linearRmse: 0.3,
      betweenRmse: [0.18, 0.2, 0.24],
      skill: 0.5,
      ssim: 0.9,
    },
  ],
  forecaster,
});

/** What a run hands to sinks; what they log is collected in `messages`. */
export const sinkContext = (out: string): SinkContext & { readonly messages: string[] } => {
  const messages: string[] = [];
  return {
    out: resolve(out),
    codec: (name) => createPlugin('codec', name, {}, undefined),
    log: (message) => messages.push(message),
    messages,
  };
};
