import { expect, test } from '@jest/globals';
import { normalNumbers, uniformNumbers } from '../../src/pipeline/random.js';
import {
  bandsUpTo,
  binOf,
  CLASSES,
  LEVELS,
  localOf,
  scaleBy,
  type Band,
} from '../../src/uncertainty/calibration.js';
import { createSampler, crossCoverage, fitClasses, type Samples } from '../../src/uncertainty/fit.js';

/**
 * Errors as forecasts make them: their size follows the scale by an unknown law, classes differ, and a part of the truth's
 * interfaces lies where the forecast has none, with errors far larger than its surroundings.
 */
const simulated = (seed: number, series: number): Samples => {
  const uniform = uniformNumbers(seed);
  const normal = normalNumbers(uniform);
  const sampler = createSampler(series * 2000, uniform);
  for (let one = 0; one < series; one++) {
    const n = 2000;
    const classes = Uint8Array.from({ length: n }, () =>
      uniform() < 0.7 ? 0 : uniform() < 0.5 ? 1 : CLASSES - 1,
    );
    const scale = Float32Array.from(classes, (of) => 0.001 + 0.02 * of * uniform());
    const edges = Uint8Array.from(classes, (of) => (uniform() < (of === CLASSES - 1 ? 0.8 : 0.004) ? 1 : 0));
    const strength = 0.9 + 0.2 * uniform();
    const errors = Float32Array.from(scale, (value, i) =>
      Math.abs(strength * normal() * (edges[i] === 1 ? 0.05 : 0.1 * value ** 0.6)),
    );
    sampler.add(one, 1, errors, edges, { classes, scale });
  }
  return sampler.samples();
};

const coverage = (classes: Band['classes'], samples: Samples, level: number) => {
  const at = LEVELS.findIndex((one) => one === level);
  const inside = Array.from(samples.error, (error, i): number => {
    const { law, edges, factors } = classes[samples.classes[i]!]!;
    const scale = scaleBy(law, samples.scale[i]!, samples.whole[i]);
    return error <= factors[binOf(edges, scale)]![at]! * scale ? 1 : 0;
  });
  const share = (keep: (i: number) => boolean): number => {
    const kept = inside.filter((_, i) => keep(i));
    return kept.reduce((sum, value) => sum + value, 0) / kept.length;
  };
  return { all: share(() => true), interface: share((i) => samples.interface[i] === 1) };
};

const fitted = fitClasses(simulated(1, 60));
const others = simulated(2, 60);
test.each([0.5, 0.8, 0.9, 0.95])('intervals of %d cover other series, and interfaces as well', (level) => {
  const { all, interface: onInterface } = coverage(fitted, others, level);
  expect(Math.abs(all - level)).toBeLessThan(0.03);
  expect(Math.abs(onInterface - level)).toBeLessThan(0.03);
});

test('a higher level is never narrower, and few samples still give intervals', () => {
  for (const samples of [simulated(3, 8), simulated(4, 1)]) {
    for (const { edges, factors } of fitClasses(samples)) {
      expect(factors).toHaveLength(edges.length + 1);
      for (const row of factors) {
        expect(row).toHaveLength(LEVELS.length);
        expect(row.toSorted((a, b) => a - b)).toEqual(row);
        expect(row.at(-1)).toBeGreaterThan(0);
      }
    }
  }
});

test.each([
  ['flat places', 0, 1],
  ['interfaces', CLASSES - 1, 1],
])('forecasts that have no %s leave the coverage of all pixels as it is meant', (_what, without, instead) => {
  const lacking = (samples: Samples): Samples => ({
    ...samples,
    classes: samples.classes.map((of) => (of === without ? instead : of)),
  });
  const classes = fitClasses(lacking(simulated(1, 20)));
  for (const level of [0.5, 0.9])
    expect(Math.abs(coverage(classes, lacking(simulated(2, 20)), level).all - level)).toBeLessThan(0.03);
});

/** Errors of one scale in two classes, 0 and that of interfaces, each with whether the truth has an interface there. */
const samplesOf = (pixels: readonly { of: number; error: number; edge: boolean }[]): Samples => ({
  error: Float32Array.from(pixels, ({ error }) => error),
  scale: new Float32Array(pixels.length).fill(1),
  classes: Uint8Array.from(pixels, ({ of }) => of),
  interface: Uint8Array.from(pixels, ({ edge }) => (edge ? 1 : 0)),
  series: new Uint16Array(pixels.length),
  whole: pixels.map(() => undefined),
});

test('interfaces are covered where most of those of the forecast are false, too', () => {
  const top = Array.from({ length: 1000 }, (_, k) => ({ of: CLASSES - 1, error: k + 1, edge: k < 200 }));
  const rest = Array.from({ length: 9000 }, (_, k) => ({ of: 0, error: k + 1, edge: k >= 8370 && k < 8800 }));
  const samples = samplesOf([...top, ...rest]);
  const { all, interface: onInterface } = coverage(fitClasses(samples), samples, 0.9);
  expect(Math.abs(all - 0.9)).toBeLessThan(0.01);
  // More than asked for, since a higher level is never narrower than a lower one, which finds too few at best.
  expect(onInterface).toBeGreaterThan(0.88);
});

test('what interfaces need is not taken from all pixels where most of the forecast looks like interfaces', () => {
  const top = Array.from({ length: 6000 }, (_, k) => ({ of: CLASSES - 1, error: k + 1, edge: false }));
  const rest = Array.from({ length: 4000 }, (_, k) => ({ of: 0, error: k + 1, edge: k < 1000 }));
  const samples = samplesOf([...top, ...rest]);
  const classes = fitClasses(samples);
  for (const level of [0.5, 0.9]) {
    const { all, interface: onInterface } = coverage(classes, samples, level);
    expect(Math.abs(all - level)).toBeLessThan(0.01);
    expect(onInterface).toBe(1);
  }
});

