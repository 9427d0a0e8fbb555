import { mkdtemp, readdir, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { concatMap, from, lastValueFrom, toArray } from 'rxjs';
import { createJudge, type Judge } from '../../src/learning/judging/judge.js';
import type { Score } from '../../src/pipeline/forecast.js';
import type { ForecastStore, Outstanding } from '../../src/pipeline/state/outstanding.js';
import { openOutstanding, scoreOf } from '../../src/pipeline/state/outstanding.js';
import type { Observation } from '../../src/pipeline/run.js';
import { verify } from '../../src/stages/verify.js';
import { forecastOf, frameOf, memoryStore, memoryVerified } from '../support/forecasts.js';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'mesocast-verify-'));
});
afterEach(() => rm(directory, { recursive: true }));

const HORIZON = 3;
/** A pattern that grows by 10 a frame; normalised (low 0, high 200) that is 0.05. */
const truth = (position: number) => (at: number) => at + 10 * position;
const observation = (position: number, options: { stride?: number; series?: string } = {}): Observation => {
  const { stride = 1, series = 'run1' } = options;
  const frame = frameOf(position, truth(position), { series });
  return {
    frame,
    outcome: 'forecast',
    previous: frameOf(position - stride, truth(position - stride)).data,
    // Off by 4 a lead.
    forecast: forecastOf(frame, (lead, at) => truth(position + lead * stride)(at) + 4 * lead, {
      horizon: HORIZON,
      stride,
    }),
  };
};
const open = (store: ForecastStore, quotaBytes = 1e9): Promise<Outstanding> =>
  openOutstanding({ directory, quotaBytes, store });
const none = (): void => undefined;
const judge = (store = memoryVerified()): Judge =>
  createJudge({ store, horizon: HORIZON, stride: 1, forecastEvery: 1, madeBy: 'best' });

/** One array per observation; `ack` says after which ones the run got to settle what was delivered. */
const run = (
  outstanding: Outstanding,
  items: readonly Observation[],
  ack = true,
  verified = memoryVerified(),
): Promise<(readonly Score[])[]> =>
  lastValueFrom(
    from(items).pipe(
      verify({ outstanding, judge: judge(verified), notice: none }),
      concatMap(async (scores) => {
        if (ack) await outstanding.settle(scores.map(({ id }) => id));
        return scores;
      }),
      toArray(),
    ),
  );

test.each([1, 2])('each forecast is scored at all its leads, with stride %i', async (stride) => {
  const store = memoryStore();
  const items = Array.from({ length: 9 }, (_, position) => observation(position, { stride }));
  const arrays = await run(await open(store), items);
  expect(arrays.map((scores) => scores.length)).toEqual(
    items.map((_, position) => (position >= HORIZON * stride ? 1 : 0)),
  );
  const [score] = arrays[HORIZON * stride] ?? [];
  expect(score).toMatchObject({ series: 'run1', index: 0, status: 'final', horizon: HORIZON, stride });
  expect(score?.leads.map(({ lead }) => lead)).toEqual([1, 2, 3]);
  for (const { lead, rmse, persistenceRmse, linearRmse, skill, ssim } of score?.leads ?? []) {
    expect(rmse).toBeCloseTo(0.02 * lead, 6);
    expect(persistenceRmse).toBeCloseTo(0.05 * lead * stride, 6);
    expect(linearRmse).toBeCloseTo(0, 6);
    expect(skill).toBeCloseTo(1 - 0.02 / (0.05 * stride), 5);
    expect(ssim).toBeGreaterThan(0);
    expect(ssim).toBeLessThan(1);
  }
  // Files of forecasts that ended are gone, the others wait.
  expect(await readdir(directory)).toHaveLength(HORIZON * stride);
});

test('a forecast whose frames did not all come expires and says which leads are missing', async () => {
  const items = [0, 1, 4].map((position) => observation(position));
  const arrays = await run(await open(memoryStore()), items);
  expect(
    arrays.flat().map(({ index, status, reason, leads }) => [index, status, reason, leads.length]),
  ).toEqual([
    [0, 'expired', expect.stringMatching(/^nothing is known of the truth at leads 2-3: no frame came/), 1],
    [10, 'expired', expect.stringMatching(/^nothing is known of the truth at leads 1-2: /), 1],
  ]);
});

test('series do not see each other', async () => {
  const items = [0, 1, 2].flatMap((position) => [
    observation(position, { series: 'a' }),
    observation(position + 50, { series: 'b' }),
  ]);
  expect((await run(await open(memoryStore()), items)).flat()).toEqual([]);
});

/** A store whose `count`th write is the last thing that happens: before it reaches the disk, or just after. */
const crashing = (store: ForecastStore, count: number, reaches: boolean): ForecastStore => {
  let left = count;
  const write = async (work: () => Promise<void>): Promise<void> => {
    const isLast = --left === 0;
    if (left >= 0 && (!isLast || reaches)) await work();
    if (left <= 0) throw new Error('crash');
  };
  return {
    ...store,
    put: (records) => write(() => store.put(records)),
    finish: (ids) => write(() => store.finish(ids)),
  };
};

