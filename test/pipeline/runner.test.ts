import { appendFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Subject } from 'rxjs';
import { openLedger } from '../../src/pipeline/ledger/ledger.js';
import { createOutcomes } from '../../src/pipeline/outcomes.js';
import { forecastOf, frameOf } from '../support/forecasts.js';
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

test('series in nested folders share batches, and each has the forecasts that it has alone', async () => {
  const root = at('nested');
  const shape = [13, 18, 1] as const;
  const folders = {
    'nested/a': at('nested/a'),
    'nested/b/deep': at('nested/b/deep'),
    'nested/odd': at('nested/odd'),
  };
  await putFrames(folders['nested/a'], 0, 12);
  await putFrames(folders['nested/b/deep'], 7, 19, { seed: 3 });
  await putFrames(folders['nested/odd'], 0, 12, { shape });
  const values = async (name: string, more: Parameters<typeof smallRun>[0]) => {
    const { summary, notices } = await (
      await record(smallRun({ directory: root, out: at(name), forecaster, ...more }))
    ).finished;
    expect(notices).toEqual([]);
    expect(summary.frames).toMatchObject({ forecast: 27, 'warm-up': 9 });
    return forecastValues(at(name));
  };
  const together = await values('together', {});
  const apart = await values('apart', { batchSize: 1 });
  expect(difference(together, apart, FULL)).toBeLessThan(1e-5);
  expect(together.get('nested/odd 3')?.length).toBe(5 * 13 * 18);
  for (const [series, folder] of Object.entries(folders)) {
    const out = at(`alone-${series.replaceAll('/', '-')}`);
    await (
      await record(smallRun({ directory: folder, out, forecaster }))
    ).finished;
    const own = new Map(
      [...together]
        .filter(([key]) => key.startsWith(`${series} `))
        .map(([key, v]) => [key.split(' ')[1] ?? '', v]),
    );
    const alone = new Map([...(await forecastValues(out))].map(([key, v]) => [key.split(' ')[1] ?? '', v]));
    expect({ series, difference: difference(own, alone, FULL) < 1e-5, count: own.size }).toEqual({
      series,
      difference: true,
      count: 9,
    });
  }
});

