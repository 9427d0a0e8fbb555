import { createHash } from 'node:crypto';
import type { Forecast } from '../../src/pipeline/forecast.js';
import type { Frame, FrameShape } from '../../src/pipeline/frame.js';
import { sizeOf } from '../../src/pipeline/frame.js';
import type { ForecastRecord, ForecastStore } from '../../src/pipeline/outstanding.js';

/** An observed frame; values from `value(place in the frame)`. */
export const frameOf = (
  position: number,
  value: (at: number) => number,
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

/** A forecast issued at a frame; values from `value(lead, place in the frame)`. */
export const forecastOf = (
  frame: Frame,
  value: (lead: number, at: number) => number,
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

/** A store that outlives what uses it, like the ledger does a crash. */
export const memoryStore = (): ForecastStore => {
  const records = new Map<string, ForecastRecord>();
  const finished = new Set<string>();
  return {
    outstanding: () => [...records.values()],
    isFinished: (id) => finished.has(id),
    put: async (changed) => {
      for (const record of changed) records.set(record.id, structuredClone(record));
    },
    finish: async (ids) => {
      for (const id of ids) {
        records.delete(id);
        finished.add(id);
      }
    },
  };
};
