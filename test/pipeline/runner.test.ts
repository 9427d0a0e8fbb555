import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import {
  difference,
  forecastLines,
  forecastValues,
  record,
  scoreLines,
  smallRun,
  until,
} from '../support/runs.js';
import { putFrames, saveTiny } from '../support/tiny.js';

/** 16-bit frames; context 4 and segments of 20 steps: the state is taken over at frame 23. */
const FRAMES = 30;
const FULL = 65535;
let home: string;
let forecaster: string;
let frames: string;
let reference: Map<string, Float32Array>;
const at = (...path: string[]): string => join(home, ...path);

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'mesocast-runner-'));
  forecaster = at('tiny');
  await saveTiny(forecaster);
  frames = at('all', 'frames');
  await putFrames(frames, 0, FRAMES);
});
afterAll(() => rm(home, { recursive: true }));

test('each frame has one outcome, each from the context on one forecast, each forecast one score', async () => {
  const out = at('reference');
  const run = await record(smallRun({ directory: frames, out, forecaster }));
  const { summary, frames: events, notices, scores } = await run.finished;
  expect(notices).toEqual([]);
  expect(events.map(({ index, outcome }) => `${index} ${outcome}`)).toEqual(
    Array.from({ length: FRAMES }, (_, k) => `${k} ${k < 3 ? 'warm-up' : 'forecast'}`),
  );
  expect(summary).toMatchObject({
    frames: { forecast: FRAMES - 3, observed: 0, 'warm-up': 3, rejected: 0, lost: 0 },
    forecasts: FRAMES - 3,
    scores: { final: FRAMES - 8, expired: 5 },
  });
  const lines = await forecastLines(out);
  expect(lines.map(({ index }) => index)).toEqual(Array.from({ length: FRAMES - 3 }, (_, k) => k + 3));
  expect(new Set(lines.map(({ id }) => id)).size).toBe(FRAMES - 3);
  expect((await scoreLines(out)).map(({ id }) => id).sort()).toEqual(lines.map(({ id }) => id).sort());
  expect(scores.filter(({ status }) => status === 'final').every(({ leads }) => leads.length === 5)).toBe(
    true,
  );
  reference = await forecastValues(out);
  // The network says something of its own: it is not persistence.
  expect(
    scores.every(({ leads }) => leads.every(({ rmse, persistenceRmse }) => rmse !== persistenceRmse)),
  ).toBe(true);
});

test('frames that come one by one while it runs have the same forecasts', async () => {
  const folder = at('live', 'frames');
  await mkdir(folder, { recursive: true });
  const out = at('live-out');
  const run = await record(
    smallRun({ directory: folder, out, forecaster, untilIdle: undefined, batchSize: 1 }),
  );
  for (let k = 0; k < FRAMES; k++) {
    await putFrames(folder, k, k + 1);
    if (k > 3 && k % 4 === 0) await until(`frame ${k}`, () => run.frames.length > k);
  }
  await until('all frames', () => run.frames.length === FRAMES);
  run.stop();
  const { summary } = await run.finished;
  expect(difference(await forecastValues(out), reference, FULL)).toBeLessThan(1e-5);
  expect(summary.scores).toEqual({ final: FRAMES - 8, expired: 0 });
  // What waited at the stop gets its scores in the next run, which ends them.
  await putFrames(folder, FRAMES, FRAMES + 2);
  const next = await (await record(smallRun({ directory: folder, out, forecaster, frames: 2 }))).finished;
  expect(next.frames.map(({ index }) => index)).toEqual([FRAMES, FRAMES + 1]);
  expect(next.summary.scores).toEqual({ final: 2, expired: 5 });
});