test('the policies: every third frame; the newest only; so many frames and no more', async () => {
  const third = await (
    await record(smallRun({ directory: frames, out: at('third'), forecaster, forecastEvery: 3 }))
  ).finished;
  expect(third.forecasts.map(({ index }) => index)).toEqual([3, 6, 9, 12, 15, 18, 21, 24, 27]);
  expect(third.summary.frames).toMatchObject({ forecast: 9, observed: 18, 'warm-up': 3 });
  const values = await forecastValues(at('third'));
  const same = new Map([...reference].filter(([key]) => values.has(key)));
  expect(difference(values, same, FULL)).toBeLessThan(1e-5);

  // All frames are there already: those that wait behind others get no forecast of their own.
  const latest = await (
    await record(smallRun({ directory: frames, out: at('latest'), forecaster, policy: 'latest' }))
  ).finished;
  const { forecast, observed } = latest.summary.frames;
  expect(forecast + observed).toBe(FRAMES - 3);
  expect(latest.forecasts.at(-1)?.index).toBe(FRAMES - 1);
  const newest = `frames ${FRAMES - 1}`;
  expect(
    difference(
      new Map([[newest, (await forecastValues(at('latest'))).get(newest) ?? new Float32Array()]]),
      new Map([[newest, reference.get(newest) ?? new Float32Array()]]),
      FULL,
    ),
  ).toBeLessThan(1e-5);

  const some = await (
    await record(
      smallRun({ directory: frames, out: at('some'), forecaster, frames: 9, untilIdle: undefined }),
    )
  ).finished;
  expect(some.frames.map(({ index }) => index)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
  expect(some.summary.scores).toEqual({ final: 1, expired: 5 });
  const rest = await (await record(smallRun({ directory: frames, out: at('some'), forecaster }))).finished;
  expect(rest.frames.map(({ index }) => index)).toEqual(Array.from({ length: FRAMES - 9 }, (_, k) => k + 9));
  expect(difference(await forecastValues(at('some')), reference, FULL)).toBeLessThan(1e-5);
});

test('output and state inside the watched folder are not taken for frames', async () => {
  const folder = at('own', 'frames');
  await putFrames(folder, 0, 10);
  const sinks = [{ name: 'files', options: { format: 'png' } }, 'jsonl'];
  const settings = smallRun({
    directory: folder,
    out: join(folder, 'results'),
    state: join(folder, 'memory'),
    forecaster,
    sinks,
  });
  const { summary, notices } = await (await record(settings)).finished;
  expect(notices).toEqual([]);
  expect(summary).toMatchObject({ frames: { forecast: 7, 'warm-up': 3 }, forecasts: 7 });
  expect((await forecastLines(join(folder, 'results'))).every(({ series }) => series === 'frames')).toBe(
    true,
  );
});

test('what the first frames did not foresee is told: values far outside of their range', async () => {
  const { notices } = await (
    await record(smallRun({ directory: frames, out: at('narrow'), forecaster, range: [0, 100], frames: 5 }))
  ).finished;
  expect(notices).toEqual([
    expect.stringMatching(/frame 3 has values far outside of 0 \.\. 100, the range that was given/),
  ]);
  const again = await (
    await record(smallRun({ directory: frames, out: at('narrow'), forecaster, range: [0, FULL], frames: 2 }))
  ).finished;
  expect(again.notices).toEqual([expect.stringMatching(/stay normalised from 0 \.\. 100/)]);
});

test('another forecaster takes over at the next frame, and says so', async () => {
  const out = at('changed');
  const other = at('other');
  const { id } = await saveTiny(other, 7);
  await (
    await record(smallRun({ directory: frames, out, forecaster, frames: 10 }))
  ).finished;
  const { notices, forecasts } = await (
    await record(smallRun({ directory: frames, out, forecaster: other, frames: 4 }))
  ).finished;
  expect(notices).toEqual([
    expect.stringMatching(/the forecaster is not the one that this state began with/),
  ]);
  expect(forecasts.map((forecast) => [forecast.index, forecast.forecaster.hash])).toEqual(
    [10, 11, 12, 13].map((index) => [index, id.hash]),
  );
  // Its state is its own, from the frames before the restart too.
  await (
    await record(smallRun({ directory: frames, out: at('unchanged'), forecaster: other, frames: 14 }))
  ).finished;
  const [changed, own] = [await forecastValues(out), await forecastValues(at('unchanged'))];
  const later = (all: ReadonlyMap<string, Float32Array>) =>
    new Map([...all].filter(([key]) => Number(key.split(' ')[1]) >= 10));
  expect(difference(later(changed), later(own), FULL)).toBeLessThan(1e-5);
});

test('what is found while the run starts is told once it can be heard', async () => {
  const out = at('cut');
  await (
    await record(smallRun({ directory: frames, out, forecaster, frames: 5 }))
  ).finished;
  await appendFile(join(out, 'forecasts.jsonl'), '{"id":"4');
  const { notices } = await (
    await record(smallRun({ directory: frames, out, forecaster, frames: 1 }))
  ).finished;
  expect(notices).toEqual([expect.stringMatching(/removed the last 8 bytes/)]);
});

test('what a sink refuses for good is put aside and counted; nothing else stops', async () => {
  const sink = at('refusing.mjs');
  await writeFile(
    sink,
    `import { z } from '${pathToFileURL(resolve('node_modules/zod/index.js')).href}';
    export const refusing = {
      api: 1, kind: 'sink', name: 'refusing', summary: '', options: z.strictObject({}),
      create: () => ({
        open: async () => {},
        forecast: async () => { throw Object.assign(new Error('no'), { retryable: false }); },
        close: async () => {},
      }),
    };`,
  );
  const sinks = ['jsonl', { name: sink, required: false }];
  const { summary, notices } = await (
    await record(smallRun({ directory: frames, out: at('missed'), forecaster, frames: 6, sinks }))
  ).finished;
  expect(summary).toMatchObject({
    forecasts: 3,
    missed: 0,
    deliveries: { jsonl: { delivered: 6 }, refusing: { delivered: 3, refused: 3, waiting: 0 } },
  });
  expect(notices).toEqual([expect.stringMatching(/refused a forecast of frames, frame 3: no/)]);
});

test('status is told of the newest forecasts of so many series, those that had one last', async () => {
  await mkdir(at('many'));
  const ledger = openLedger(at('many'));
  const outcomes = createOutcomes(
    {
      ledger,
      sinks: { counts: () => ({}) },
      outstanding: { settle: () => Promise.resolve() },
      live: { observed: () => undefined },
    },
    { events: new Subject(), notice: () => undefined },
  );
  // 44 is the oldest of those that are kept, until it has another.
  for (const n of [...Array(300).keys(), 44]) {
    const frame = frameOf(n, (value) => value, { series: `s${n}`, shape: [1, 1, 1] });
    await outcomes.acknowledge({ frame, outcome: 'forecast', forecast: forecastOf(frame) }, []);
  }
  const series = [...outcomes.newest.keys()];
  expect([series.length, series[0], series.at(-1)]).toEqual([256, 's45', 's44']);
  await ledger.close();
});
