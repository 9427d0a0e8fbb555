import { expect, test } from '@jest/globals';
import {
  discounted,
  farWindows,
  isBetter,
  relativeError,
  trendRival,
  windowsOver,
} from '../../src/learning/learner/compare.js';
import { trendReach } from '../../src/metrics/baselines.js';
import type { HeldOutScore } from '../../src/learning/learner/messages.js';
import { createReplay } from '../../src/learning/learner/replay.js';
import { isConserved, isPeriodic, velocityScale } from '../../src/learning/learner/what-frames-show.js';
import type { FrameShape } from '../../src/pipeline/frame.js';
import { betweenFrom } from '../support/judged.js';

const SHAPE: FrameShape = [16, 24, 1];
/** A wave that goes around both edges, or does not close. */
const wave = (t: number, closes: boolean): Float32Array =>
  Float32Array.from({ length: 16 * 24 }, (_, k) => {
    const [row, column] = [Math.floor(k / 24), k % 24];
    const [y, x] = closes ? [row / 16, column / 24] : [row / 23, column / 41];
    return 0.5 + 0.4 * Math.sin(2 * Math.PI * (y + 2 * x) + 0.1 * t);
  });
const normalisation = { low: 0, high: 1 };
const filled = (count: number, options: { bytes?: number; stride?: number; skip?: number } = {}) => {
  const replay = createReplay({ bytes: options.bytes ?? 1e9, stride: options.stride ?? 1 });
  for (let t = 0; t < count; t++)
    if (t !== options.skip) replay.add('a', t, [1, 1, 1], normalisation, Float32Array.of(t));
  return replay;
};
const values = (frames: readonly Float32Array[]): number[] => frames.map((frame) => frame[0]!);

test('edges are periodic where opposite ones fit together', () => {
  const frames = (closes: boolean): Float32Array[] => [0, 1, 2].map((t) => wave(t, closes));
  expect(isPeriodic(frames(true), SHAPE)).toBe(true);
  expect(isPeriodic(frames(false), SHAPE)).toBe(false);
  // A crystal that has not reached the edges says nothing of them.
  const dot = Float32Array.from({ length: 16 * 24 }, (_, k) => (k === 200 ? 1 : 0));
  expect(isPeriodic([dot], SHAPE)).toBe(false);
});

test('what is neither added to nor taken from is seen', () => {
  const moving = [0, 1, 2, 3].map((t) => wave(t, true));
  expect(isConserved(moving, SHAPE)).toBe(true);
  expect(
    isConserved(
      moving.map((frame, t) => frame.map((value) => value + 0.01 * t)),
      SHAPE,
    ),
  ).toBe(false);
  expect(isConserved([moving[0]!, moving[0]!], SHAPE)).toBe(false); // nothing moves: it says nothing
  // Of two channels both have to be.
  const both = (t: number, drift: number): Float32Array =>
    Float32Array.from({ length: 2 * 384 }, (_, k) => moving[t]![k >> 1]! + (k % 2) * drift * t);
  expect(isConserved([both(0, 0), both(1, 0)], [16, 24, 2])).toBe(true);
  expect(isConserved([both(0, 0.01), both(1, 0.01)], [16, 24, 2])).toBe(false);
});

test('the slower the motion, the more it is magnified', () => {
  const at = (speed: number): number => velocityScale([0, 1, 2, 3].map((t) => wave(speed * t, true)));
  expect(at(1)).toBeGreaterThanOrEqual(4);
  expect(at(0.25)).toBe(4 * at(1));
  expect(velocityScale([wave(0, true), wave(0, true)])).toBe(1);
});

