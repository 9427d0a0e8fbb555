import { spawnSync } from 'node:child_process';
import {
  appendFile,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import sharp from 'sharp';
import { FileSystemStore } from '@zarrita/storage';
import * as zarr from 'zarrita';
import type { Forecast, Score } from '../../src/pipeline/forecast.js';
import type { FrameShape, SampleType } from '../../src/pipeline/frame.js';
import { createPlugin } from '../../src/pipeline/plugins/registry.js';
import { forecastOf, frameOf } from '../support/forecasts.js';
import { sinkAt, sinkContext } from '../support/sinks.js';

let out: string;
beforeEach(async () => {
  out = await mkdtemp(join(tmpdir(), 'mesocast-out-'));
});
afterEach(() => rm(out, { recursive: true }));

const never = new AbortController().signal;
const shape: FrameShape = [8, 9, 1];
const forecastAt = (position: number, options: Partial<Forecast> = {}): Forecast =>
  forecastOf(
    frameOf(position, (at) => at, options),
    (lead, at) => 1000 * lead + at / 2,
    options,
  );
const layer = (value: (lead: number) => number): Float32Array =>
  Float32Array.from({ length: 3 * 72 }, (_, at) => value(1 + Math.floor(at / 72)));
const uncertainty = {
  members: 4,
  spread: layer((lead) => 2 * lead),
  interval: { level: 0.9, lower: layer((lead) => 1000 * lead), upper: layer((lead) => 1000 * lead + 10) },
};
const time = { value: 12, unit: 's', perLead: 0.5 };
const scoreFor = ({ id, series, index, horizon, stride, time, forecaster }: Forecast): Score => ({
  id,
  series,
  index,
  status: 'expired',
  reason: 'series ended',
  horizon,
  stride,
  ...(time && { time }),
  leads: [
    {
      lead: 1,
      rmse: 0.1,
      madeBy: 'forecaster',
      forecasterRmse: 0.1,
      persistenceRmse: 0.2,
      linearRmse: 0.3,
      betweenRmse: [0.18, 0.2, 0.24],
      rmseExpected: 0.08,
      rmseBound: 0.15,
      skill: 0.5,
      ssim: 0.9,
    },
  ],
  forecaster,
});

/** Writes forecasts with one sink, from open to close. */
const write = async (name: string, options: Readonly<Record<string, unknown>>, ...forecasts: Forecast[]) => {
  const sink = await sinkAt(out, name, options);
  await sink.open(never);
  for (const forecast of forecasts) {
    await sink.forecast(forecast, never);
    await sink.score?.(scoreFor(forecast), never);
  }
  await sink.close();
};
const names = async (path: string): Promise<string[]> => (await readdir(join(out, path))).sort();

/** First column of the nth table below a heading. */
const documented = (page: string, heading: string, nth = 0): string[] => {
  const section = page.split(/^## /m).find((part) => part.startsWith(heading)) ?? '';
  const table = section.split(/^\| field .*\n/m)[nth + 1]?.split('\n\n')[0] ?? '';
  return [...table.matchAll(/^\| `(\w+)`/gm)].map((match) => match[1] ?? '');
};

test('docs/output.md lists exactly the fields that are written', async () => {
  await write('jsonl', {}, forecastAt(1, { uncertainty, time, view: { downsample: 2 }, damping: 0.9 }));
  const page = await readFile('docs/output.md', 'utf8');
  const line = async (name: string) =>
    JSON.parse(await readFile(join(out, name), 'utf8')) as { leads: Record<string, unknown>[] };
  const forecast = await line('forecasts.jsonl');
  const score = await line('scores.jsonl');
  expect(Object.keys(forecast)).toEqual(documented(page, 'forecasts.jsonl'));
  expect(Object.keys(score)).toEqual(documented(page, 'scores.jsonl'));
  expect(Object.keys(score.leads[0] ?? {})).toEqual(documented(page, 'scores.jsonl', 1));
  expect(forecast).toMatchObject({ path: 'forecasts/run1/00000010', shape: [8, 9, 1] });
  const lead = { lead: 3, time: 13.5, min: 3000, max: 3035.5, mean: 3017.75 };
  expect(forecast.leads[2]).toEqual({ ...lead, spread: 6, lower: 3000, upper: 3010 });
  expect(forecast).toMatchObject({ uncertainty: { members: 4, level: 0.9 } });
  for (const option of ['files', 'jsonl']) {
    const { options } = await import('../../src/pipeline/plugins/registry.js').then(({ loadPlugin }) =>
      loadPlugin('sink', option),
    );
    for (const key of Object.keys(options.shape)) expect(page).toContain(`\`${key}\``);
  }
});

const python = spawnSync('python3', ['-c', 'import numpy']).status === 0 ? test : test.skip;
python('the Python examples of docs/output.md run (skipped where python3 has no numpy)', async () => {
  await write('jsonl', {}, forecastAt(1), forecastAt(2));
  await write('files', { format: 'npy' }, forecastAt(1), forecastAt(2));
  const page = await readFile('docs/output.md', 'utf8');
  const blocks = [...page.matchAll(/```python\n(.*?)```/gs)].map((match) => match[1] ?? '');
  expect(blocks.length).toBeGreaterThan(2);
  const { status, stdout, stderr } = spawnSync(
    'python3',
    ['-c', [`OUT = ${JSON.stringify(out)}`, ...blocks].join('\n')],
    {
      encoding: 'utf8',
    },
  );
  expect(stderr).toBe('');
  expect(status).toBe(0);
  expect(stdout).toContain('run1 10 expired [0.5]');
  expect(stdout).toMatch(/mean over time: \[1017\.75 +2017\.75 +3017\.75\]/);
  expect(stdout).toMatch(/^1 0\.5$/m);
});

test.each<[SampleType, FrameShape]>([
  ['uint8', shape],
  ['uint16', shape],
  ['uint8', [8, 9, 3]],
])('images hold %s samples %j, clamped and rounded', async (sampleType, frameShape) => {
  const series = 'run1/a';
  const frame = frameOf(4, () => 0, { series, shape: frameShape });
  const forecast = forecastOf(
    frame,
    (lead, at) => (at === 0 ? 1e6 : at === 1 ? -5 : 20 * lead + (at % 7) + 0.4),
    {
      sampleType,
    },
  );
  await write('files', { format: 'png' }, forecast);
  expect(await names('forecasts/run1/a/00000040')).toEqual([
    'lead_0001.png',
    'lead_0002.png',
    'lead_0003.png',
  ]);
  const codec = await createPlugin('codec', 'png', {}, undefined);
  const back = await codec.decode(await readFile(join(out, 'forecasts/run1/a/00000040/lead_0002.png')));
  expect([back.shape, back.sampleType]).toEqual([frameShape, sampleType]);
  expect([...back.data.subarray(0, 4)]).toEqual([sampleType === 'uint8' ? 255 : 65535, 0, 42, 43]);
});

test('float frames become one exact array, or 8-bit images of the normalised range', async () => {
  const forecast = forecastAt(1, { sampleType: 'float32' });
  await write('files', {}, forecast);
  const array = await readFile(join(out, 'forecasts/run1/00000010.npy'));
  expect(array.toString('latin1', 10, 100)).toContain(
    "'descr': '<f4', 'fortran_order': False, 'shape': (3, 8, 9, 1)",
  );
  expect(array.subarray(-4).readFloatLE()).toBe(3035.5);
  await write(
    'files',
    { format: 'png' },
    forecastOf(
      frameOf(2, () => 0),
      (_, at) => at,
      { sampleType: 'float32' },
    ),
  );
  const codec = await createPlugin('codec', 'png', {}, undefined);
  const image = await codec.decode(await readFile(join(out, 'forecasts/run1/00000020/lead_0001.png')));
  expect([...image.data.subarray(0, 3)]).toEqual([0, 1, 3]); // 0, 1 and 2 of 0..200
});

test('integer frames that no image holds become an array, and an animation that no WebP holds is refused', async () => {
  const two = forecastOf(
    frameOf(1, () => 0, { shape: [8, 9, 2] }),
    (lead) => lead,
  );
  await write('files', {}, two);
  expect(await names('forecasts/run1')).toEqual(['00000010.npy']);
  const wide = forecastOf(
    frameOf(2, () => 0, { shape: [1, 16384, 1] }),
    (lead) => lead,
  );
  await expect(write('files', { animation: true }, wide)).rejects.toMatchObject({
    tag: 'sink',
    retryable: false,
    message: expect.stringContaining('16383'),
  });
});

test('chosen leads only, and an animation of them', async () => {
  const options = { leads: [3, 1, 50], animation: true };
  const forecast = forecastAt(1, { normalisation: { low: 0, high: 4000 } });
  await write('files', { ...options, format: 'png' }, forecast);
  await write('files', { ...options, format: 'npy' }, forecast);
  expect(await names('forecasts/run1/00000010')).toEqual(['lead_0001.png', 'lead_0003.png']);
  expect((await readFile(join(out, 'forecasts/run1/00000010.npy'))).toString('latin1')).toContain(
    '(2, 8, 9, 1)',
  );
  const animation = await readFile(join(out, 'forecasts/run1/00000010.webp'));
  expect(await sharp(animation, { pages: -1 }).metadata()).toMatchObject({
    pages: 2,
    width: 9,
    pageHeight: 8,
  });
});

test('what a forecast knows of its errors is beside it, and goes with it', async () => {
  const at = (position: number) => forecastAt(position, { uncertainty, sampleType: 'float32' });
  await write('files', { keep: 1, leads: [1, 3] }, at(1), at(2));
  expect(await names('forecasts/run1')).toEqual([
    '00000020.lower.npy',
    '00000020.npy',
    '00000020.spread.npy',
    '00000020.upper.npy',
  ]);
  const upper = await readFile(join(out, 'forecasts/run1/00000020.upper.npy'));
  expect(upper.toString('latin1')).toContain('(2, 8, 9, 1)');
  expect(upper.subarray(-4).readFloatLE()).toBe(3010);
  // 100 of the range 0..200 would be half of white; a spread of 6 is 6/200 of it.
  await write('files', { format: 'png', keep: 1, leads: [3] }, at(3));
  expect(await names('forecasts/run1')).toEqual(['00000030']);
  expect(await names('forecasts/run1/00000030')).toEqual([
    'lead_0003.png',
    'lower_0003.png',
    'spread_0003.png',
    'upper_0003.png',
  ]);
  const codec = await createPlugin('codec', 'png', {}, undefined);
  const image = await codec.decode(await readFile(join(out, 'forecasts/run1/00000030/spread_0003.png')));
  expect(image.data[0]).toBe(8);
});

test('Zarr as zarrita reads it, exact, and a repeat takes its place', async () => {
  const forecast = forecastAt(1, { uncertainty, sampleType: 'float32' });
  for (const leads of ['all', [1, 3]]) await write('files', { format: 'zarr', leads }, forecast);
  const group = await zarr.open(new FileSystemStore(join(out, 'forecasts/run1/00000010.zarr')), {
    kind: 'group',
  });
  expect(group.attrs).toMatchObject({ id: forecast.id, series: 'run1', index: 10, leads: [1, 3] });
  for (const [name, values] of [
    ['lead', forecast.frames],
    ['upper', uncertainty.interval.upper],
  ] as const) {
    const array = await zarr.open(group.resolve(name), { kind: 'array' });
    const { shape: read, data } = await zarr.get(array);
    expect(read).toEqual([2, 8, 9, 1]);
    expect([...(data as Float32Array)]).toEqual([...values.subarray(0, 72), ...values.subarray(144)]);
  }
  await write('files', { format: 'zarr', keep: 1 }, forecastAt(2));
  expect(await names('forecasts/run1')).toEqual(['00000020.zarr']);
});

test('VTI for each lead, exact, and a collection that names them', async () => {
  const forecast = forecastAt(1, { uncertainty, sampleType: 'float32' });
  await write('files', { format: 'vti', leads: [1, 3] }, forecast);
  const files = [
    ...(await readFile(join(out, 'forecasts/run1/00000010.pvd'), 'utf8')).matchAll(
      /timestep="(\d+)".*file="(.*)"/g,
    ),
  ];
  expect(files.map(([, step]) => step)).toEqual(['1', '3']);
  const codec = await createPlugin('codec', 'vti', {}, undefined);
  const { data } = await codec.decode(await readFile(join(out, 'forecasts/run1', files[1]?.[2] ?? '')));
  expect([...data]).toEqual([...forecast.frames.subarray(144)]);
  expect(await names('forecasts/run1')).toContain('00000010.spread.pvd');
  await write('files', { format: 'vti', keep: 1 }, forecastAt(2));
  expect(await names('forecasts/run1')).toEqual(['00000020', '00000020.pvd']);
});

test('the oldest forecasts go when there are too many of a series, across restarts', async () => {
  const at = (position: number, series: string) => forecastAt(position, { series });
  await write('files', { keep: 2 }, at(1, 'a'), at(1, 'b'), at(2, 'a'));
  await writeFile(join(out, 'forecasts/a/00000010/notes.txt'), 'not ours');
  await mkdir(join(out, 'forecasts/a/.00000050.1-1.tmp'));
  await write('files', { keep: 2 }, at(3, 'a'), at(4, 'a'));
  expect(await names('forecasts/a')).toEqual(['00000010', '00000030', '00000040']);
  expect(await names('forecasts/a/00000010')).toEqual(['notes.txt']);
  expect(await names('forecasts/b')).toEqual(['00000010']);
});

test('the oldest forecasts go when they take too many bytes', async () => {
  const bytes = 128 + 4 * 3 * 8 * 9;
  const options = { format: 'npy', keep: `${2.5 * bytes}B` };
  const forecasts = [1, 2, 3, 4].map((position) => forecastAt(position));
  await write('files', options, ...forecasts.slice(0, 2));
  await write('files', options, ...forecasts.slice(2));
  expect(await names('forecasts/run1')).toEqual(['00000030.npy', '00000040.npy']);
});

test('a line that a crash cut off is removed before the next is written', async () => {
  await write('jsonl', {}, forecastAt(1));
  const whole = await readFile(join(out, 'forecasts.jsonl'), 'utf8');
  await appendFile(join(out, 'forecasts.jsonl'), '{"id":"abc","ser');
  const context = sinkContext(out);
  const sink = await createPlugin('sink', 'jsonl', {}, context);
  await sink.open(never);
  await sink.forecast(forecastAt(2), never);
  await sink.close();
  const text = await readFile(join(out, 'forecasts.jsonl'), 'utf8');
  expect(text.startsWith(whole)).toBe(true);
  expect(
    text
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as { index: number }).index),
  ).toEqual([10, 20]);
  expect(context.messages).toEqual([expect.stringContaining('removed the last 16 bytes')]);
});

