import { expect, test } from '@jest/globals';
import { sampleClip } from '../../src/training/clips.js';
import { trainSchema, type TrainOptions } from '../../src/training/options.js';
import type { Series } from '../../src/training/series.js';

const [H, W] = [4, 6];
/** Frame t has t in every pixel but one: 100 + t at row 1, column 2. */
const series: Series = {
  name: 'marked',
  shape: [H, W, 1],
  normalisation: { low: 0, high: 1 },
  frames: Array.from({ length: 9 }, (_, t) =>
    Float32Array.from({ length: H * W }, (_value, k) => (k === W + 2 ? 100 + t : t)),
  ),
};
const options = (more: Partial<TrainOptions> = {}): TrainOptions =>
  trainSchema.parse({ out: 'nowhere', context: 2, leads: 3, batch: 3, iterations: 100, ...more });
const LATE = 90; // all leads, past the sampling part

/** Where the mark is in frame t of clip n, and the number of the frame. */
const marks = (clip: Float32Array, n: number, batch: number, t: number): { at: number; frame: number } => {
  const frame = clip.subarray((t * batch + n) * H * W, (t * batch + n + 1) * H * W);
  const at = frame.findIndex((v) => v >= 100);
  return { at, frame: (frame[at] ?? 0) - 100 };
};

test('a clip is consecutive frames under one symmetry, another for each iteration', () => {
  const places = new Set<number>();
  for (let iteration = 50; iteration < 90; iteration++) {
    const { inputs, shape } = sampleClip([series], options(), iteration);
    expect(shape).toMatchObject({ leads: 3, frame: [H, W, 1] });
    const data = inputs['clip']?.data as Float32Array;
    for (let n = 0; n < 3; n++) {
      const first = marks(data, n, 3, 0);
      for (let t = 1; t < 5; t++)
        expect(marks(data, n, 3, t)).toEqual({ at: first.at, frame: first.frame + t });
      places.add(first.at);
    }
  }
  // Flips alone, as the frame is not square and its edges are not periodic.
  expect([...places].sort((a, b) => a - b)).toEqual([8, 9, 14, 15]);
});

test('where edges are periodic, clips are shifted around them', () => {
  const places = new Set<number>();
  for (let iteration = 0; iteration < 100; iteration++) {
    const { inputs } = sampleClip([series], options({ boundary: 'periodic' }), iteration);
    for (let n = 0; n < 3; n++) places.add(marks(inputs['clip']?.data as Float32Array, n, 3, 0).at);
  }
  expect(places.size).toBe(H * W);
});

test('noise has the asked-for size, and the shape of the context', () => {
  const { inputs } = sampleClip([series], options({ noise: 0.2, batch: 40 }), LATE);
  const noise = inputs['noise'];
  expect(noise?.shape).toEqual([2, 40, H, W, 1]);
  const values = [...(noise?.data ?? [])];
  const std = Math.sqrt(values.reduce((sum, v) => sum + v * v, 0) / values.length);
  expect(std).toBeGreaterThan(0.18);
  expect(std).toBeLessThan(0.22);
});

test('the truth is shown less and less often after the context, or more and more often inside it', () => {
  const share = (sampling: TrainOptions['sampling'], iteration: number): number => {
    const { inputs } = sampleClip([series], options({ sampling, batch: 200, leads: 3 }), iteration);
    const { data, shape } = inputs['truth'] ?? { data: [], shape: [] };
    expect(shape.slice(1)).toEqual([200, 1, 1, 1]);
    return [...data].reduce((a, b) => a + b, 0) / data.length;
  };
  expect(share('scheduled', 45)).toBeLessThan(0.2);
  expect(share('scheduled', LATE)).toBe(0);
  expect(share('reverse', 1)).toBeLessThan(0.65);
  expect(share('reverse', LATE)).toBe(1);
  expect(sampleClip([series], options(), LATE).inputs['truth']).toBeUndefined();
});
