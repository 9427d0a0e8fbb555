import { expect, test } from '@jest/globals';
import { sampleClip } from '../../src/training/clips.js';
import { trainSchema, type TrainOptions } from '../../src/training/options.js';
import { inMemory, strided } from '../../src/training/series.js';
import { windowsOf } from '../../src/training/window-forecasts.js';

const [H, W] = [4, 6];
/** Frame t has t in every pixel but one: 100 + t at row 1, column 2. */
const series = inMemory(
  { name: 'marked', shape: [H, W, 1], normalisation: { low: 0, high: 1 } },
  Array.from({ length: 9 }, (_, t) =>
    Float32Array.from({ length: H * W }, (_value, k) => (k === W + 2 ? 100 + t : t)),
  ),
);
const options = (more: Partial<TrainOptions> = {}): TrainOptions =>
  trainSchema.parse({ out: 'nowhere', context: 2, leads: 3, batch: 3, iterations: 100, ...more });
const LATE = 90; // all leads, past the sampling part

/** Where the mark is in frame t of clip n, and the number of the frame. */
const marks = (clip: Float32Array, n: number, batch: number, t: number): { at: number; frame: number } => {
  const frame = clip.subarray((t * batch + n) * H * W, (t * batch + n + 1) * H * W);
  const at = frame.findIndex((v) => v >= 100);
  return { at, frame: (frame[at] ?? 0) - 100 };
};

