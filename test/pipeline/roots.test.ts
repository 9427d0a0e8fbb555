import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { nameRoots, requireApart } from '../../src/pipeline/config/roots.js';
import { messageOf } from '../../src/pipeline/errors.js';
import { openLedger } from '../../src/pipeline/ledger/ledger.js';
import { openCodecs } from '../../src/pipeline/intake/input.js';
import { createRoots } from '../../src/pipeline/intake/open-roots.js';
import { frameNames } from '../../src/pipeline/intake/frame-names.js';
import { startAt, type Start } from '../../src/pipeline/intake/start-at.js';
import { attach } from '../../src/pipeline/runner.js';
import { fakeFolder } from '../support/ingest.js';
import { record, smallRun } from '../support/runs.js';
import { putFrame, putFrames, saveTiny } from '../support/tiny.js';

let home: string;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'mesocast-roots-'));
  await saveTiny(join(home, 'tiny'));
});
afterAll(() => rm(home, { recursive: true }));

test('series are called by the end of their path, as short as can be, and keep their names', () => {
  const names = (directories: readonly string[], before = {}): string[] =>
    nameRoots(
      directories.map((directory) => ({ directory })),
      before,
    );
  expect(names(['/data/run1/frames', '/data/sem'])).toEqual(['frames', 'sem']);
  expect(names(['/data/run1/frames', '/data/run2/frames', '/c'])).toEqual([
    'run1/frames',
    'run2/frames',
    'c',
  ]);
  // Series of /data/run1 could be called run1/frames.
  expect(names(['/data/run1', '/x/frames', '/y/run1/frames'])).toEqual(['run1', 'x/frames', 'y/run1/frames']);
  const before = { frames: '/data/run1/frames' };
  expect(names(['/data/run0/frames', '/data/run1/frames'], before)).toEqual(['run0/frames', 'frames']);
  expect(names(['/moved/frames'], before)).toEqual(['frames']);
  // Not while that is still there: it is another run.
  const isThere = (directory: string): boolean => directory === '/data/run1/frames';
  expect(nameRoots([{ directory: '/data/run2/frames' }], before, isThere)).toEqual(['run2/frames']);
  expect(names(['/'])).toEqual(['root']);
  expect(nameRoots([{ directory: '/a', as: 'b' }, { directory: '/x/b' }], {})).toEqual(['b', 'x/b']);
  expect(() =>
    nameRoots(
      [
        { directory: '/a', as: 'n' },
        { directory: '/b', as: 'n/m' },
      ],
      {},
    ),
  ).toThrow(/\/a and of \/b would have the same names/);
});

test('a folder that a file system was mounted at, and that is empty now, is not attached to', async () => {
  const [directory, state] = [join(home, 'mount'), join(home, 'mount-state')];
  await mkdir(directory);
  await mkdir(state);
  const ledger = openLedger(state);
  const codecs = await openCodecs(1);
  const created = () =>
    createRoots({
      ...{ roots: [{ directory, atomic: false }], start: 'beginning', outputs: [], codecs, ledger },
      notice: () => undefined,
    });
  await created(); // an empty folder is no harm
  ledger.putNote('mount:mount', true);
  await expect(created()).rejects.toThrow(/mount is empty, and was a file system of its own before/);
  await putFrame(directory, 0);
  await created();
  expect(ledger.note('mount:mount')).toBeUndefined(); // it is a folder like others by now
  await ledger.close();
});

test('an ending may be the whole name of a file', () => {
  const named = frameNames({ extensions: ['/phase10', '.png'], stackExtensions: ['/phase10'] });
  expect(['PHASE10', 'run/phase10', 'phase10.png', 'other10'].map((path) => named(path))).toEqual([
    { kind: 'stack', series: 'PHASE10' },
    { kind: 'stack', series: 'run/phase10' },
    { kind: 'frame', series: '', index: 10 },
    { kind: 'other' },
  ]);
});