test('the newest eighth is kept apart, and what was learned from never goes back there', () => {
  const replay = filled(80);
  expect(values(replay.training()[0]!.frames)).toEqual(Array.from({ length: 70 }, (_, t) => t));
  const [part] = replay.heldOut(3);
  expect(part?.unseen).toBe(10);
  expect(values(part!.series.frames).slice(0, 4)).toEqual([67, 68, 69, 70]);
  // Of what there is to learn from, the newer half, or as much of it as a clip needs.
  expect(values(replay.training({ share: 0.5, least: 0 })[0]!.frames)).toEqual(
    Array.from({ length: 35 }, (_, t) => 35 + t),
  );
  expect(values(replay.training({ share: 0.5, least: 60 })[0]!.frames)[0]).toBe(10);
  // Of a run that is looked at with a stride, an eighth as well.
  const strided = filled(192, { stride: 4 });
  expect(strided.training().map(({ frames }) => frames.length)).toEqual(Array(4).fill(42));
  // With one frame more, what was kept apart before is so for who begins with all of them.
  for (let count = 40; count < 260; count++) {
    const firstUnseen = (n: number): number =>
      n -
      filled(n, { stride: 4 })
        .training()
        .reduce((sum, { frames }) => sum + frames.length, 0);
    expect(count + 1 - firstUnseen(count + 1)).toBeGreaterThanOrEqual(count - firstUnseen(count));
  }
  const short = filled(12);
  expect(short.training()[0]?.frames).toHaveLength(6);
});

test('a gap ends a stretch; with a stride each phase is one', () => {
  expect(
    filled(40, { skip: 20 })
      .training()
      .map(({ frames }) => frames.length),
  ).toEqual([20, 13]);
  const phases = filled(40, { stride: 2 }).training();
  expect(phases.map(({ frames }) => values(frames).slice(0, 3))).toEqual([
    [0, 2, 4],
    [1, 3, 5],
  ]);
});

test('memory is bounded: the oldest frames go', () => {
  const replay = filled(100, { bytes: 4 * 40 });
  expect(replay.frames).toBe(40);
  expect(values(replay.all()[0]!.frames)[0]).toBe(60);
  expect([replay.seen, [...replay.lengths().values()]]).toEqual([100, [100]]);
});

test('where memory is too small for all series that go on, some have enough to learn from and others nothing', () => {
  const replay = createReplay({ bytes: 4 * 100, stride: 1 });
  for (let t = 0; t < 60; t++)
    for (const name of 'abcdefghij') replay.add(name, t, [1, 1, 1], normalisation, Float32Array.of(t));
  const lengths = replay.all().map(({ frames }) => frames.length);
  expect([replay.frames, replay.isFull]).toEqual([100, true]);
  expect(lengths.filter((length) => length >= 32)).toHaveLength(3);
});

test('of several series, those that are over go first, and only those that go on are judged by', () => {
  const replay = createReplay({ bytes: 4 * 100, stride: 1 });
  const add = (series: string, from: number, to: number): void => {
    for (let t = from; t < to; t++) replay.add(series, t, [1, 1, 1], { low: 0, high: 1 }, Float32Array.of(t));
  };
  const names = (recordings: readonly { readonly name: string }[]): string[] =>
    recordings.map(({ name }) => name);
  add('first', 0, 60);
  add('second', 0, 20);
  expect(names(replay.heldOut(3).map(({ series }) => series))).toEqual(['first', 'second']);
  add('second', 20, 40);
  expect(names(replay.live())).toEqual(['second']);
  expect(names(replay.heldOut(3).map(({ series }) => series))).toEqual(['second']);
  expect(names(replay.training())).toEqual(['first', 'second']);
  expect(names(replay.training({ share: 0.5, least: 0 }))).toEqual(['second']);
  add('second', 40, 70);
  expect(replay.all().map(({ name, frames }) => [name, frames.length])).toEqual([
    ['first', 30],
    ['second', 70],
  ]);
  add('second', 70, 120);
  expect(replay.all().map(({ name, frames }) => [name, frames.length])).toEqual([['second', 100]]);
  expect([...replay.lengths()]).toEqual([
    ['first', 60],
    ['second', 120],
  ]);
});

