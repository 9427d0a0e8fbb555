import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { linearExtrapolation } from '../../src/metrics/baselines.js';
import { rmse } from '../../src/metrics/rmse.js';
import { pooledSkill, skillOf } from '../../src/metrics/skill.js';
import { ssim } from '../../src/metrics/ssim.js';

interface Case {
  readonly name: string;
  readonly shape: [number, number, number];
  readonly a: string;
  readonly b: string;
  readonly previous: string;
  readonly rmse: number;
  readonly linear3: string;
  readonly ssim: number;
}
const { cases } = JSON.parse(readFileSync('test/metrics/golden.json', 'utf8')) as { cases: Case[] };

const unpacked = (base64: string): Float32Array => {
  const bytes = Uint8Array.from(Buffer.from(base64, 'base64'));
  return new Float32Array(bytes.buffer);
};

test.each(cases)('RMSE, SSIM and linear extrapolation agree with scikit-image and numpy: $name', (golden) => {
  const a = unpacked(golden.a);
  const b = unpacked(golden.b);
  expect(rmse(a, b)).toBeCloseTo(golden.rmse, 12);
  expect(ssim(a, b, golden.shape)).toBeCloseTo(golden.ssim, 10);
  const linear = linearExtrapolation(a, unpacked(golden.previous), 3);
  expect(linear).toEqual(unpacked(golden.linear3));
});

test('SSIM is 1 for equal frames, symmetric, and defined down to one pixel', () => {
  const frame = Float32Array.from({ length: 96 * 40 }, (_, i) => Math.sin(i * i) ** 2);
  const other = frame.map((value) => 1 - value);
  expect(ssim(frame, frame, [96, 40, 1])).toBeCloseTo(1, 10);
  expect(ssim(frame, other, [96, 40, 1])).toBeCloseTo(ssim(other, frame, [96, 40, 1]), 12);
  expect(ssim(Float32Array.of(0.2), Float32Array.of(0.8), [1, 1, 1])).toBeCloseTo(
    (2 * 0.2 * 0.8 + 1e-4) / (0.04 + 0.64 + 1e-4),
    6,
  );
});

test('skill is pooled over squared errors and stays finite when nothing moves', () => {
  const errors = [
    { rmse: 0.1, persistenceRmse: 0.2 },
    { rmse: 0.3, persistenceRmse: 0.4 },
  ];
  expect(pooledSkill(errors)).toBeCloseTo(1 - Math.sqrt(0.1 / 0.2), 12);
  expect(pooledSkill([])).toBe(0);
  expect(skillOf(0, 0)).toBe(0);
  expect(skillOf(0, 0.1)).toBe(1);
  expect(skillOf(0.1, 0)).toBeLessThan(-1000);
  expect(Number.isFinite(skillOf(0.1, 0))).toBe(true);
});
