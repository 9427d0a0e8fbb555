import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { writeAtomically } from '../../src/pipeline/atomic.js';
import { forecastOnce } from '../../src/pipeline/forecast-once.js';
import type { Forecast } from '../../src/pipeline/forecast.js';
import { codecForExtension } from '../../src/pipeline/plugins/registry.js';
import { openStateFolder } from '../../src/pipeline/state/state-folder.js';
import { difference, forecastLines, record, smallRun } from '../support/runs.js';
import { frameBytes, framePath, movingField, putFrames, readNpy, saveTiny } from '../support/tiny.js';

const RANGE: [number, number] = [0, 65535];
let home: string;
let frames: string;
let runs = 0;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'mesocast-once-'));
  await saveTiny(join(home, 'tiny'));
});
afterAll(() => rm(home, { recursive: true }));
beforeEach(() => {
  frames = join(home, String(++runs), 'frames');
});
const once = (path: string, more: Parameters<typeof smallRun>[0] = {}): Promise<Forecast> =>
  forecastOnce({
    ...smallRun({
      directory: frames,
      forecaster: join(home, 'tiny'),
      out: join(home, String(runs), 'once'),
      range: RANGE,
      ...more,
    }),
    path,
  });
/** Of the same frame, by a run that follows the folder. */
const attached = async (index: number, more: Parameters<typeof smallRun>[0] = {}): Promise<Float32Array> => {
  const out = join(home, String(runs), 'attached');
  const settings = smallRun({
    directory: frames,
    forecaster: join(home, 'tiny'),
    out,
    range: RANGE,
    ...more,
  });
  const { forecasts } = await (await record(settings)).finished;
  return forecasts.find((forecast) => forecast.index === index)?.frames ?? new Float32Array();
};
const differ = (a: Float32Array, b: Float32Array): number =>
  difference(new Map([['', a]]), new Map([['', b]]), 65535);

test.each([
  { what: 'a folder', stride: 1, absent: -1 },
  { what: 'a folder, with a stride', stride: 2, absent: -1 },
  { what: 'a folder in which a number is missing', stride: 1, absent: 2 },
])('from $what: what a run forecasts from the same frames', async ({ stride, absent }) => {
  const count = 4 * stride + (absent < 0 ? 0 : 1);
  await putFrames(frames, 0, count);
  if (absent >= 0) await rm(framePath(frames, absent));
  const forecast = await once(frames, { stride });
  expect(forecast).toMatchObject({
    series: 'frames',
    index: count - 1,
    horizon: 5,
    stride,
    shape: [16, 16, 1],
  });
  expect(differ(forecast.frames, await attached(count - 1, { stride }))).toBeLessThan(1e-5);
});

test('up to a file, delivered to the sinks, whatever comes after it', async () => {
  await putFrames(frames, 0, 9);
  const upper = join(frames, 'frame_0005.PNG');
  await rename(framePath(frames, 5), upper);
  const forecast = await once(framePath(frames, 6));
  expect(forecast.index).toBe(6);
  const out = join(home, String(runs), 'once');
  const [line, ...others] = await forecastLines(out);
  expect(others).toEqual([]);
  expect(line?.id).toBe(forecast.id);
  expect(differ(await readNpy(join(out, `${line?.path ?? ''}.npy`)), forecast.frames)).toBeLessThan(1e-7);
  // It stands on its last four frames alone: those before could be anything.
  await writeFile(framePath(frames, 0), '');
  expect(differ((await once(framePath(frames, 6))).frames, forecast.frames)).toBe(0);
  expect(existsSync(join(out, 'state'))).toBe(false);
});

test('a file of several frames, and a folder with nothing but one, are forecast from like frames', async () => {
  await putFrames(frames, 0, 6, { extension: '.npy', sampleType: 'float32' });
  const range: [number, number] = [0, 1];
  const forecast = await once(frames, { range });
  const movie = join(home, String(runs), 'movies', 'movie.npy');
  const all = Array.from({ length: 6 }, (_, t) => [...movingField(t, [16, 16, 1])]).flat();
  const npy = await codecForExtension('.npy');
  await writeAtomically(movie, await npy.encodeStack!([6, 16, 16], Float32Array.from(all)));
  const codecs = { npy: { axes: 'NHW' } };
  for (const path of [movie, dirname(movie)]) {
    const same = await once(path, { range, codecs });
    expect(same).toMatchObject({ series: 'movies/movie.npy', index: 5 });
    expect(same.frames).toEqual(forecast.frames);
  }
  await putFrames(join(dirname(movie), 'others'), 0, 6);
  await expect(once(dirname(movie), { codecs })).rejects.toThrow(
    'holds 2 series: movies/movie.npy, movies/others',
  );
});

test('what cannot be forecast from is refused in words', async () => {
  await expect(once(join(home, 'nowhere'))).rejects.toThrow('there is no');
  await mkdir(frames, { recursive: true });
  await expect(once(frames)).rejects.toThrow('there are no frames in');
  await putFrames(frames, 0, 3);
  await expect(once(frames)).rejects.toThrow('stands on 4 frames, but');
  await writeFile(join(frames, 'notes.txt'), '');
  await expect(once(join(frames, 'notes.txt'))).rejects.toThrow('notes.txt is not a numbered');
  await writeFile(framePath(frames, 3), (await frameBytes(3)).subarray(0, 90));
  await expect(once(frames)).rejects.toThrow('frame_0003.png: ');
  await writeFile(framePath(frames, 3), await frameBytes(3, { shape: [16, 20, 1] }));
  await expect(once(frames)).rejects.toThrow('frame_0003.png is 16x20x1, the frames before it are 16x16x1');
  await writeFile(framePath(frames, 2, '.npy'), '');
  await rm(framePath(frames, 3));
  await expect(once(frames)).rejects.toThrow('frame_0002.npy and frame_0002.png both have number 2');
  await rm(framePath(frames, 2, '.npy'));
  await putFrames(frames, 9, 10);
  await expect(once(frames)).rejects.toThrow('too many frames are missing before');
});

test('the times of the frame and its leads are told, counted from the first frame of the series', async () => {
  await putFrames(frames, 0, 7);
  const { time } = await once(frames, { frameInterval: '0.5 s', stride: 1 });
  expect(time).toEqual({ value: 3, unit: 's', perLead: 0.5 });
});

test('the output folder of a run that goes on is refused, as each has a quota of its own', async () => {
  await putFrames(frames, 0, 4);
  const state = openStateFolder(join(home, String(runs), 'once/state'));
  await expect(once(frames)).rejects.toMatchObject({
    tag: 'startup',
    message: expect.stringContaining(
      `once is the output folder of a run that goes on, process ${process.pid}`,
    ),
  });
  state.release();
  expect((await once(frames)).index).toBe(3);
});
