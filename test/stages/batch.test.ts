import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { concatMap, from, map, mergeMap, Subject, toArray, lastValueFrom } from 'rxjs';
import type { OperatorFunction } from 'rxjs';
import type { Batched } from '../../src/pipeline/in-flight.js';
import type { BatchOptions } from '../../src/stages/batch.js';
import { batch } from '../../src/stages/batch.js';

/** "a1": the first item of series a; "A1": one of another shape. */
const settings: BatchOptions<string> = {
  size: 3,
  delay: 10,
  seriesOf: ([name = '']) => name.toLowerCase(),
  shapeOf: ([name = '']) => (name === name.toLowerCase() ? 'small' : 'large'),
};
beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  jest.useRealTimers();
});

/** Work that the test ends batch by batch. */
const begin = (options: Partial<BatchOptions<string>> = {}) => {
  const source = new Subject<string>();
  const batches: string[] = [];
  const results: string[] = [];
  const ends: Subject<void>[] = [];
  let subscribed = 0;
  let [completed, failure] = [false, ''];
  const work: OperatorFunction<readonly Batched<string>[], string> = (batches$) => {
    subscribed++;
    return batches$.pipe(
      concatMap((items) => {
        batches.push(items.map(({ item, newest }) => (newest ? item : `(${item})`)).join(' '));
        const end = new Subject<void>();
        ends.push(end);
        return end.pipe(mergeMap(() => items.map(({ item }) => item)));
      }),
    );
  };
  const subscription = source.pipe(batch({ ...settings, ...options }, work)).subscribe({
    next: (result) => results.push(result),
    complete: () => (completed = true),
    error: (error: unknown) => (failure = String(error)),
  });
  const finish = (): void => {
    const end = ends.shift();
    end?.next();
    end?.complete();
  };
  return {
    source,
    batches,
    results,
    subscription,
    give: (...items: string[]) => items.forEach((item) => source.next(item)),
    finish,
    state: () => ({ subscribed, completed, failure }),
  };
};
const pass = (ms: number): unknown => jest.advanceTimersByTime(ms);

test('a full batch goes at once, a smaller one when its first item has waited', () => {
  const { give, batches, finish, results } = begin();
  give('a1', 'b1', 'c1');
  expect(batches).toEqual(['a1 b1 c1']);
  finish();
  give('a2');
  pass(6);
  give('b2');
  pass(3);
  expect(batches).toHaveLength(1);
  pass(1);
  expect(batches).toEqual(['a1 b1 c1', 'a2 b2']);
  finish();
  expect(results).toEqual(['a1', 'b1', 'c1', 'a2', 'b2']);
});

test('one of a series in a batch, in order; those behind are said to be waiting', () => {
  const { give, batches, finish } = begin();
  give('a1', 'a2', 'a3', 'b1');
  pass(10);
  expect(batches).toEqual(['(a1) b1']);
  finish();
  pass(10);
  finish();
  pass(10);
  expect(batches).toEqual(['(a1) b1', '(a2)', 'a3']);
});

test('a batch has one shape; nothing of a series overtakes what came before it', () => {
  const { give, batches, finish } = begin({ delay: 0 });
  give('x1', 'a1', 'B1', 'b2', 'C1', 'c2', 'd1');
  expect(batches).toEqual(['x1']);
  finish();
  expect(batches).toEqual(['x1', 'a1 d1']);
  finish();
  finish();
  finish();
  expect(batches).toEqual(['x1', 'a1 d1', '(B1) (C1)', 'b2 c2']);
});

test('while the network is busy items gather; what has waited already waits no more', () => {
  const { give, batches, finish } = begin();
  give('a1');
  pass(10);
  give('a2', 'b1', 'c1', 'd1');
  pass(50);
  expect(batches).toEqual(['a1']);
  finish();
  expect(batches).toEqual(['a1', 'a2 b1 c1']);
  finish();
  expect(batches).toEqual(['a1', 'a2 b1 c1', 'd1']);
});

test('at the end everything goes without delay, and then it completes', () => {
  const { source, give, batches, finish, state } = begin();
  give('a1', 'a2');
  source.complete();
  expect(batches).toEqual(['(a1)']);
  finish();
  expect(state().completed).toBe(false);
  finish();
  expect(batches).toEqual(['(a1)', 'a2']);
  expect(state()).toEqual({ subscribed: 1, completed: true, failure: '' });
});

test('when told to stop it drops what waits and completes with what is being worked on', () => {
  const stop = new AbortController();
  const { source, give, batches, finish, results, state } = begin({ signal: stop.signal });
  give('a1', 'b1', 'c1', 'a2');
  stop.abort();
  give('b2');
  source.complete();
  pass(100);
  expect(state().completed).toBe(false);
  finish();
  expect(batches).toEqual(['a1 b1 c1']);
  expect(results).toEqual(['a1', 'b1', 'c1']);
  expect(state().completed).toBe(true);

  const early = begin({ signal: AbortSignal.abort() });
  early.give('a1');
  pass(100);
  expect(early.batches).toEqual([]);
});

test('an empty source completes, an error on either side ends it, an end drops what waits', () => {
  const empty = begin();
  empty.source.complete();
  expect(empty.state().completed).toBe(true);
  const broken = begin();
  broken.source.error('the source broke');
  expect(broken.state().failure).toBe('the source broke');
  const stopped = begin();
  stopped.give('a1');
  stopped.subscription.unsubscribe();
  pass(100);
  expect(stopped.batches).toEqual([]);

  let failure = '';
  const source = new Subject<string>();
  const work = map((): string => {
    throw new Error('the network broke');
  });
  source
    .pipe(batch({ ...settings, delay: 0 }, work))
    .subscribe({ error: (error: unknown) => (failure = String(error)) });
  source.next('a1');
  expect(failure).toBe('Error: the network broke');
});

test('state in the work lasts from batch to batch, and a thousand items come through in order', async () => {
  const items = Array.from({ length: 1000 }, (_, k) => `${'abcde'[k % 5] ?? ''}${k}`);
  const counted: OperatorFunction<readonly Batched<string>[], string> = (batches$) => {
    let seen = 0;
    return batches$.pipe(concatMap((items) => items.map(({ item }) => `${item}:${seen++}`)));
  };
  const results = await lastValueFrom(from(items).pipe(batch({ ...settings, delay: 0 }, counted), toArray()));
  expect(results.map((result) => Number(result.split(':')[1]))).toEqual(items.map((_, k) => k));
  for (const series of 'abcde') {
    const own = (list: readonly string[]): string[] =>
      list.filter(([name]) => name === series).map((text) => text.split(':')[0] ?? '');
    expect(own(results)).toEqual(own(items));
  }
});
