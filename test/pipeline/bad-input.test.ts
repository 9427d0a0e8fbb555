import { chmod, chown, mkdir, mkdtemp, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import sharp from 'sharp';
import { nobody, nobodyReads } from '../support/nobody.js';
import {
  daemon,
  difference,
  forecastLines,
  forecastValues,
  record,
  smallRun,
  until,
} from '../support/runs.js';
import { frameBytes, framePath, movingField, putFrame, putFrames, saveTiny } from '../support/tiny.js';

let home: string;
let forecaster: string;
let frames: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'mesocast-bad-'));
  forecaster = join(home, 'tiny');
  frames = join(home, 'frames');
  await saveTiny(forecaster);
  await mkdir(frames);
});
afterEach(() => rm(home, { recursive: true }));
const settings = (more: Parameters<typeof smallRun>[0] = {}) =>
  smallRun({ directory: frames, out: join(home, 'out'), forecaster, ...more });

test('each kind of bad file: one message with its name, a count, and the daemon goes on', async () => {
  const run = await record(settings({ untilIdle: undefined }));
  await putFrames(frames, 0, 6);
  await until('the first forecasts', () => run.forecasts.length > 1);
  const bad: [index: number, says: RegExp][] = [
    [6, /cut short|truncated|IEND|end/i],
    [8, /not a PNG|PNG/],
    [10, /empty/],
    [12, /its shape is 20x16x1, that of its series 16x16x1/],
    [14, /points nowhere/],
    [16, /samples are uint8/],
  ];
  await writeFile(framePath(frames, 6), await frameBytes(6));
  await truncate(framePath(frames, 6), 60);
  await writeFile(framePath(frames, 8), 'iteration,energy\n1,2\n');
  await writeFile(framePath(frames, 10), '');
  await writeFile(framePath(frames, 12), await frameBytes(12, { shape: [20, 16, 1] }));
  await symlink(join(frames, 'nowhere.png'), framePath(frames, 14));
  await writeFile(framePath(frames, 16), await frameBytes(16, { sampleType: 'uint8' }));
  for (const t of [7, 9, 11, 13, 15, 17, 18]) await putFrame(frames, t);
  await until('frame 18', () => run.forecasts.some(({ index }) => index === 18));
  run.stop();
  const { summary, notices, frames: events } = await run.finished;
  for (const [index, says] of bad) {
    const about = notices.filter((notice) => notice.includes(framePath('', index).slice(1)));
    expect({ index, about }).toEqual({ index, about: [expect.stringMatching(says)] });
  }
  expect(notices).toHaveLength(bad.length);
  expect(summary.frames).toEqual({
    forecast: 19 - 3 - bad.length,
    observed: 0,
    'warm-up': 3,
    rejected: bad.length,
    lost: 0,
  });
  expect(
    events
      .filter(({ outcome }) => outcome === 'rejected')
      .map(({ index }) => index)
      .sort((a, b) => a - b),
  ).toEqual(bad.map(([index]) => index));
});

