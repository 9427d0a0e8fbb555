import { expect, test } from '@jest/globals';
import { collectUncertainty } from '../../src/evaluation/uncertainty-scores.js';
import { CLASSES, FORMAT, LEVELS, type Calibration } from '../../src/uncertainty/calibration.js';

/** Intervals that reach as far as the spread, whatever their level. */
const calibration: Calibration = {
  ...{
    format: FORMAT,
    forecaster: 'one',
    members: 2,
    context: 2,
    horizon: 1,
    stride: 1,
    series: 2,
    windows: 2,
  },
  levels: [...LEVELS],
  bands: [
    {
      ...{ from: 1, to: 1, expected: { all: LEVELS.map(() => 0.9) } },
      classes: Array.from({ length: CLASSES }, () => ({ edges: [], factors: [LEVELS.map(() => 1)] })),
    },
  ],
};

/** What is reported of series of 1 x 4 pixels that are 0 in their forecasts, with a spread of 1. */
const reported = (series: readonly (readonly number[])[]) => {
  const scores = collectUncertainty(1, { members: 2, lagged: false }, calibration, false);
  const [predicted, spread, last] = [0, 1, 0].map((value) => new Float32Array(4).fill(value)) as [
    Float32Array,
    Float32Array,
    Float32Array,
  ];
  series.forEach((truth, of) =>
    scores.add(of, 1, { predicted, spread, truth: Float32Array.from(truth), last, shape: [1, 4, 1] }),
  );
  return scores.report()!.intervals!;
};

test('coverage comes with its standard error: how much it differs between the series', () => {
  // 3 and 1 of 4 values are covered; where the truth has its step, one of two in both.
  const [band] = reported([
    [0.5, 0.5, 0.5, 2],
    [0.5, 2, 2, 2],
  ]).bands;
  expect([band?.all[8], band?.interface?.[8]]).toEqual([0.5, 0.5]);
  // sqrt(2 / 1 ((3 - 2)^2 + (1 - 2)^2)) / 8
  expect(band?.standard_error?.all).toBeCloseTo(0.25, 12);
  expect(band?.standard_error?.interface).toBe(0);
  expect(band?.series_range).toEqual([0.25, 0.75]);
});

test('one series has no standard error, and series without interfaces none on them', () => {
  expect(reported([[0.5, 0.5, 0.5, 2]]).bands[0]?.standard_error).toBeUndefined();
  const {
    bands: [flat],
    coverage,
    interface_coverage: onInterfaces,
    interface_width: width,
  } = reported([
    [0.5, 0.5, 0.5, 0.5],
    [2, 2, 2, 2],
  ]);
  expect([coverage, onInterfaces, width]).toEqual([[0.5], [NaN], [NaN]]);
  expect(flat?.interface).toBeUndefined();
  expect(flat?.standard_error).toEqual({ all: 0.5 });
  // Nor has what only one of them has.
  const [{ standard_error: error } = {}] = reported([
    [0.5, 0.5, 0.5, 2],
    [0.5, 0.5, 0.5, 0.5],
  ]).bands;
  expect([error?.all, error?.interface]).toEqual([expect.closeTo(0.125, 12), undefined]);
});