test.each<[string, () => Promise<unknown>, number[]]>([
  ['moved', () => rename(join(out, 'forecasts.jsonl'), join(out, 'elsewhere.jsonl')), [2]],
  ['removed', () => rm(join(out, 'forecasts.jsonl')), [2]],
  ['emptied', () => writeFile(join(out, 'forecasts.jsonl'), ''), [2]],
  ['left with half a line', () => truncate(join(out, 'forecasts.jsonl'), 100), [2]],
  ['written to by another', () => write('jsonl', {}, forecastAt(3)), [1, 3, 2]],
])('a file that was %s while it was open gets the next line, whole', async (_, change, positions) => {
  const sink = await sinkAt(out, 'jsonl');
  await sink.open(never);
  await sink.forecast(forecastAt(1), never);
  await change();
  await sink.forecast(forecastAt(2), never);
  await sink.close();
  const lines = (await readFile(join(out, 'forecasts.jsonl'), 'utf8')).trimEnd().split('\n');
  expect(lines.map((line) => (JSON.parse(line) as { position: number }).position)).toEqual(positions);
});

test('files are set aside at their size', async () => {
  const size = Buffer.byteLength(JSON.stringify(scoreFor(forecastAt(1)))) + 1;
  const forecasts = [1, 2, 3, 4, 5].map((position) => forecastAt(position));
  await write('jsonl', { rotateBytes: 2 * size }, ...forecasts.slice(0, 3));
  await write('jsonl', { rotateBytes: 2 * size }, ...forecasts.slice(3));
  const files = (await names('.')).filter((name) => name.startsWith('scores'));
  expect(files).toEqual(['scores.000001.jsonl', 'scores.000002.jsonl', 'scores.jsonl']);
  const lines = await Promise.all(files.map((name) => readFile(join(out, name), 'utf8')));
  expect(lines.map((text) => text.split('\n').length - 1)).toEqual([2, 2, 1]);
});

