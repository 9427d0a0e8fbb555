import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { crop, fit, fittedShape } from '../../src/pipeline/fit.js';
import type { FrameShape } from '../../src/pipeline/frame.js';
import { sizeOf } from '../../src/pipeline/frame.js';
import {
  denormalise,
  fixNormalisation,
  normalise,
  toChannels,
} from '../../src/pipeline/intake/normalisation.js';
import { segmentOf, segmentsAt } from '../../src/pipeline/state/segments.js';
import { forecastId } from '../../src/stages/decode.js';
import { frameOf } from '../support/forecasts.js';

test('frames grow by copies of their edge to what the network takes, and are cut back to what they were', () => {
  const shape: FrameShape = [2, 3, 1];
  expect(fittedShape(shape, 4)).toEqual([4, 4, 1]);
  expect([...fit(Float32Array.from([1, 2, 3, 4, 5, 6]), shape, 4)]).toEqual([
    1, 2, 3, 3, 4, 5, 6, 6, 4, 5, 6, 6, 4, 5, 6, 6,
  ]);
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 9 }),
      fc.integer({ min: 1, max: 9 }),
      fc.integer({ min: 1, max: 3 }),
      (h, w, c) => {
        const data = Float32Array.from({ length: h * w * c }, (_, k) => k + 1);
        const larger = fit(data, [h, w, c], 4);
        expect(larger.length).toBe(sizeOf(fittedShape([h, w, c], 4)));
        expect(crop(larger, [h, w, c], 4)).toEqual(data);
      },
    ),
    { seed: 1 },
  );
});

const of = (...values: number[]) => [{ data: Float32Array.from(values), sampleType: 'float32' as const }];

test('a normalisation maps the range of the first frames to 0..1 and back', () => {
  const normalisation = fixNormalisation([...of(-2, 0), ...of(6, 1)]);
  expect(normalisation).toEqual({ low: -2, high: 6 });
  expect([...normalise(Float32Array.from([-2, 2, 6, 10]), normalisation)]).toEqual([0, 0.5, 1, 1.5]);
  expect([...denormalise(Float32Array.from([0, 0.5, 1, 1.5]), normalisation)]).toEqual([-2, 2, 6, 10]);
  expect(fixNormalisation(of(7, 7))).toEqual({ low: 7, high: 8 });
});

test('the forecaster’s own range is taken where the frames fit it, a given one always', () => {
  const usual = [[0, 1]] as const;
  expect(fixNormalisation(of(0.2, 0.9), { usual })).toEqual({ low: 0, high: 1 });
  expect(fixNormalisation(of(-0.01, 1.04), { usual })).toEqual({ low: 0, high: 1 });
  expect(fixNormalisation(of(-1, 1), { usual })).toEqual({ low: -1, high: 1 });
  expect(fixNormalisation(of(0.5, 0.75), { usual })).toEqual({ low: 0.5, high: 0.75 });
  expect(fixNormalisation(of(-1, 1), { usual, range: [0, 4] })).toEqual({ low: 0, high: 4 });
  // Of several the first that fits.
  const several = [[0.5, 1], ...usual] as const;
  expect(fixNormalisation(of(0.51, 1), { usual: several })).toEqual({ low: 0.5, high: 1 });
  expect(fixNormalisation(of(0.2, 1), { usual: several })).toEqual({ low: 0, high: 1 });
});

test('colour becomes grey and grey becomes colour; other channels are refused in words', () => {
  const field = (shape: FrameShape, data: number[]) => ({
    shape,
    data: Float32Array.from(data),
    sampleType: 'uint8' as const,
  });
  const { shape, data } = toChannels(field([1, 2, 3], [100, 0, 0, 0, 0, 100]), 1);
  expect(shape).toEqual([1, 2, 1]);
  expect(data[0]).toBeCloseTo(29.9, 4);
  expect(data[1]).toBeCloseTo(11.4, 4);
  expect(toChannels(field([1, 2, 1], [5, 6]), 3)).toEqual(field([1, 2, 3], [5, 5, 5, 6, 6, 6]));
  expect(() => toChannels(field([1, 1, 2], [1, 2]), 1)).toThrow(
    'the frame has 2 channels, the forecaster takes 1',
  );
});

test('every step stands on at least the context and less than a context and a stretch of frames', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 500 }),
      fc.integer({ min: 2, max: 60 }),
      fc.integer({ min: 1, max: 40 }),
      (n, context, length) => {
        const options = { context, length };
        const current = segmentOf(n, options);
        const seen = n - current + 1;
        expect(current % length).toBe(0);
        expect(seen).toBeGreaterThanOrEqual(Math.min(n + 1, context));
        expect(seen).toBeLessThan(context + length);
        // Whatever takes over later has been fed from its first step on.
        for (let later = n; later < n + context + length; later++) {
          const next = segmentOf(later, options);
          if (next <= n) expect(segmentsAt(n, options)).toContain(next);
        }
      },
    ),
    { seed: 1 },
  );
});

test('the id of a forecast depends on its frame and on how it is forecast, on nothing else', () => {
  const frame = frameOf(3, () => 1);
  const id = forecastId(frame, 50, 1);
  // A change here breaks resuming: sinks know forecasts by these ids.
  expect(id).toBe('258c3ba0a63bcd45a4e06710ac4eaa03f7085523103dc82a457ed5031cfc8adf');
  expect(
    forecastId(
      frameOf(3, () => 2),
      50,
      1,
    ),
  ).toBe(id);
  const others = [
    forecastId(frame, 49, 1),
    forecastId(frame, 50, 2),
    forecastId({ ...frame, series: 'run2' }, 50, 1),
    forecastId({ ...frame, index: 31 }, 50, 1),
    forecastId({ ...frame, contentHash: 'other' }, 50, 1),
  ];
  expect(new Set([id, ...others]).size).toBe(6);
});
