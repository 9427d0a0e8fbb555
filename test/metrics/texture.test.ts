import { expect, test } from '@jest/globals';
import { planeOf, type Plane } from '../../src/metrics/plane.js';
import { checkerboard, shortWaves } from '../../src/metrics/texture.js';

const plane = (height: number, width: number, value: (row: number, column: number) => number): Plane =>
  planeOf(
    Float32Array.from({ length: height * width }, (_, k) => value(Math.floor(k / width), k % width)),
    [height, width, 1],
  );

test('a wave of four pixels and more has no power in short waves, a shorter one has all of it', () => {
  const wave = (length: number) => plane(24, 24, (_, c) => Math.sin((2 * Math.PI * c) / length));
  expect(shortWaves(wave(12))).toBeCloseTo(0, 6);
  expect(shortWaves(wave(4))).toBeCloseTo(0, 6);
  expect(shortWaves(wave(3))).toBeCloseTo(1, 6);
  expect(shortWaves(plane(8, 8, () => 0.3))).toBe(0);
});

test('a checkerboard on a smooth field is seen with its amplitude, the field is not', () => {
  const smooth = (r: number, c: number): number => 0.5 + 0.4 * Math.sin((r + 2 * c) / 5);
  const quiet = checkerboard(plane(64, 60, smooth), 4);
  const marked = checkerboard(
    plane(64, 60, (r, c) => smooth(r, c) + 0.05 * ((r + c) % 2 === 0 ? 1 : -1)),
    4,
  );
  expect(quiet).toBeLessThan(0.01);
  expect(marked).toBeCloseTo(0.05, 2);
  expect(checkerboard(plane(3, 3, smooth), 4)).toBe(0);
});
