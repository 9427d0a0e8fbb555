import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { crpsOfIntervals } from '../../src/metrics/crps.js';
import { gradientMagnitude, localRms } from '../../src/metrics/gradient.js';
import { grainsOf } from '../../src/metrics/grains.js';
import { interfaceLength } from '../../src/metrics/interface-length.js';
import { meanOf, phaseFraction } from '../../src/metrics/phase-fraction.js';
import { planeOf } from '../../src/metrics/plane.js';
import { structureFactor } from '../../src/metrics/structure-factor.js';
import { checkerboard, shortWaves } from '../../src/metrics/texture.js';
import { twoPointCorrelation } from '../../src/metrics/two-point.js';
import type { FrameShape } from '../../src/pipeline/frame.js';

interface OfBoundary {
  readonly contour: number;
  readonly twoPoint: readonly number[];
  readonly grains: { readonly count: number; readonly area: number };
  readonly gradient: string;
  readonly localRms: string;
}
interface Case {
  readonly name: string;
  readonly shape: readonly [number, number];
  readonly plane: string;
  readonly fraction: number;
  readonly mean: number;
  readonly structure: {
    readonly k: readonly number[];
    readonly s: readonly number[];
    readonly length: number;
  };
  readonly shortWaves: number;
  readonly checkerboard: number;
  readonly periodic: OfBoundary;
  readonly open: OfBoundary;
}
interface Golden {
  readonly cases: readonly Case[];
  readonly scores: readonly {
    readonly centre: number;
    readonly halves: readonly number[];
    readonly value: number;
    readonly crps: number;
  }[];
}
const { cases, scores } = JSON.parse(readFileSync('test/metrics/statistics-golden.json', 'utf8')) as Golden;

const unpacked = (base64: string): Float32Array =>
  new Float32Array(Uint8Array.from(Buffer.from(base64, 'base64')).buffer);
const expectClose = (actual: ArrayLike<number>, expected: ArrayLike<number>, digits = 8): void => {
  expect(actual).toHaveLength(expected.length);
  for (let i = 0; i < expected.length; i++) expect(actual[i]).toBeCloseTo(expected[i]!, digits);
};

test.each(cases)('statistics agree with numpy, scipy and scikit-image: $name', (golden) => {
  const shape: FrameShape = [...golden.shape, 1];
  const frame = unpacked(golden.plane);
  const plane = planeOf(frame, shape);
  expect(phaseFraction(plane, 0.5)).toBeCloseTo(golden.fraction, 12);
  expect(meanOf(plane)).toBeCloseTo(golden.mean, 12);
  expect(shortWaves(plane)).toBeCloseTo(golden.shortWaves, 10);
  expect(checkerboard(plane, 4)).toBeCloseTo(golden.checkerboard, 10);
  const { k, s, characteristicLength } = structureFactor(plane);
  expectClose(k, golden.structure.k);
  expectClose(s, golden.structure.s);
  expect(characteristicLength).toBeCloseTo(golden.structure.length, 8);
  for (const boundary of ['periodic', 'open'] as const) {
    const periodic = boundary === 'periodic';
    const expected = golden[boundary];
    expect(interfaceLength(plane, 0.5, periodic)).toBeCloseTo(expected.contour, 8);
    expectClose(twoPointCorrelation(plane, periodic), expected.twoPoint);
    const { count, meanArea } = grainsOf(plane, 0.5, periodic);
    expect({ count, area: meanArea }).toEqual(expected.grains);
    expectClose(gradientMagnitude(frame, shape, periodic), unpacked(expected.gradient), 6);
    expectClose(localRms(frame, shape, periodic), unpacked(expected.localRms), 6);
  }
});

test('statistics of a colour frame are of one channel; a wrong length is refused', () => {
  const [shape, channels] = [[4, 3, 2] as const, [0.25, 0.75]];
  const frame = Float32Array.from({ length: 24 }, (_, i) => channels[i % 2]!);
  expect(channels.map((_, c) => meanOf(planeOf(frame, shape, c)))).toEqual(channels);
  expect(() => planeOf(frame, [4, 3, 1])).toThrow('24 values of a 4x3x1 frame');
  expectClose(gradientMagnitude(frame, shape, false), new Float32Array(24));
});

test('nothing is found in a flat plane', () => {
  const plane = planeOf(new Float32Array(36).fill(0.5), [6, 6, 1]);
  expect(structureFactor(plane).characteristicLength).toBe(0);
  expect(twoPointCorrelation(plane, true)).toEqual([0, 0, 0, 0]);
  expect(interfaceLength(plane, 0.5, true)).toBe(0);
  expect(grainsOf(plane, 0.5, true)).toEqual({ count: 0, meanArea: 0 });
});

test.each(scores)(
  'CRPS of intervals is the mean quantile score: $value',
  ({ centre, halves, value, crps }) => {
    expect(crpsOfIntervals(centre, halves, value)).toBeCloseTo(crps, 12);
  },
);

test('CRPS of a forecast without width is the absolute error, and that of a normal one its closed form', () => {
  expect(crpsOfIntervals(1, Array<number>(9).fill(0), 3)).toBeCloseTo(2, 12);
  // Half widths of the central intervals of the standard normal distribution at 0.1 .. 0.9.
  const halves = [0.12566, 0.25335, 0.38532, 0.5244, 0.67449, 0.84162, 1.03643, 1.28155, 1.64485];
  // z (2 Phi(z) - 1) + 2 phi(z) - 1 / sqrt(pi), Gneiting and Raftery, JASA 102 (2007), eq. 21
  expect(crpsOfIntervals(0, halves, 0)).toBeCloseTo(0.2337, 1);
  expect(crpsOfIntervals(0, halves, 1)).toBeCloseTo(0.6024, 1);
});
