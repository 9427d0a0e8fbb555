import { expect, test } from '@jest/globals';
import type { Forecaster } from '../../src/forecaster/forecaster.js';
import type { Windows } from '../../src/learning/learner/compare.js';
import type { HeldOutScore } from '../../src/learning/learner/messages.js';
import { createTrial } from '../../src/learning/learner/trial.js';

const APART = 6;
/** Errors of four windows that do not differ much. */
const scoresOf = (error: number): HeldOutScore[] =>
  [1, 2, 3, 4].map((window) => ({
    ...{ series: 'a', window, lead: 1, forecasterRmse: error + 1e-3 * window },
    ...{ persistenceRmse: 1, linearRmse: 1, betweenRmse: [1, 1, 1] as const },
  }));
/** What is learned, named after the error that it has on the windows of now. */
const learned = (error: number, frames: number, more: Readonly<Record<string, number>> = {}) => ({
  forecaster: { id: { name: String(error) } } as Forecaster,
  lengths: new Map(Object.entries({ a: frames, ...more })),
});

const open = (names = ['a']) => {
  const tried: number[] = [];
  const trial = createTrial(({ id }) => {
    tried.push(Number(id.name));
    return Promise.resolve(scoresOf(Number(id.name)));
  });
  const windows: Windows = {
    series: names.map((name) => ({
      ...{ name, shape: [1, 1, 1], normalisation: { low: 0, high: 1 }, frames: [] },
    })),
    ...{ context: 10, leads: 1, every: 1 },
  };
  return {
    tried,
    verdict: (now: ReturnType<typeof learned>, champion: number) =>
      trial.verdict(now, scoresOf(Number(now.forecaster.id.name)), APART, windows, () => champion),
  };
};

test('what learns is tried as it was when as many frames fewer had come as are kept apart', async () => {
  const { tried, verdict } = open();
  // However much better it is now: there is no saying yet.
  await verdict(learned(0.5, 20), 1);
  for (const frames of [20, 22, 25])
    expect(await verdict(learned(0.01 * frames, frames), 1)).toEqual({ isPassed: false, isLearning: true });
  expect(tried).toEqual([]);
  // It was worse than the champion with 20 frames, and is better than it was.
  expect(await verdict(learned(0.05, 26), 0.1)).toEqual({ isPassed: false, isLearning: true });
  // With 22, too, and is no better than it was.
  expect(await verdict(learned(0.22, 28), 0.1)).toEqual({ isPassed: false, isLearning: false });
  expect(await verdict(learned(0.05, 31), 0.3)).toEqual({ isPassed: true, isLearning: true });
  expect(tried).toEqual([0.2, 0.22, 0.25]);
});

test('of several series that are judged by, each has to have gone on for as long', async () => {
  const { tried, verdict } = open(['a', 'b']);
  await verdict(learned(0.1, 20, { b: 3 }), 1);
  expect(await verdict(learned(0.1, 40, { b: 8 }), 1)).toMatchObject({ isPassed: false });
  expect(await verdict(learned(0.1, 40, { b: 9 }), 1)).toMatchObject({ isPassed: true });
  expect(tried).toEqual([0.1]);
});
