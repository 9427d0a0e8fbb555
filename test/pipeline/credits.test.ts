import { expect, test } from '@jest/globals';
import { createCredits } from '../../src/pipeline/intake/credits.js';

const never = new AbortController().signal;
/** Which of some promises are settled by now. */
const settled = async (promises: readonly Promise<unknown>[]): Promise<boolean[]> => {
  const states = promises.map(() => false);
  promises.forEach((promise, i) => {
    promise.then(
      () => (states[i] = true),
      () => (states[i] = true),
    );
  });
  await new Promise((resolve) => setImmediate(resolve));
  return states;
};

test('items and bytes are bounded, and granted in the order of asking', async () => {
  const credits = createCredits({ items: 3, bytes: 100 });
  const first = await credits.take(60, never);
  const asked = [credits.take(50, never), credits.take(10, never), credits.take(10, never)];
  expect(await settled(asked)).toEqual([false, false, false]); // a small one does not overtake
  first.release();
  first.release();
  expect(await settled(asked)).toEqual([true, true, true]);
  expect([credits.items, credits.bytes]).toEqual([3, 70]);
  const fourth = credits.take(1, never);
  expect(await settled([fourth])).toEqual([false]);
  (await asked[1])?.release();
  expect(await settled([fourth])).toEqual([true]);
});

test('what is larger than the pool goes through alone', async () => {
  const credits = createCredits({ items: 9, bytes: 100 });
  const small = await credits.take(1, never);
  const large = credits.take(1000, never);
  expect(await settled([large])).toEqual([false]);
  small.release();
  const next = credits.take(1, never);
  expect(await settled([large, next])).toEqual([true, false]);
  (await large).resize(20);
  expect(await settled([next])).toEqual([true]);
  expect(credits.bytes).toBe(21);
});

test('who stops waiting is out of the queue', async () => {
  const credits = createCredits({ items: 1, bytes: 100 });
  const held = await credits.take(1, never);
  const stop = new AbortController();
  const given = [credits.take(1, stop.signal), credits.take(1, never)];
  stop.abort(new Error('stopped'));
  await expect(given[0]).rejects.toThrow('stopped');
  await expect(credits.take(1, stop.signal)).rejects.toThrow('stopped');
  held.release();
  expect(await settled(given.slice(1))).toEqual([true]);
  expect(credits.items).toBe(1);
});