test('where nothing of a series could be used, its files are read again by the next run, with other settings', async () => {
  const vti = (t: number): string => {
    const arrays = ['phi', 'mu'].map(
      (name) =>
        `<DataArray type="Float32" Name="${name}" format="ascii">${movingField(t, [16, 16, 1]).join(' ')}</DataArray>`,
    );
    const extent = '0 15 0 15 0 0';
    return `<VTKFile type="ImageData" version="1.0" byte_order="LittleEndian"><ImageData WholeExtent="${extent}" Origin="0 0 0" Spacing="1 1 1"><Piece Extent="${extent}"><PointData>${arrays.join('')}</PointData></Piece></ImageData></VTKFile>`;
  };
  for (let t = 0; t < 8; t++) await writeFile(framePath(frames, t, '.vti'), vti(t));
  const counted = async (more: Parameters<typeof smallRun>[0]) => {
    const { summary, notices } = await (await record(settings(more))).finished;
    return { frames: summary.frames, first: notices[0] };
  };
  const nothing = { forecast: 0, observed: 0, 'warm-up': 0, rejected: 8, lost: 0 };
  const says: unknown = expect.stringMatching(/holds several fields: phi, mu/);
  expect(await counted({})).toEqual({ frames: nothing, first: says });
  // The same again is no better, and counts once.
  expect(await counted({})).toEqual({ frames: nothing, first: says });
  const { frames: read } = await counted({ codecs: { vti: { field: 'phi' } } });
  expect(read).toEqual({ forecast: 5, observed: 0, 'warm-up': 3, rejected: 0, lost: 0 });
  // From then on what is done is done.
  await writeFile(framePath(frames, 8, '.vti'), 'nothing');
  const phi = { codecs: { vti: { field: 'phi' } } };
  expect((await counted(phi)).frames).toMatchObject({ forecast: 0, rejected: 1 });
  expect((await counted(phi)).frames).toMatchObject({ forecast: 0, rejected: 0 });
  // Other values are another run.
  await expect(counted({ codecs: { vti: { field: 'mu' } } })).rejects.toThrow(
    /were read with vti.field "phi", this run asks for "mu"/,
  );
  await expect(counted({})).rejects.toThrow(/were read with vti.field "phi", this run says nothing of it/);
});

test.each([
  [1, 3],
  [3, 1],
])('a state of frames of %d channels does not go on with a forecaster of %d', async (before, after) => {
  for (const channels of [1, 3]) await saveTiny(join(home, `of-${channels}`), 1, 10, { channels });
  for (let t = 0; t < 5; t++) {
    const pixels = Buffer.from(Uint8Array.from(movingField(t, [16, 16, 3], 255)));
    const image = sharp(pixels, { raw: { width: 16, height: 16, channels: 3 } });
    await writeFile(framePath(frames, t), await image.png().toBuffer());
  }
  const run = async (channels: number) =>
    (await record(settings({ forecaster: join(home, `of-${channels}`) }))).finished;
  expect((await run(before)).summary.frames).toMatchObject({ forecast: 2, rejected: 0 });
  await expect(run(after)).rejects.toThrow(
    new RegExp(`the frames of frames in .* have ${before} channels, the forecaster takes ${after}$`),
  );
  expect((await run(before)).summary.frames).toMatchObject({ forecast: 0, rejected: 0 });
});

test('a frame of nothing but NaN is rejected in words, one with a few is forecast from', async () => {
  const files = { extension: '.npy', sampleType: 'float32' } as const;
  await putFrames(frames, 0, 9, files);
  const [few, all] = [await frameBytes(6, files), await frameBytes(5, files)];
  few.writeFloatLE(NaN, few.length - 4);
  for (let at = all.length - 4 * 256; at < all.length; at += 4) all.writeFloatLE(NaN, at);
  await writeFile(framePath(frames, 5, '.npy'), all);
  await writeFile(framePath(frames, 6, '.npy'), few);
  const { summary, notices } = await (await record(settings())).finished;
  expect(notices).toContainEqual(
    expect.stringMatching(/frame_0005\.npy is rejected: none of its values is known/),
  );
  expect(summary.frames).toMatchObject({ rejected: 1, 'warm-up': 3, forecast: 5 });
});

const testAsNobody = nobodyReads ? test : test.skip;
testAsNobody('a file that may not be read (skipped where only root can read this checkout)', async () => {
  await putFrames(frames, 0, 8);
  await chmod(framePath(frames, 4), 0o000);
  if (nobody) for (const folder of [home, frames, forecaster]) await chmod(folder, 0o755);
  const out = join(home, 'out');
  await mkdir(out);
  if (nobody) await chown(out, nobody.uid, nobody.gid);
  const line = [
    frames,
    '--out',
    out,
    '--forecaster',
    forecaster,
    '--context',
    '4',
    '--horizon',
    '2',
    '--until-idle',
    '0.5',
    '--patience',
    '0.4',
    '--json',
  ];
  const { code, stdout, stderr } = await daemon(line, nobody).exited;
  expect(stderr.trim()).toMatch(/^\S*frame_0004\.png is rejected: it cannot be read: EACCES[^\n]*$/);
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ frames: { rejected: 1, 'warm-up': 3, forecast: 4 } });
});

