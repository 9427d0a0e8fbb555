import { watch } from 'node:fs';
import { mkdtemp, readFile, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { codecForExtension, createPlugin } from '../../src/pipeline/plugins/registry.js';
import { mesocast } from '../support/cli.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mesocast-simulate-'));
});
afterEach(() => rm(folder, { recursive: true }));

const simulate = async (name: string, ...args: string[]) => {
  const ran = await mesocast([
    'simulate',
    'dendrite',
    '--out',
    join(folder, name),
    '--size',
    '16x24',
    '--json',
    ...args,
  ]);
  if (ran.code !== 0) throw new Error(ran.stderr);
  return JSON.parse(ran.stdout) as unknown;
};
const bytes = (...path: string[]): Promise<Buffer> => readFile(join(folder, ...path));
const names = (...path: string[]): Promise<string[]> =>
  readdir(join(folder, ...path)).then((all) => all.sort());

test('frames are a function of the seed, and what the simulation makes', async () => {
  const frames = ['--frames', '3'];
  expect(await simulate('a', ...frames, '--seed', '5')).toMatchObject({
    frames: 3,
    series: 1,
    shape: [16, 24, 1],
    stopped: false,
  });
  await simulate('b', ...frames, '--seed', '5');
  await simulate('c', ...frames, '--seed', '6');
  await simulate('n', ...frames, '--seed', '5', '--format', 'npy');
  await simulate('v', ...frames, '--seed', '5', '--format', 'vti');
  expect(await names('a')).toEqual([
    'frame_000000.png',
    'frame_000001.png',
    'frame_000002.png',
    'parameters.json',
  ]);
  const last = 'frame_000002.png';
  expect(await bytes('a', last)).toEqual(await bytes('b', last));
  expect(await bytes('a', last)).not.toEqual(await bytes('c', last));

  const simulation = await createPlugin(
    'simulation',
    'dendrite',
    { seed: 5, height: 16, width: 24 },
    undefined,
  );
  const exact = [simulation.next(), simulation.next(), simulation.next()][2]!;
  const npy = await codecForExtension('.npy');
  expect((await npy.decode(await bytes('n', 'frame_000002.npy'))).data).toEqual(exact);
  const vti = await codecForExtension('.vti');
  expect((await vti.decode(await bytes('v', 'frame_000002.vti'))).data).toEqual(exact);
  const png = await (await codecForExtension('.png')).decode(await bytes('a', last));
  expect(png).toMatchObject({ shape: [16, 24, 1], sampleType: 'uint16' });
  const clamped = exact.map((value) => Math.min(1, Math.max(0, value)));
  expect(Math.max(...png.data.map((value, at) => Math.abs(value / 65535 - clamped[at]!)))).toBeLessThan(1e-5);
});

test('several series have seeds that count up', async () => {
  await simulate('many', '--frames', '2', '--count', '2', '--seed', '7', '--format', 'tiff', '--bits', '8');
  await simulate('one', '--frames', '2', '--seed', '8', '--format', 'tiff', '--bits', '8');
  expect(await names('many')).toEqual(['series_000', 'series_001']);
  expect(await names('many', 'series_001')).toEqual([
    'frame_000000.tif',
    'frame_000001.tif',
    'parameters.json',
  ]);
  expect(await bytes('many', 'series_001', 'frame_000001.tif')).toEqual(
    await bytes('one', 'frame_000001.tif'),
  );
});

/** Sizes that a frame's file had while it was written. */
const sizesSeen = async (name: string, ...args: string[]): Promise<Set<number>> => {
  const file = join(folder, 'frame_000000.npy');
  const sizes = new Set<number>();
  const look = async (): Promise<void> => {
    const found = await stat(file).catch(() => undefined);
    if (found) sizes.add(found.size);
  };
  const watcher = watch(folder, () => void look());
  const timer = setInterval(() => void look(), 5);
  try {
    await simulate(name, '--frames', '1', '--format', 'npy', ...args);
  } finally {
    watcher.close();
    clearInterval(timer);
  }
  await look();
  return sizes;
};

test('a frame appears whole by default, in pieces with --in-place, and both end the same', async () => {
  expect((await sizesSeen('.')).size).toBe(1);
  const whole = await bytes('frame_000000.npy');
  expect((await sizesSeen('.', '--in-place', '--overwrite')).size).toBeGreaterThan(1);
  expect(await bytes('frame_000000.npy')).toEqual(whole);
});

test('frames that are there are not overwritten unasked', async () => {
  await simulate('a', '--frames', '1');
  const again = await mesocast(['simulate', 'dendrite', '--out', join(folder, 'a')]);
  expect(again.code).toBe(2);
  expect(again.stderr).toContain('already has frames');
});

test('frames and parameters that are replaced are all replaced', async () => {
  await simulate('a', '--frames', '3', '--seed', '1');
  await simulate('a', '--frames', '2', '--seed', '2', '--overwrite', '--format', 'npy');
  expect(await names('a')).toEqual(['frame_000000.npy', 'frame_000001.npy', 'parameters.json']);
});

test.each([
  ['an option of all commands first', ['--json', 'simulate', 'spinodal', '--gradient-energy', '1.2']],
  [
    'options before the simulation',
    ['simulate', '--in-place', '--gradient-energy', '1.2', 'spinodal', '--json'],
  ],
])('the simulation is found wherever it is said: %s', async (_, args) => {
  const { code, stdout, stderr } = await mesocast([
    ...[...args, '--frames', '1', '--size', '16', '--out', join(folder, 'a')],
  ]);
  expect(stderr).toBe('');
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ simulation: 'spinodal', frames: 1 });
});
