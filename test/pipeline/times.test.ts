import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { appendFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { attachSchema } from '../../src/pipeline/config/config.js';
import type { PhysicalTime } from '../../src/pipeline/frame.js';
import { sidecarTimes } from '../../src/pipeline/intake/sidecar-times.js';
import { parseTimesCsv } from '../../src/pipeline/intake/times-table.js';
import { createSeriesClock } from '../../src/pipeline/state/series-clock.js';
import type { Tick } from '../../src/pipeline/state/series-clock.js';
import type { ForecastLine } from '../support/runs.js';
import { lines, record, scoreLines, smallRun } from '../support/runs.js';
import { putFrames, saveTiny } from '../support/tiny.js';

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'mesocast-times-'));
});
afterEach(() => rm(home, { recursive: true }));

const clockOf = (history: readonly Tick[] = []) => {
  const notices: string[] = [];
  const notice = (message: string): void => void notices.push(message);
  const clock = createSeriesClock({ window: 4, stride: 2, history: () => history, notice });
  const see = (position: number, value?: number) =>
    clock.see({
      series: 's',
      index: position,
      position,
      ...(value !== undefined && { time: { value, unit: 's' } }),
    });
  return { see, notices };
};

test('a lead lasts as long as the frames that it counts', () => {
  const { see, notices } = clockOf();
  expect(see(0, 1)).toEqual({ value: 1, unit: 's' });
  expect(see(1, 1.5)).toEqual({ value: 1.5, unit: 's', perLead: 1 });
  expect(see(2)).toBeUndefined();
  expect(see(4, 3.01)?.perLead).toBeCloseTo(1, 1);
  expect(notices).toEqual([]);
  const decimal = clockOf();
  decimal.see(70, 0.105);
  expect(decimal.see(71, 0.1065)?.perLead).toBe(0.003); // as numbers in binary 0.0030000000000000027
});

test('unevenly spaced frames give leads no time, which is said once; even ones later do again', () => {
  const { see, notices } = clockOf();
  const times = [0, 1, 2, 4, 8, 9, 10, 11];
  expect(times.map((time, position) => see(position, time)?.perLead)).toEqual([
    ...[undefined, 2, 2, undefined, undefined, undefined, undefined, 2],
  ]);
  expect(notices).toEqual([
    's: up to frame 3 its frames are not evenly spaced in time (1 to 2 s from one to the next): leads count frames, and have no time',
  ]);
  const still = clockOf();
  still.see(0, 5);
  expect(still.see(1, 5)).toEqual({ value: 5, unit: 's' });
});

test('after a restart the clock goes on from what the ledger knows', () => {
  const { see } = clockOf([{ position: 8, time: 16 }]);
  expect(see(9, 18)?.perLead).toBe(4);
});

test('nobody looks up the times before a frame that has none', () => {
  const asked: number[] = [];
  const clock = createSeriesClock({
    window: 4,
    stride: 1,
    history: (_series, position) => (asked.push(position), []),
    notice: () => undefined,
  });
  for (const position of [0, 1, 2])
    expect(clock.see({ series: 's', index: position, position })).toBeUndefined();
  clock.see({ series: 's', index: 3, position: 3, time: { value: 1 } });
  expect(asked).toEqual([3]);
});

test('times.csv names frames by number or file, with or without a head and a unit', () => {
  const whole = parseTimesCsv('frame,time [ms]\n0,0\n1,0.5\nb_2.png, 1e3\nnonsense\n3,7', '/run');
  expect([...whole]).toEqual([
    [0, { value: 0, unit: 'ms' }],
    [1, { value: 0.5, unit: 'ms' }],
    ['/run/b_2.png', { value: 1000, unit: 'ms' }],
  ]);
  expect([...parseTimesCsv('4;0.25\n5 \t0.5\n', '/run')]).toEqual([
    [4, { value: 0.25 }],
    [5, { value: 0.5 }],
  ]);
});

test('times beside the frames are read as they grow: times.csv, the table of a file, a ParaView collection', async () => {
  const timeOf = sidecarTimes();
  const time = (name: string, index: number, item?: number): Promise<PhysicalTime | undefined> =>
    timeOf({ path: join(home, 'run', name), index, ...(item !== undefined && { item }) });
  await mkdir(join(home, 'run'));
  await writeFile(join(home, 'all.pvd'), '<DataSet timestep="0.75" part="0" file="run/f_3.vti"/>');
  expect(await time('f_1.vti', 1)).toBeUndefined();
  expect(await time('f_3.vti', 3)).toEqual({ value: 0.75 });
  await writeFile(join(home, 'run', 'times.csv'), '1,0.25\n');
  expect(await time('f_1.vti', 1)).toEqual({ value: 0.25 });
  await appendFile(join(home, 'run', 'times.csv'), '2,0.5\n');
  expect(await time('f_2.vti', 2)).toEqual({ value: 0.5 });
  await writeFile(join(home, 'run', 'movie.times.csv'), 'frame,time (s)\n0,9\n');
  expect(await time('movie.h5', 0, 0)).toEqual({ value: 9, unit: 's' });
});