test('coloured frames become grey, whether the first one is or not', async () => {
  const colour = async (t: number): Promise<Buffer> => {
    const grey = movingField(t, [16, 16, 1], 255);
    const pixels = Buffer.from(
      Uint8Array.from({ length: 768 }, (_, k) => (t === 0 || k % 3 < 2 ? (grey[Math.floor(k / 3)] ?? 0) : 0)),
    );
    return sharp(pixels, { raw: { width: 16, height: 16, channels: 3 } })
      .png()
      .toBuffer();
  };
  for (let t = 0; t < 7; t++) await writeFile(framePath(frames, t), await colour(t));
  const { summary, notices, forecasts } = await (await record(settings())).finished;
  expect(notices).toEqual([]);
  expect(summary.frames).toMatchObject({ 'warm-up': 3, forecast: 4 });
  expect(forecasts[0]?.shape).toEqual([16, 16, 1]);
});

test('a folder that vanishes is reported once and taken up again; a series may appear later', async () => {
  const run = await record(settings({ untilIdle: undefined }));
  await putFrames(frames, 0, 6);
  await until('forecasts', () => run.forecasts.length === 3);
  await rename(frames, `${frames}-away`);
  await until('the notice', () => run.notices.length === 1);
  await rename(`${frames}-away`, frames);
  await putFrames(frames, 6, 8);
  await until('later frames', () => run.forecasts.length === 5);
  await mkdir(join(frames, 'later'));
  await putFrames(join(frames, 'later'), 100, 105);
  await until('the later series', () => run.forecasts.length === 7);
  run.stop();
  const { summary, notices } = await run.finished;
  expect(notices).toEqual([
    expect.stringMatching(/frames cannot be read: .*going on when it is back/),
    expect.stringMatching(/frames is back/),
  ]);
  expect(summary.frames).toEqual({ forecast: 7, observed: 0, 'warm-up': 6, rejected: 0, lost: 0 });
});

test('frames of the stretch were purged before a restart: one notice, a new warm-up, and it goes on', async () => {
  await putFrames(frames, 0, 12);
  const out = join(home, 'out');
  await (
    await record(settings())
  ).finished;
  for (let t = 0; t < 12; t++) await rm(framePath(frames, t));
  await putFrames(frames, 12, 20);
  const { notices, frames: events } = await (await record(settings())).finished;
  expect(notices).toEqual([
    expect.stringMatching(/12 of its earlier frames cannot be read again.*it is gone/),
    expect.stringMatching(/warming up anew from frame 12/),
  ]);
  expect(events.map(({ index, outcome }) => `${index} ${outcome}`)).toEqual(
    [12, 13, 14, 15, 16, 17, 18, 19].map((k) => `${k} ${k < 15 ? 'warm-up' : 'forecast'}`),
  );
  expect((await forecastLines(out)).map(({ index }) => index).slice(-5)).toEqual([15, 16, 17, 18, 19]);
  // Stands on the frames from 12 on alone, with the normalisation that the series began with.
  const fresh = join(home, 'fresh', 'frames');
  await putFrames(fresh, 12, 20);
  const { low, high } = (await forecastLines(out))[0]?.normalisation ?? { low: 0, high: 1 };
  await (
    await record(settings({ directory: fresh, out: join(home, 'fresh-out'), range: [low, high] }))
  ).finished;
  const all = await forecastValues(out);
  const later = new Map([...all].filter(([key]) => Number(key.split(' ')[1]) >= 15));
  expect(difference(later, await forecastValues(join(home, 'fresh-out')), 65535)).toBeLessThan(1e-5);
});