test('errors that are many times the same number are all inside, or none', () => {
  const samples = samplesOf(
    Array.from({ length: 1000 }, (_, k) => ({ of: 0, error: k < 400 ? 0 : 1 / 3, edge: false })),
  );
  expect(coverage(fitClasses(samples), samples, 0.9).all).toBe(1);
});

test('the coverage to expect is that of series that were left out', () => {
  const samples = simulated(5, 16);
  const expected = crossCoverage(samples);
  LEVELS.forEach((level, k) => {
    expect(Math.abs(expected.all[k]! - level)).toBeLessThan(0.03);
    expect(Math.abs(expected.interface![k]! - level)).toBeLessThan(0.04);
  });
  // Series of which half err ten times as much as the others: what one half gives does not cover the other.
  const uneven = {
    ...samples,
    error: samples.error.map((error, i) => error * (samples.series[i]! % 2 ? 10 : 1)),
  };
  expect(crossCoverage(uneven).all[LEVELS.indexOf(0.9)]).toBeLessThan(0.75);
  expect(() => crossCoverage(simulated(6, 1))).toThrow('two series');
});

/** Series of a lagged ensemble: errors are `ofFrame` of the spread over the frame, `own` of the error about the newest frame, and noise. */
const laggedSamples = (seed: number, series: number, ofFrame: number, own: number): Samples => {
  const uniform = uniformNumbers(seed);
  const normal = normalNumbers(uniform);
  const n = 400;
  const sampler = createSampler(series * n, uniform);
  const classes = new Uint8Array(n).fill(CLASSES - 1);
  for (let one = 0; one < series; one++) {
    const whole = { spread: 1e-3 * Math.exp(1.5 * normal()), own: 1e-4 * Math.exp(normal()) };
    const scale = Float32Array.from({ length: n }, () => whole.spread * (0.5 + uniform()));
    const size = whole.spread ** ofFrame * whole.own ** own;
    const errors = Float32Array.from({ length: n }, () => Math.abs(normal()) * size);
    sampler.add(one, 1, errors, new Uint8Array(n), { classes, scale, whole });
  }
  return sampler.samples();
};

test('of a lagged ensemble, intervals follow how the series fares: each one is covered', () => {
  const fittedTo = fitClasses(laggedSamples(7, 40, 0.6, 0.4));
  const { law } = fittedTo[CLASSES - 1]!;
  expect(law!.spread + law!.whole).toBeCloseTo(0.6, 1);
  expect(law!.own).toBeCloseTo(0.4, 1);
  const ofOthers = laggedSamples(8, 40, 0.6, 0.4);
  for (let one = 0; one < 40; one++) {
    const inside = (_: unknown, i: number): boolean => ofOthers.series[i] === one;
    const { all } = coverage(
      fittedTo,
      {
        ...{ error: ofOthers.error.filter(inside), scale: ofOthers.scale.filter(inside) },
        ...{ classes: ofOthers.classes.filter(inside), interface: ofOthers.interface.filter(inside) },
        ...{ series: ofOthers.series.filter(inside), whole: ofOthers.whole.filter(inside) },
      },
      0.9,
    );
    expect(Math.abs(all - 0.9)).toBeLessThan(0.08);
  }
  // Series that all fare alike tell nothing of a law, and still are covered.
  const alike = { ...ofOthers, whole: ofOthers.whole.map(() => ({ spread: 1e-3, own: 1e-4 })) };
  expect(Math.abs(coverage(fitClasses(alike), alike, 0.9).all - 0.9)).toBeLessThan(0.02);
});

test('an interface is told from the forecast, and the scale from the spread where there is one', () => {
  const step = Float32Array.from({ length: 144 }, (_, i) => (i % 12 < 6 ? 0 : 1));
  const alone = localOf(step, undefined, [12, 12, 1], false);
  expect([...alone.classes.subarray(0, 12)]).toEqual([0, 0, 0, 0, 2, 2, 2, 2, 0, 0, 0, 0]);
  expect(alone.scale[5]).toBeGreaterThan(0.3);
  expect(alone.scale[0]).toBeCloseTo(1e-7, 9);
  const around = localOf(step, undefined, [12, 12, 1], true);
  expect([...around.classes.subarray(0, 12)]).toEqual([2, 2, 0, 0, 2, 2, 2, 2, 0, 0, 2, 2]);
  const spread = localOf(step, new Float32Array(144).fill(0.25), [12, 12, 1], false);
  expect(spread.scale[0]).toBeCloseTo(0.25, 6);
  expect(spread.whole).toBeUndefined();
  const twoValues = Float32Array.from({ length: 144 }, (_, i) => (i % 2 ? 0.3 : 0.4));
  const { whole } = localOf(step, new Float32Array(144).fill(0.25), [12, 12, 1], false, twoValues);
  expect(whole!.spread).toBeCloseTo(0.25, 6);
  expect(whole!.own).toBeCloseTo(Math.sqrt((0.09 + 0.16) / 2), 6);
});

test('bands of leads meet', () => {
  expect(bandsUpTo(50, 'coarse')).toEqual([
    { from: 1, to: 5 },
    { from: 6, to: 20 },
    { from: 21, to: 50 },
  ]);
  expect(bandsUpTo(7, 'fine').map(({ from, to }) => [from, to])).toEqual([
    [1, 2],
    [3, 5],
    [6, 7],
  ]);
});