test('of two collections that list the same files, times are of one', async () => {
  const folder = join(home, 'two', 'run');
  await mkdir(folder, { recursive: true });
  const list = (step: number): string =>
    [0, 1, 2, 3].map((n) => `<DataSet timestep="${n * step}" file="${folder}/f_${n}.vti"/>`).join('\n');
  await writeFile(join(folder, 'frames.pvd'), list(1));
  await writeFile(join(folder, '..', 'all.pvd'), list(10));
  const timeOf = sidecarTimes();
  const times: (number | undefined)[] = [];
  for (const index of [1, 2, 3])
    times.push((await timeOf({ path: join(folder, `f_${index}.vti`), index }))?.value);
  expect(times).toEqual([10, 20, 30]);
});

test('a table is read on from its last whole line, and anew when it is another one', async () => {
  const table = join(home, 'times.csv');
  const timeOf = sidecarTimes();
  const times = (...indices: number[]): Promise<(PhysicalTime | undefined)[]> =>
    Promise.all(indices.map((index) => timeOf({ path: join(home, `f_${index}.png`), index })));
  await writeFile(table, 'frame,time [h]\n1,0.25\n2,0.');
  expect(await times(1, 2)).toEqual([{ value: 0.25, unit: 'h' }, undefined]);
  await appendFile(table, '5\n3,0.75\n');
  expect(await times(2, 3)).toEqual([
    { value: 0.5, unit: 'h' },
    { value: 0.75, unit: 'h' },
  ]);
  await writeFile(table, `frame,time [s]\n${[1, 2, 3, 4, 5, 6].map((n) => `${n},${10 * n}\n`).join('')}`);
  expect(await times(4)).toEqual([{ value: 40, unit: 's' }]);
  expect(await times(1, 6)).toEqual([
    { value: 10, unit: 's' },
    { value: 60, unit: 's' },
  ]);
});

test('frames that come together search their folders once, and a folder that takes long is seldom searched', async () => {
  const folder = join(home, 'run');
  await mkdir(folder);
  jest.useFakeTimers({ doNotFake: ['setImmediate', 'nextTick', 'queueMicrotask'] });
  try {
    let searches = 0;
    const timeOf = sidecarTimes((path) => {
      if (path === folder) {
        searches++;
        jest.advanceTimersByTime(100);
      }
      return readdir(path);
    });
    const ask = () =>
      Promise.all([1, 2, 3, 4].map((index) => timeOf({ path: join(folder, `f_${index}.png`), index })));
    await ask();
    expect(searches).toBe(1);
    jest.advanceTimersByTime(4_900);
    await ask();
    expect(searches).toBe(1);
    jest.advanceTimersByTime(200);
    await ask();
    expect(searches).toBe(2);
  } finally {
    jest.useRealTimers();
  }
});

test('--frame-interval takes a number with or without a unit', () => {
  const parse = (frameInterval: string) => attachSchema.safeParse({ directory: 'd', frameInterval });
  expect(['0.1s', ' 2 ', '1e-3 ms', '.5µs'].map((text) => parse(text).data?.frameInterval)).toEqual([
    { value: 0.1, unit: 's' },
    { value: 2 },
    { value: 0.001, unit: 'ms' },
    { value: 0.5, unit: 'µs' },
  ]);
  expect(['0s', 'fast', '-1', ''].map((text) => parse(text).success)).toEqual([false, false, false, false]);
});

test('a run tells the times of frames and leads in forecasts, scores and the collection for ParaView', async () => {
  const [frames, out, forecaster] = [join(home, 'frames'), join(home, 'out'), join(home, 'tiny')];
  await mkdir(frames);
  await saveTiny(forecaster);
  await putFrames(frames, 0, 8);
  const times = Array.from({ length: 8 }, (_, t) => `${t},${0.5 * t}\n`);
  await writeFile(join(frames, 'times.csv'), `frame,time [h]\n${times.join('')}`);
  const settings = {
    directory: frames,
    out,
    forecaster,
    sinks: [{ name: 'files', options: { format: 'vti' } }, 'jsonl'],
  };
  await (
    await record(smallRun({ ...settings, frames: 7 }))
  ).finished;
  await (
    await record(smallRun(settings))
  ).finished;
  const written = await lines<ForecastLine & { readonly leads: readonly { time: number }[] }>(
    out,
    'forecasts',
  );
  expect(written.map(({ time }) => time)).toEqual(
    [3, 4, 5, 6, 7].map((t) => ({ value: 0.5 * t, unit: 'h', perLead: 0.5 })),
  );
  const [first] = written;
  expect(first?.leads.map(({ time }) => time)).toEqual([2, 2.5, 3, 3.5, 4]);
  expect((await scoreLines(out))[0]?.time).toEqual({ value: 1.5, unit: 'h', perLead: 0.5 });
  expect(await readFile(join(out, `${first?.path}.pvd`), 'utf8')).toContain(
    'timestep="2.5" part="0" file="00000003/lead_0002.vti"',
  );
});