test('files are set aside when a day is over, and so many kept, the oldest going first', async () => {
  const day = async (n: number, position: number): Promise<void> => {
    await write('jsonl', { rotateDaily: true, keepRotated: 2 }, forecastAt(position));
    const noon = new Date(Date.now() - n * 86_400_000);
    await utimes(join(out, 'forecasts.jsonl'), noon, noon);
  };
  await day(3, 1);
  await day(2, 2);
  await day(0, 3);
  await day(0, 4); // the same day
  await day(1, 5);
  await day(0, 6);
  const files = (await names('.')).filter((name) => name.startsWith('forecasts.'));
  expect(files).toEqual(['forecasts.000002.jsonl', 'forecasts.000003.jsonl', 'forecasts.jsonl']);
  const positions = files.map(async (name) => {
    const lines = (await readFile(join(out, name), 'utf8')).trimEnd().split('\n');
    return lines.map((line) => (JSON.parse(line) as { index: number }).index / 10);
  });
  expect(await Promise.all(positions)).toEqual([[2], [3, 4, 5], [6]]);
});

test.each(['../escape', 'a/../../b', '/etc', 'a//b', '', 'a/.', 'a\0b'])(
  'no series leads out of the output folder: %j',
  async (series) => {
    for (const name of ['files', 'jsonl']) {
      await expect(write(name, {}, forecastAt(1, { series }))).rejects.toMatchObject({
        tag: 'sink',
        retryable: false,
      });
    }
    expect(await readdir(join(out, 'forecasts'))).toEqual([]);
  },
);

test('folders named after times are series like others', async () => {
  await write('files', {}, forecastAt(1, { series: 'run 2024-01-01T12:00:00' }));
  expect(await names('forecasts/run 2024-01-01T12:00:00/00000010')).toHaveLength(3);
});