test('frames that were there before a process began tell nothing of what goes on now, and no series loses its own to another’s', () => {
  const replay = createReplay({ bytes: 4 * 100, stride: 1 });
  const add = (series: string, t: number, isEarlier: boolean): void => {
    replay.add(series, t, [1, 1, 1], { low: 0, high: 1 }, Float32Array.of(t), undefined, isEarlier);
  };
  for (const series of ['a', 'b']) for (let t = 0; t <= 80; t++) add(series, t, t < 80);
  expect(replay.all().map(({ name, frames }) => [name, frames.length])).toEqual([
    ['a', 50],
    ['b', 50],
  ]);
  expect([replay.seen, replay.fresh, [...replay.lengths()]]).toEqual([
    162,
    2,
    [
      ['a', 1],
      ['b', 1],
    ],
  ]);
  // Forty series side by side are all going on.
  const many = createReplay({ bytes: 1e6, stride: 1 });
  for (let t = 0; t < 5; t++)
    for (let k = 0; k < 40; k++) many.add(`${k}`, t, [1, 1, 1], { low: 0, high: 1 }, Float32Array.of(t));
  expect(many.live()).toHaveLength(40);
});

const scores = (forecaster: (window: number) => number): HeldOutScore[] =>
  [1, 2, 3, 4, 5].flatMap((window) =>
    [1, 2].map((lead) => ({
      series: 'run',
      window,
      lead,
      forecasterRmse: forecaster(window),
      persistenceRmse: 0.2 * lead,
      linearRmse: lead === 1 ? 0.1 : 0.6,
      ...betweenFrom(lead, {
        persistence: 0.2 * lead,
        linear: lead === 1 ? 0.1 : 0.6,
        change: lead === 1 ? 0.25 : 0.4,
      }),
    })),
  );

test('a challenger has to beat the better trivial one, at each lead its own, by more than noise', () => {
  const good = scores(() => 0.08);
  const rival = trendRival(good);
  const [first, second] = good.slice(0, 2).map(rival);
  expect(first).toBeLessThan(0.2);
  expect(second).toBeLessThan(0.4);
  expect(isBetter(good, rival)).toBe(true);
  expect(relativeError(good)).toBeCloseTo(0.08 / 0.3);
  expect(
    isBetter(
      scores(() => 0.5),
      rival,
    ),
  ).toBe(false);
  // Better on the whole, but now so, now so.
  expect(
    isBetter(
      scores((window) => (window % 2 === 0 ? 0.02 : 0.6)),
      rival,
    ),
  ).toBe(false);
});

test('the trend that a challenger has to beat is that of these windows, however few leads they have', () => {
  const lasting = [1, 2, 3, 4].flatMap((window) =>
    [1, 2, 3].map((lead): HeldOutScore => {
      const moved = trendReach(0.97, lead);
      const [persistenceRmse, linearRmse] = [0.01 * moved, 0.01 * (lead - moved)];
      const errors = { persistence: persistenceRmse, linear: linearRmse, change: 0.01 };
      return {
        ...{ series: 'run', window, lead, forecasterRmse: 1, persistenceRmse, linearRmse },
        ...betweenFrom(lead, errors),
      };
    }),
  );
  const rival = trendRival(lasting);
  for (const [k, score] of lasting.entries()) expect(rival(score, k)).toBeLessThan(0.4 * score.linearRmse);
});

test('windows are several, and of frames that were not learned from', () => {
  const part = { series: filled(40).all()[0]!, unseen: 12 };
  expect(windowsOver([part], 3)).toMatchObject({ context: 3, leads: 6, every: 1 });
  expect(windowsOver([{ ...part, unseen: 1 }], 3)).toBeUndefined();
  expect(windowsOver([], 3)).toBeUndefined();
});