test('the patterns of docs/ingest.md mean what it says', async () => {
  const page = await readFile('docs/ingest.md', 'utf8');
  const seen = [...page.matchAll(/^\| (`.*`.*) \| `(.*index.*)` \|$/gm)].map(([, files = '', cell = '']) => {
    const named = frameNames({
      extensions: ['.png', '.vti', '.tif'],
      stackExtensions: [],
      pattern: cell.replaceAll('\\|', '|'),
    });
    return [...files.matchAll(/`(.*?)`/g)].map(([, path = '']) => named(path));
  });
  expect(seen).toEqual([
    [
      { kind: 'frame', series: 'phi', index: 1 },
      { kind: 'frame', series: 'c', index: 1 },
    ],
    [
      { kind: 'frame', series: '', index: 1 },
      { kind: 'frame', series: '', index: 2 },
    ],
    [
      { kind: 'frame', series: '', index: 50 },
      { kind: 'frame', series: '', index: 100 },
    ],
    [{ kind: 'frame', series: 'run3', index: 12 }],
  ]);
});

test('folders in one another, or named twice, are refused', () => {
  expect(() => requireApart(['/a', '/b/c', '/b/cd'])).not.toThrow();
  expect(() => requireApart(['/a', '/a/b'])).toThrow('/a/b lies in /a, and would be read twice');
  expect(() => requireApart(['/a', '/a'])).toThrow('/a is named twice');
});

test('where a state begins is decided once: later runs leave out the same frames and no others', async () => {
  const ledger = openLedger(join(home, 'start'));
  const folder = fakeFolder();
  const notices: string[] = [];
  const begin = (start: Start, root = 's') =>
    startAt(start, root, {
      ledger,
      notice: (text) => notices.push(text),
      owns: (series) => series === root,
    });
  const { signal } = new AbortController();
  const scan = async ({ pick }: ReturnType<typeof startAt>): Promise<number[]> =>
    pick(await folder.scan(signal))
      .map(({ index }) => index)
      .sort((a, b) => a - b);

  for (const index of [3, 4, 5]) folder.put(`f${index}`, index);
  const first = begin('now');
  const isLeftOut = (index: number): boolean => first.isLeftOut({ series: 's', index });
  expect(isLeftOut(5)).toBe(false); // nothing is decided yet
  expect(await scan(first)).toEqual([]);
  expect([5, 6].map(isLeftOut)).toEqual([true, false]);
  for (const index of [6, 7]) folder.put(`f${index}`, index);
  folder.put('t0', 0, { series: 's/new' });
  expect(await scan(first)).toEqual([0, 6, 7]);
  for (const start of ['now', 'beginning', 5] as const) expect(await scan(begin(start))).toEqual([0, 6, 7]);
  expect(notices).toEqual(['s: 3 frames that are there are left out (start: now)']);
  expect(await scan(begin(6, 'other'))).toEqual([6, 7]);
  // A state that knows of frames already has begun.
  ledger.putSeries({ series: 'old', first: 0, increment: 1 });
  expect(await scan(begin('now', 'old'))).toEqual([0, 3, 4, 5, 6, 7]);
  await ledger.close();
});

test('one run follows folders of several programs, each with its own way to name and finish frames', async () => {
  const place = (name: string): string => join(home, 'two', name);
  await putFrames(place('a/frames'), 0, 6);
  await putFrames(place('b/frames'), 100, 106);
  const settings = {
    ...{ roots: [place('a/frames'), { directory: place('b/frames'), as: 'sem', atomic: true }] },
    ...{ out: place('a/frames/out'), forecaster: join(home, 'tiny') },
  };
  const { summary, frames } = await (await record(smallRun(settings))).finished;
  expect(summary.frames).toEqual({ forecast: 6, observed: 0, 'warm-up': 6, rejected: 0, lost: 0 });
  expect([...new Set(frames.map(({ series }) => series))].sort()).toEqual(['frames', 'sem']);
  await putFrame(place('a/frames'), 6);
  await putFrame(place('b/frames'), 106);
  const next = await (await record(smallRun({ ...settings, frames: 2, untilIdle: undefined }))).finished;
  expect(next.frames.map(({ series, index }) => `${series} ${index}`).sort()).toEqual([
    'frames 6',
    'sem 106',
  ]);

  const refused = async (roots: readonly string[]): Promise<string> =>
    messageOf(await attach(smallRun({ ...settings, roots })).catch((error: unknown) => error));
  expect(await refused([place('a/frames'), place('none')])).toMatch(/there is no directory .*none/);
  expect(await refused([place('a'), place('a/frames')])).toMatch(/frames lies in .*a, and would be/);
  expect(await refused([place('b/frames'), place('a/frames/out')])).toMatch(/cannot go into the watched/);
});