test('a clip is consecutive frames under one symmetry, another for each iteration', async () => {
  const places = new Set<number>();
  for (let iteration = 50; iteration < 90; iteration++) {
    const { inputs, shape } = await sampleClip([series], options(), iteration);
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

test.each([
  ['all', [8, 9, 13, 16, 19, 22, 26, 27]],
  ['flips', [8, 9, 26, 27]],
  ['up-down', [8, 26]],
  ['left-right', [8, 9]],
  ['none', [8]],
] as const)('of square frames with symmetries %s the mark comes to %j', async (symmetries, expected) => {
  const frame = Float32Array.from({ length: 36 }, (_, k) => (k === 8 ? 1 : 0)); // row 1, column 2
  const run = inMemory(
    { name: 'square', shape: [6, 6, 1], normalisation: { low: 0, high: 1 } },
    Array.from({ length: 5 }, () => frame),
  );
  const places = new Set<number>();
  for (let iteration = 0; iteration < 100; iteration++) {
    const { inputs } = await sampleClip([run], options({ symmetries, batch: 1 }), iteration, 3);
    places.add((inputs['clip']?.data as Float32Array).indexOf(1));
  }
  expect([...places].sort((a, b) => a - b)).toEqual(expected);
});

test('half of the clips have no roll-in, the others all of it or half', async () => {
  const seen = new Map<number, number>();
  for (let iteration = 0; iteration < 200; iteration++) {
    const { inputs, shape } = await sampleClip([series], options({ rollIn: 4 }), iteration, 3);
    const rollIn = shape.rollIn ?? 0;
    expect(inputs['clip']?.shape[0]).toBe(2 + rollIn + 3);
    seen.set(rollIn, (seen.get(rollIn) ?? 0) + 1);
  }
  expect([...seen.keys()].sort()).toEqual([0, 2, 4]);
  expect(seen.get(0)! / 200).toBeGreaterThan(0.4);
  expect(seen.get(0)! / 200).toBeLessThan(0.6);
});

test('where edges are periodic, clips are shifted around them', async () => {
  const places = new Set<number>();
  for (let iteration = 0; iteration < 100; iteration++) {
    const { inputs } = await sampleClip([series], options({ boundary: 'periodic' }), iteration);
    for (let n = 0; n < 3; n++) places.add(marks(inputs['clip']?.data as Float32Array, n, 3, 0).at);
  }
  expect(places.size).toBe(H * W);
});

/** Of a frame of 70 rows and 80 columns each pixel says where it is: 1000 row + column. */
const [HIGH, WIDE, CROP] = [70, 80, 64];
const large = inMemory(
  { name: 'large', shape: [HIGH, WIDE, 1], normalisation: { low: 0, high: 1 } },
  Array.from({ length: 5 }, () =>
    Float32Array.from({ length: HIGH * WIDE }, (_, k) => 1000 * Math.floor(k / WIDE) + (k % WIDE)),
  ),
);

test.each(['replicate', 'periodic'] as const)(
  'of large frames a step has parts, and learns from none of the pixels at edges that were cut (%s)',
  async (boundary) => {
    const isPeriodic = boundary === 'periodic';
    const begins = new Set<string>();
    for (let iteration = 0; iteration < 40; iteration++) {
      const { inputs, shape } = await sampleClip(
        [large],
        options({ boundary, crop: CROP, batch: 2 }),
        iteration,
      );
      expect(shape).toMatchObject({ frame: [CROP, CROP, 1], isPart: true });
      const [clip, counted] = [inputs['clip']!, inputs['counted']!];
      expect(counted.shape).toEqual([1, 2, CROP, CROP, 1]);
      for (const n of [0, 1]) {
        const at = (row: number, column: number): readonly [number, number] => {
          const value = clip.data[n * CROP * CROP + row * CROP + column]!;
          return [Math.floor(value / 1000), value % 1000];
        };
        const [first, below, beside] = [at(0, 0), at(1, 0), at(0, 1)];
        const step = [below[0] - first[0], beside[1] - first[1]] as const;
        begins.add(first.join());
        for (let row = 0; row < CROP; row++)
          for (let column = 0; column < CROP; column++) {
            const turned = (from: number, by: number, whole: number): number =>
              (from + (Math.abs(by) === 1 ? by : -Math.sign(by)) * (whole === HIGH ? row : column) + whole) %
              whole;
            const place = [turned(first[0], step[0], HIGH), turned(first[1], step[1], WIDE)];
            // Compared at once where they differ: thousands of expectations take long.
            if (at(row, column).join() !== place.join())
              expect({ row, column, is: at(row, column) }).toEqual(place);
            const isInside = (k: number, whole: number): boolean => {
              const isEdge = (of: number): boolean => !isPeriodic && (of === 0 || of === whole - 1);
              const edges = [0, CROP - 1].map((end) => (whole === HIGH ? at(end, 0)[0] : at(0, end)[1]));
              return (k >= 16 || isEdge(edges[0]!)) && (k < CROP - 16 || isEdge(edges[1]!));
            };
            const expected = isInside(row, HIGH) && isInside(column, WIDE) ? 1 : 0;
            const is = counted.data[n * CROP * CROP + row * CROP + column];
            if (is !== expected) expect({ row, column, is }).toEqual({ row, column, is: expected });
          }
      }
    }
    expect(begins.size).toBeGreaterThan(30);
    const whole = await sampleClip([series], options(), 0);
    expect([whole.shape.isPart, whole.inputs['counted']]).toEqual([undefined, undefined]);
  },
);

test.each([
  [20, 128, 16],
  [21, 128, 32],
  [51, 256, 64],
  [51, 128, 32],
])('over %i leads parts of %i pixels have margins of %i', async (leads, crop, margin) => {
  const side = 2 * crop;
  const still = new Float32Array(side * side);
  const run = inMemory(
    { name: 'still', shape: [side, side, 1], normalisation: { low: 0, high: 1 } },
    Array.from({ length: 2 + leads }, () => still),
  );
  const asked = options({ crop, batch: 1, boundary: 'periodic' });
  const { inputs } = await sampleClip([run], asked, 0, leads);
  const counted = [...(inputs['counted']?.data ?? [])];
  expect(counted.reduce((a, b) => a + b, 0)).toBe((crop - 2 * margin) ** 2);
});

test('noise has the asked-for size, and the shape of the context', async () => {
  const { inputs } = await sampleClip([series], options({ noise: 0.2, batch: 40 }), LATE);
  const noise = inputs['noise'];
  expect(noise?.shape).toEqual([2, 40, H, W, 1]);
  const values = [...(noise?.data ?? [])];
  const std = Math.sqrt(values.reduce((sum, v) => sum + v * v, 0) / values.length);
  expect(std).toBeGreaterThan(0.18);
  expect(std).toBeLessThan(0.22);
});

test.each([
  // [sampling, step of 100, masks: one for each frame but the first that the network may be shown, share of the truth]
  ['scheduled', 20, 1, 0.6], // two leads at this step
  ['scheduled', 40, 2, 0.2],
  ['scheduled', LATE, 2, 0],
  ['reverse', 20, 1, 0.7], // two frames of context
  ['reverse', LATE, 1, 1],
] as const)('with %s sampling, at step %i, %i masks choose the truth with probability %d', async (...row) => {
  const [sampling, iteration, count, share] = row;
  const { inputs } = await sampleClip([series], options({ sampling, batch: 200 }), iteration);
  const { data, shape } = inputs['truth']!;
  expect(shape).toEqual([count, 200, 1, 1, 1]);
  expect([...data].every((value) => value === 0 || value === 1)).toBe(true);
  const shown = [...data].reduce((a, b) => a + b, 0) / data.length;
  expect(Math.abs(shown - share)).toBeLessThanOrEqual(share % 1 === 0 ? 0 : 0.1);
});

test('without sampling there are no masks', async () => {
  expect((await sampleClip([series], options(), LATE)).inputs['truth']).toBeUndefined();
});

test('no clip reaches over a gap, and windows begin anew behind it', async () => {
  // Frames 0 to 4 and 6 to 11: number 5 is missing.
  const broken = {
    ...series,
    stretches: [
      { from: 0, to: 5 },
      { from: 6, to: 12 },
    ],
  };
  const frame = (place: number): Promise<Float32Array> =>
    Promise.resolve(Float32Array.from({ length: H * W }, (_, k) => (k === W + 2 ? 100 + place : place)));
  const starts = new Set<number>();
  for (let iteration = 50; iteration < 100; iteration++) {
    const { inputs } = await sampleClip([{ ...broken, frame }], options(), iteration);
    for (let n = 0; n < 3; n++) starts.add(marks(inputs['clip']?.data as Float32Array, n, 3, 0).frame);
  }
  expect([...starts].sort((a, b) => a - b)).toEqual([0, 6, 7]);
  const windows = windowsOf({ ...broken, frame }, { context: 2, horizon: 1, every: 2, latentStride: 1 });
  expect(windows.map(({ start }) => start)).toEqual([0, 2, 6, 8]);
  const halves = strided({ ...broken, frame }, 2);
  expect(halves.map(({ stretches }) => stretches)).toEqual([
    [{ from: 0, to: 6 }], // 0 2 4 6 8 10
    [
      { from: 0, to: 2 },
      { from: 3, to: 6 },
    ], // 1 3, 7 9 11
  ]);
  expect((await halves[1]!.frame(3))[0]).toBe(7);
});