test('a few windows reach as many leads as there are frames for, others half as many over the newest ones, and so on', () => {
  const all = filled(40).all();
  const far = farWindows(all, 10, { horizon: 50, reached: 6 });
  // Where there is room, windows begin half their leads apart.
  expect(far.map(({ leads, every }) => [leads, every])).toEqual([
    [13, 6],
    [26, 2],
  ]);
  expect(values(far[1]!.series[0]!.frames)).toEqual(values(all[0]!.frames));
  expect(values(far[0]!.series[0]!.frames)).toEqual(Array.from({ length: 35 }, (_, k) => 5 + k));
  expect(far[0]!.context).toBe(10);
  expect(farWindows(all, 10, { horizon: 8, reached: 4 }).map(({ leads }) => leads)).toEqual([8]);
  expect(farWindows(all, 10, { horizon: 8, reached: 8 })).toEqual([]);
  expect(farWindows(filled(14).all(), 10, { horizon: 50, reached: 0 })).toEqual([]);
  // Of series of unequal length, those that are long enough.
  const unequal = farWindows([...filled(20).all(), ...all], 10, { horizon: 50, reached: 2 });
  expect(unequal.map(({ leads, series }) => [leads, series.length])).toEqual([
    [3, 2],
    [6, 1],
    [13, 1],
    [26, 1],
  ]);
});

test('learned frames flatter: beyond the frames kept apart, errors count as so many times larger as on these', () => {
  const at = (share: number, leads: readonly number[]): HeldOutScore[] =>
    [1, 2, 3].flatMap((window) =>
      leads.map((lead) => ({
        ...{ series: 'run', window, lead, forecasterRmse: share * 0.1 * lead },
        ...{ persistenceRmse: 0.1 * lead, linearRmse: 0.3 * lead },
        ...betweenFrom(lead, { persistence: 0.1 * lead, linear: 0.3 * lead }),
      })),
    );
  const heldOut = at(0.6, [1, 2]);
  const far = discounted([at(0.2, [1, 2, 3, 4])], heldOut);
  expect(far.map(({ lead }) => lead)).toEqual([3, 4, 3, 4, 3, 4]);
  for (const { lead, forecasterRmse, persistenceRmse } of far) {
    expect(forecasterRmse).toBeCloseTo(0.6 * 0.1 * lead);
    expect(persistenceRmse).toBeCloseTo(0.1 * lead);
  }
  // They are windows of their own.
  expect(new Set([...heldOut, ...far].map(({ window }) => window)).size).toBe(6);
  // What does better on frames kept apart is not taken to do better elsewhere.
  expect(discounted([at(0.9, [1, 2, 3])], heldOut)[0]?.forecasterRmse).toBeCloseTo(0.9 * 0.1 * 3);
  // What the trend of now would have erred where the run was otherwise does not count for a forecaster.
  const trended = (share: number, linear: number, leads: readonly number[]): HeldOutScore[] =>
    at(share, leads).map((score) => {
      const errors = { persistence: 0.5 * score.lead, linear: linear * score.lead };
      return {
        ...score,
        ...{ persistenceRmse: errors.persistence, linearRmse: errors.linear },
        ...betweenFrom(score.lead, errors),
      };
    });
  const [now, long] = [trended(0.6, 0.05, [1, 2]), trended(0.2, 0.8, [1, 2, 3, 4])];
  for (const { lead, forecasterRmse } of discounted([long], now))
    expect(forecasterRmse / (0.8 * lead)).toBeCloseTo(0.06 / 0.05);
  // A lead is that of the shortest windows that reach it; what is flattered is seen at the last leads of those before.
  const later = [...at(0.2, [1, 2]), ...at(0.4, [3, 4, 5, 6])];
  const nested = discounted([at(0.3, [1, 2, 3, 4]), later], heldOut);
  expect(nested.map(({ lead }) => lead)).toEqual([3, 4, 3, 4, 3, 4, ...[5, 6, 5, 6, 5, 6]]);
  for (const { lead, forecasterRmse } of nested) expect(forecasterRmse).toBeCloseTo(0.6 * 0.1 * lead);
  expect(new Set([...heldOut, ...nested].map(({ window }) => window)).size).toBe(9);
});