test.each([false, true])(
  'a crash at any write, which reaches the disk: %j, changes no score and loses none',
  async (reaches) => {
    const items = Array.from({ length: 8 }, (_, position) => observation(position));
    const expected = (await run(await open(memoryStore()), items)).flat();
    let crashes = 0;
    for (let write = 1, isOver = false; !isOver; write++) {
      await rm(directory, { recursive: true });
      const [store, verified, delivered] = [memoryStore(), memoryVerified(), [] as Score[]];
      const outstanding = await open(crashing(store, write, reaches));
      let acknowledged = 0;
      isOver = await lastValueFrom(
        from(items).pipe(
          verify({ outstanding, judge: judge(verified), notice: none }),
          concatMap(async (scores) => {
            delivered.push(...scores);
            await outstanding.settle(scores.map(({ id }) => id));
            acknowledged++;
          }),
        ),
      ).then(
        () => true,
        () => false,
      );
      if (isOver) break;
      crashes++;
      // The frame that was being worked on comes again, and those after it.
      const after = (await run(await open(store), items.slice(acknowledged), true, verified)).flat();
      const all = [...delivered, ...after];
      // What was delivered and not known to be comes twice, and says the same.
      expect([...new Map(all.map((score) => [score.id, score])).values()]).toEqual(expected);
      for (const score of all) expect(score).toEqual(expected.find(({ id }) => id === score.id));
      expect(all.length - expected.length).toBeLessThanOrEqual(1);
      // The judge learns each lead once.
      expect([...verified.rows('run1')].map(({ scores }) => scores.length)).toEqual([1, 2, 3, 3, 3, 3, 3]);
    }
    // Each frame's forecast and what it scored, and each score's end.
    expect(crashes).toBe(8 + 7 + 5);
  },
);

test('over the quota the oldest expire', async () => {
  const bytes = 4 * 8 * 9 * (HORIZON + 2);
  const outstanding = await open(memoryStore(), 2 * bytes);
  const arrays = await run(
    outstanding,
    [0, 1, 2].map((position) => observation(position)),
  );
  expect(arrays.map((scores) => scores.map(({ index, status }) => `${index} ${status}`))).toEqual([
    [],
    [],
    ['0 expired'],
  ]);
  expect(arrays[2]?.[0]?.reason).toMatch(/^quota/);
  expect(arrays[2]?.[0]?.leads).toHaveLength(2);
  expect(await readdir(directory)).toHaveLength(2);
});

test('a damaged file ends its forecast, not the run', async () => {
  const store = memoryStore();
  await run(await open(store), [observation(0)]);
  for (const name of await readdir(directory)) await truncate(join(directory, name), 100);
  const [scores] = await run(await open(store), [observation(1)]);
  expect(scores).toMatchObject([{ index: 0, status: 'expired' }]);
  expect(scores?.[0]?.reason).toContain('has 100 bytes');
});

test('at the orderly end of a run everything that waits expires, once', async () => {
  const store = memoryStore();
  const outstanding = await open(store);
  await run(outstanding, [observation(0), observation(1)]);
  const scores = (await outstanding.expireAll('series ended')).map(scoreOf);
  expect(scores.map(({ index, reason, leads }) => [index, reason, leads.length])).toEqual([
    [0, 'series ended', 1],
    [10, 'series ended', 0],
  ]);
  // Not settled: a crash here would bring them again; after settling they are known as done.
  expect((await open(store)).unsettled()).toHaveLength(2);
  await outstanding.settle(scores.map(({ id }) => id));
  const again = await open(store);
  expect(again.unsettled()).toEqual([]);
  expect(await run(again, [observation(0)])).toEqual([[]]);
  expect(await readdir(directory)).toEqual([]);
});

test('a lead is scored as whoever made it, and the forecaster by its own frame', async () => {
  const [first, ...rest] = Array.from({ length: 4 }, (_, position) => observation(position));
  const outlook = [
    { madeBy: 'trend', rmseExpected: 0.4, rmseBound: 0.5 },
    { madeBy: 'trend' },
    { madeBy: 'forecaster' },
  ] as const;
  const judged = {
    ...first!,
    forecast: { ...first!.forecast!, frames: new Float32Array(3 * 72), outlook, damping: 1 },
    ownFrames: first!.forecast!.frames,
  };
  const [score] = (await run(await open(memoryStore()), [judged, ...rest])).flat();
  expect(score?.leads.map(({ madeBy }) => madeBy)).toEqual(['trend', 'trend', 'forecaster']);
  const [linear, , own] = score?.leads ?? [];
  expect(linear?.rmse).toBeCloseTo(0, 6);
  // It moves on by .05 a frame: a quarter of that leaves three quarters.
  expect(linear?.betweenRmse.map((error) => Math.round(1e4 * error))).toEqual([469, 375, 219]);
  expect(linear).toMatchObject({ rmseExpected: 0.4, rmseBound: 0.5 });
  expect(linear?.forecasterRmse).toBeCloseTo(0.02, 6);
  expect(own?.rmse).toBeCloseTo(0.06, 6);
});
