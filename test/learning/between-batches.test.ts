import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { createBetweenBatches } from '../../src/learning/champion/between-batches.js';

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

/** Batches that begin every `apart` milliseconds and take `ms`; the last is under way. */
const steady = (apart: number, ms: number) => {
  const between = createBetweenBatches();
  for (let k = 0; k < 3; k++) {
    between.working(true);
    jest.advanceTimersByTime(ms);
    between.working(false);
    jest.advanceTimersByTime(apart - ms);
  }
  between.working(true);
  return between;
};
/** Whether it has resolved, some time later. */
const asked = (between: ReturnType<typeof createBetweenBatches>) => {
  let isThere = false;
  void between.time().then(() => (isThere = true));
  return async (ms = 0): Promise<boolean> => {
    await jest.advanceTimersByTimeAsync(ms);
    return isThere;
  };
};

test('nobody waits before there are batches', async () => {
  expect(await asked(createBetweenBatches())()).toBe(true);
});

test('there is time when a batch is done, and while most of that to the next one is left', async () => {
  const between = steady(500, 160);
  const during = asked(between);
  expect(await during(160)).toBe(false);
  between.working(false);
  expect(await during()).toBe(true);
  expect(await asked(between)(0)).toBe(true);
  jest.advanceTimersByTime(60);
  expect(await asked(between)(0)).toBe(true); // 280 of 500 are left
  jest.advanceTimersByTime(60);
  const late = asked(between);
  expect(await late(160)).toBe(false);
  between.working(true);
  expect(await late(160)).toBe(false);
  between.working(false);
  expect(await late()).toBe(true);
});

test('of a slow run a second that is left is enough', async () => {
  const between = steady(60_000, 200);
  between.working(false);
  jest.advanceTimersByTime(58_500);
  expect(await asked(between)()).toBe(true);
  jest.advanceTimersByTime(1_000);
  expect(await asked(between)()).toBe(false);
});

test('a batch that does not come is not waited for', async () => {
  const between = steady(500, 160);
  jest.advanceTimersByTime(160);
  between.working(false);
  jest.advanceTimersByTime(200);
  const waiting = asked(between); // 140 are left
  expect(await waiting(600)).toBe(false);
  expect(await waiting(50)).toBe(true);
  jest.advanceTimersByTime(10_000);
  expect(await asked(between)()).toBe(true);
});
