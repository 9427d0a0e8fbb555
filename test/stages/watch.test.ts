import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import fc from 'fast-check';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { messageOf } from '../../src/pipeline/errors.js';
import type { Ledger } from '../../src/pipeline/ledger/ledger.js';
import { openLedger } from '../../src/pipeline/ledger/ledger.js';
import type { Source } from '../../src/pipeline/plugins/plugin.js';
import type { WatchOptions } from '../../src/stages/watch.js';
import { watch } from '../../src/stages/watch.js';
import type { FakeFolder } from '../support/ingest.js';
import { fakeFolder, recordingContext } from '../support/ingest.js';

let home: string;
let ledger: Ledger;
let folder: FakeFolder;
const stops: AbortController[] = [];
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'mesocast-watch-'));
  ledger = openLedger(home);
  folder = fakeFolder();
  // The ledger's own writes are real; everything that watch waits for is virtual.
  jest.useFakeTimers({ now: 1_700_000_000_000, doNotFake: ['setImmediate', 'nextTick', 'queueMicrotask'] });
});
afterEach(async () => {
  for (const stop of stops.splice(0)) stop.abort();
  jest.useRealTimers();
  await ledger.close();
  await rm(home, { recursive: true });
});

interface Watched {
  /** "index@position" as they came; with the series in front where it is not "s". */
  readonly came: string[];
  readonly failures: string[];
  readonly notices: string[];
  readonly completed: boolean;
  readonly failed: string | undefined;
  readonly stop: AbortController;
}
const begin = (
  {
    atomic = false,
    finishes = false,
    ...options
  }: Partial<WatchOptions> & { atomic?: boolean; finishes?: boolean } = {},
  other?: Source,
): Watched => {
  const stop = new AbortController();
  stops.push(stop);
  const context = recordingContext(ledger, stop.signal);
  const { failures, notices } = context;
  const came: string[] = [];
  let completed = false;
  let failed: string | undefined;
  watch(
    { pollInterval: 1, patience: 5, ...options },
    {
      ...context,
      roots: [folder, ...(other === undefined ? [] : [other])].map((source) => ({
        source,
        atomic,
        validate: (entry) => (source === folder ? folder.validate(entry) : Promise.resolve(undefined)),
        owns: () => source === folder,
      })),
      ledger,
    },
  ).subscribe({
    next: ({ entry, position }) => {
      came.push(`${entry.series === 's' ? '' : `${entry.series}/`}${entry.index}@${position}`);
      if (finishes) ledger.finish(entry, 'observed', { position });
    },
    complete: () => {
      completed = true;
    },
    error: (error: unknown) => {
      failed = messageOf(error);
    },
  });
  return {
    came,
    failures,
    notices,
    stop,
    get completed() {
      return completed;
    },
    get failed() {
      return failed;
    },
  };
};
const pass = (seconds: number): Promise<void> => jest.advanceTimersByTimeAsync(seconds * 1000);

test('frames come whole, in the order of their numbers, with their places', async () => {
  const run = begin();
  for (const index of [30, 10]) folder.put(`f${index}`, index);
  await pass(2);
  expect(run.came).toEqual([]); // two frames do not tell the increment
  folder.put('f20', 20);
  await pass(2);
  expect(run.came).toEqual(['10@0', '20@1', '30@2']);
  folder.put('f50', 50);
  await pass(2);
  folder.put('f40', 40);
  await pass(2);
  expect(run.came).toEqual(['10@0', '20@1', '30@2', '40@3', '50@4']);
  expect(ledger.frame('s', 50)).toMatchObject({ position: 4, path: 'f50' });
  expect(ledger.series('s')).toEqual({ series: 's', first: 10, increment: 10, last: 50 });
  expect(run.failures).toEqual([]);
});

test('a file that still changes waits, however valid it looks', async () => {
  for (const index of [0, 1, 2]) folder.put(`f${index}`, index);
  const run = begin();
  for (let i = 0; i < 20; i++) {
    await pass(0.2);
    folder.put('f1', 1);
  }
  expect(run.came).toEqual(['0@0']);
  await pass(1.5);
  expect(run.came).toEqual(['0@0', '1@1', '2@2']);
});

test('with atomic the validator alone decides, at the first look', async () => {
  for (const index of [0, 1, 2]) folder.put(`f${index}`, index);
  folder.put('f3', 3, { verdict: 'half' });
  const run = begin({ atomic: true });
  await pass(0);
  expect(run.came).toEqual(['0@0', '1@1', '2@2']);
  await pass(7);
  expect(run.failures).toEqual(['s 3 rejected: half']);
});

test('the frames of a short series are not held for ever', async () => {
  const run = begin();
  folder.put('f7', 7);
  await pass(4);
  expect(run.came).toEqual([]);
  await pass(3);
  expect(run.came).toEqual(['7@0']);
  folder.put('f9', 9);
  await pass(3);
  folder.put('f11', 11);
  await pass(2);
  expect(run.came).toEqual(['7@0', '9@1', '11@2']);
});

test('nothing is idle while a frame that was handed on may still come back', async () => {
  for (const index of [0, 1, 2]) folder.put(`f${index}`, index);
  const run = begin({ untilIdle: 3 });
  await pass(20);
  expect([run.came.length, run.completed]).toEqual([3, false]);
  for (const { position, ...entry } of ledger.unfinished('s'))
    ledger.finish(entry, 'observed', { position: position! });
  await pass(2);
  expect(run.completed).toBe(true);
});

test('a gap is not passed while the folder cannot be seen: the frame may be there all the time', async () => {
  for (const index of [0, 1, 2, 4]) folder.put(`f${index}`, index);
  const scan = folder.scan.bind(folder);
  const run = begin();
  await pass(2);
  expect(run.came).toEqual(['0@0', '1@1', '2@2']);
  folder.scan = () => Promise.reject(Object.assign(new Error('EIO: i/o error, scandir'), { code: 'EIO' }));
  await pass(20);
  folder.put('f3', 3);
  folder.scan = scan;
  await pass(70);
  expect(run.came.slice(3)).toEqual(['3@3', '4@4']);
  expect([run.failures, ledger.counts().missing]).toEqual([[], 0]);
});

test('what stays incomplete is rejected after the patience since its last change, and blocks nobody else', async () => {
  const run = begin();
  folder.put('f0', 0);
  folder.put('f1', 1, { verdict: 'it ends at byte 9' });
  for (const index of [2, 3]) folder.put(`f${index}`, index);
  for (const index of [0, 1, 2]) folder.put(`t/f${index}`, index, { series: 't' });
  await pass(4);
  folder.put('f1', 1, { verdict: 'it ends at byte 20' });
  expect(run.came).toEqual(['t/0@0', 't/1@1', 't/2@2', '0@0']);
  await pass(4);
  expect(run.failures).toEqual([]);
  await pass(3);
  expect(run.failures).toEqual(['s 1 rejected: it ends at byte 20']);
  expect(run.came.slice(3)).toEqual(['0@0', '2@2', '3@3']);
  expect(ledger.counts()).toMatchObject({ missing: 0, frames: { rejected: 1 } });
});

test('age is no reason to give up what cannot be read for a moment; what never can be is rejected after the patience', async () => {
  const old = Date.now() - 3_600_000;
  for (const index of [0, 1, 2, 3]) folder.put(`f${index}`, index, { mtime: old });
  const validate = folder.validate.bind(folder);
  let failures = 0;
  folder.validate = (entry) =>
    entry.path === 'f3' || (entry.path === 'f1' && failures++ === 0)
      ? Promise.reject(Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO' }))
      : validate(entry);
  const run = begin();
  await pass(3);
  expect([run.came, run.failures]).toEqual([['0@0', '1@1', '2@2'], []]);
  await pass(4);
  expect(run.failures).toEqual(['s 3 rejected: it cannot be read: EIO: i/o error']);
});

test('a missing number is waited for, then counted; when it comes after all it is late', async () => {
  for (const index of [0, 1, 2, 3, 5, 7]) folder.put(`f${index}`, index);
  const run = begin();
  await pass(4);
  expect(run.came).toEqual(['0@0', '1@1', '2@2', '3@3']);
  folder.put('f4', 4);
  await pass(4);
  expect(run.came.slice(4)).toEqual(['4@4', '5@5', '7@7']);
  expect(ledger.counts().missing).toBe(1);
  folder.put('f6', 6);
  await pass(2);
  expect(run.failures).toEqual(['s 6 rejected: late: it came after number 7']);
});

test('a missing number is waited for as long as is said, whatever the patience', async () => {
  for (const index of [0, 1, 2, 4]) folder.put(`f${index}`, index);
  const run = begin({ patience: 2, gapWait: 20 });
  await pass(15);
  expect(run.came).toEqual(['0@0', '1@1', '2@2']);
  await pass(10);
  expect(run.came.slice(3)).toEqual(['4@4']);
  expect(ledger.counts().missing).toBe(1);
});

test('where gaps end the run it fails with their place, and goes on once the frame is there', async () => {
  for (const index of [0, 1, 2, 5]) folder.put(`f${index}`, index);
  const run = begin({ onGap: 'fail' });
  await pass(4);
  expect(run.failed).toBeUndefined();
  await pass(4);
  expect(run.failed).toMatch(/^s: 2 missing between 2 and 5$/);
  expect(ledger.counts().missing).toBe(0);
  for (const index of [3, 4]) folder.put(`f${index}`, index);
  for (const frame of ledger.frames('s')) ledger.finish(frame, 'observed');
  const next = begin({ onGap: 'fail' });
  await pass(3);
  expect(next.came).toEqual(['3@3', '4@4', '5@5']);
});

test('old gaps are not waited for', async () => {
  const old = Date.now() - 3_600_000;
  for (const index of [0, 1, 2, 6, 7]) folder.put(`f${index}`, index, { mtime: old });
  const run = begin();
  await pass(1);
  expect(run.came).toEqual(['0@0', '1@1', '2@2', '6@6', '7@7']);
  expect(ledger.counts().missing).toBe(3);
});

test('numbers off the grid and numbers borne twice are rejected in words', async () => {
  for (const index of [0, 10, 20]) folder.put(`/d/f${index}.png`, index);
  const run = begin();
  await pass(2);
  folder.put('/d/f25.png', 25);
  folder.put('/d/f10.npy', 10);
  folder.put('/d/f30.png', 30);
  folder.put('/d/f30.npy', 30);
  await pass(2);
  expect(run.came).toEqual(['0@0', '10@1', '20@2', '30@3']);
  expect(run.failures.sort()).toEqual([
    expect.stringMatching(/^s 10 rejected: f10\.png and f10\.npy both have number 10: .*include/),
    's 25 rejected: number 25 does not fit the numbering of its series: 0, 10, 20, ...',
    expect.stringMatching(/^s 30 rejected: f30\.npy and f30\.png both have number 30/),
  ]);
  await pass(20);
  expect(run.failures).toHaveLength(3);
  expect(ledger.frame('s', 10)).toMatchObject({ path: '/d/f10.png' });

  for (const { index } of ledger.unfinished('s')) ledger.finish(ledger.frame('s', index)!, 'observed');
  folder.put('/d/f10.npy', 10);
  await pass(5);
  expect(ledger.counts().revised).toBe(1);
  expect(ledger.frame('s', 10)).toMatchObject({ path: '/d/f10.png', outcome: 'observed' });
});

test('a file that vanishes is lost, but a folder that is away for a moment loses nothing', async () => {
  const run = begin();
  for (const index of [0, 1, 2]) folder.put(`f${index}`, index);
  folder.put('f3', 3, { verdict: 'half' });
  await pass(2);
  folder.gone = true;
  await pass(4);
  folder.gone = false;
  folder.put('f3', 3);
  await pass(2);
  expect(run.came).toEqual(['0@0', '1@1', '2@2', '3@3']);
  folder.put('f4', 4, { verdict: 'half' });
  await pass(2);
  folder.remove('f4');
  await pass(7);
  expect(run.failures).toEqual(['s 4 lost: it went away before it was read']);
});

test('nothing is lost while nobody can say what is there, however long, and scans stay rare', async () => {
  const run = begin();
  for (const index of [0, 1, 2]) folder.put(`f${index}`, index);
  folder.put('f3', 3, { verdict: 'half' });
  await pass(2);
  const scan = folder.scan.bind(folder);
  let failures = 0;
  folder.scan = () => {
    failures++;
    return Promise.reject(new Error('the network is down'));
  };
  await pass(60);
  expect(failures).toBeLessThan(70);
  folder.scan = scan;
  folder.put('f3', 3);
  await pass(3);
  expect(run.failures).toEqual([]);
  expect(run.came).toEqual(['0@0', '1@1', '2@2', '3@3']);
  expect(run.notices).toEqual(['the scan failed: the network is down; trying again']);
});

test('a run that ends when nothing comes does not end while nobody can say what came', async () => {
  const run = begin({ untilIdle: 3, finishes: true });
  folder.put('f0', 0);
  await pass(2);
  const scan = folder.scan.bind(folder);
  folder.scan = () => Promise.reject(new Error('the network is down'));
  await pass(20);
  expect(run.completed).toBe(false);
  folder.scan = scan;
  folder.put('f1', 1);
  await pass(10); // scans have become rare
  expect(run.came).toEqual(['0@0', '1@1']);
  expect(run.completed).toBe(true);
});

test('a later run emits what was left unfinished, at its place, and nothing twice', async () => {
  for (const index of [5, 6, 7, 8, 9]) folder.put(`f${index}`, index);
  const first = begin({ frames: 4 });
  await pass(2);
  expect(first.came).toEqual(['5@0', '6@1', '7@2', '8@3']);
  expect(first.completed).toBe(true);
  const done = [...ledger.frames('s')].slice(0, 2);
  for (const frame of done) ledger.finish(frame, 'observed');
  await pass(60);
  folder.remove('f5');
  folder.remove('f7');
  folder.put('f10', 10);
  const second = begin();
  await pass(3);
  expect(second.came).toEqual([]); // number 7 may come back yet
  await pass(5);
  expect(second.came).toEqual(['8@3', '9@4', '10@5']);
  expect(second.failures).toEqual(['s 7 lost: it went away before it was read']);
});

test('where only the numbering of a series is known, frames before its first stay left out', async () => {
  ledger.putSeries({ series: 's', first: 6, increment: 2 });
  for (const index of [2, 4, 6, 8]) folder.put(`f${index}`, index);
  const run = begin();
  await pass(3);
  expect(run.came).toEqual(['6@0', '8@1']);
  expect(run.failures).toEqual([2, 4].map((n) => `s ${n} rejected: late: its series began with number 6`));
});

test('a folder that was moved goes on where it was', async () => {
  for (const index of [0, 1, 2]) folder.put(`/old/f${index}`, index, { mtime: 1000 });
  const first = begin();
  await pass(1);
  ledger.finish([...ledger.frames('s')][0] ?? folder.put('x', 0), 'observed');
  first.stop.abort();
  const entries = await folder.scan(first.stop.signal);
  for (const { path } of entries) folder.remove(path);
  folder = fakeFolder();
  for (const index of [0, 1, 2, 3]) folder.put(`/new/f${index}`, index, { mtime: 1000 });
  const second = begin();
  await pass(3);
  expect(second.came).toEqual(['1@1', '2@2', '3@3']);
  expect(second.failures).toEqual([]);
});

test('a file that changes after its outcome is counted, told once, and not read again', async () => {
  const entries = [0, 1, 2].map((index) => folder.put(`f${index}`, index));
  const run = begin();
  await pass(2);
  folder.put('f2', 2); // on its way still: the reader will see
  for (const entry of entries.slice(0, 2)) ledger.finish(entry, 'observed');
  folder.put('f0', 0);
  folder.put('f1', 1);
  await pass(5);
  expect(ledger.counts().revised).toBe(2);
  expect(run.notices).toEqual([expect.stringContaining('changed after it was used')]);
  expect(run.came).toHaveLength(3);
  folder.put('f1', 1);
  await pass(2);
  expect(ledger.counts().revised).toBe(3);
});

test('completes when idle, but not while a file may still become whole', async () => {
  for (const index of [0, 1, 2]) folder.put(`f${index}`, index);
  folder.put('f3', 3, { verdict: 'half' });
  const run = begin({ untilIdle: 3, finishes: true });
  await pass(4);
  expect(run.completed).toBe(false);
  await pass(3);
  expect(run.failures).toEqual(['s 3 rejected: half']);
  expect(run.completed).toBe(false);
  await pass(3);
  expect(run.completed).toBe(true);
});

test('a root that hangs holds up no other, and with one nobody is idle before both were looked at', async () => {
  const other = fakeFolder();
  let answer = (): void => undefined;
  const hanging: Source = {
    ...other,
    scan: (signal) => new Promise<void>((resolve) => (answer = resolve)).then(() => other.scan(signal)),
  };
  other.put('o/f0', 0, { series: 'o' });
  for (const index of [0, 1, 2]) folder.put(`f${index}`, index);
  const run = begin({ untilIdle: 3, finishes: true }, hanging);
  await pass(20);
  expect(run.came).toEqual(['0@0', '1@1', '2@2']);
  expect(run.completed).toBe(false);
  for (let look = 0; look < 4; look++) {
    answer();
    await pass(70); // it rests after a scan that took so long
  }
  expect(run.came.slice(3)).toEqual(['o/0@0']);
  expect(run.completed).toBe(true);
});

test('completes at once when stopped, and scans no more', async () => {
  for (const index of [0, 1, 2]) folder.put(`f${index}`, index);
  const run = begin();
  await pass(0.01);
  run.stop.abort();
  expect(run.completed).toBe(true);
  const { scans } = folder;
  await pass(10);
  expect(folder.scans).toBe(scans);
  expect(run.came).toEqual([]);
});

test('hints bring scans forward, a burst of them not many', async () => {
  const run = begin({ pollInterval: 60, atomic: true });
  await pass(1);
  for (const index of [0, 1, 2]) folder.put(`f${index}`, index);
  const before = folder.scans;
  for (let i = 0; i < 1000; i++) folder.hint();
  await pass(1);
  expect(run.came).toEqual(['0@0', '1@1', '2@2']);
  expect(folder.scans - before).toBeLessThan(10);
});

test('files that hints name are taken by looks at them alone', async () => {
  folder = fakeFolder({ looks: true });
  folder.put('f0', 0); // a series is known from a scan
  const run = begin({ pollInterval: 60 });
  await pass(1);
  const put = (path: string, index: number): void => {
    folder.put(path, index);
    folder.hint([path]);
  };
  for (const index of [1, 2]) put(`f${index}`, index);
  await pass(1);
  expect(run.came).toEqual(['0@0', '1@1', '2@2']);
  put('f3', 3);
  await pass(0.1);
  // What others do is no second look at it, however long ago the first one was.
  for (let i = 0; i < 4; i++) {
    folder.put('f3', 3);
    await pass(0.2);
    put('g5', 5);
  }
  expect(run.came).toHaveLength(3);
  await pass(1);
  expect(run.came.slice(3)).toEqual(['3@3']);

  for (const frame of ledger.frames('s')) ledger.finish(frame, 'observed');
  folder.remove('f1');
  const moved = folder.put('moved1', 1, { mtime: 5 });
  ledger.revise({ ...moved, path: 'f1' });
  folder.hint(['f1', 'moved1']);
  await pass(2);
  expect(run.failures).toEqual([]);
  expect(folder.scans).toBe(1);
});

test('a new series begins with its first frame, whichever of its files are hinted at first', async () => {
  folder = fakeFolder({ looks: true });
  const run = begin({ pollInterval: 100, atomic: true });
  folder.put('f9', 9, { series: 'old' });
  await pass(101);
  for (const index of [0, 1, 2, 3]) folder.put(`n${index}`, index);
  folder.hint(['n1', 'n2', 'n3']);
  await pass(20);
  expect(run.came.filter((one) => one.includes('@') && !one.startsWith('old'))).toEqual([
    '0@0',
    '1@1',
    '2@2',
    '3@3',
  ]);
  expect(run.failures).toEqual([]);
});

test('without hints everything is found by scans, and what only a scan can tell is left to one', async () => {
  folder = { ...fakeFolder(), look: () => Promise.resolve(undefined) };
  const run = begin();
  for (const index of [0, 1, 2]) folder.put(`f${index}`, index);
  folder.hint(['f1']);
  await pass(3);
  expect(run.came).toEqual(['0@0', '1@1', '2@2']);
  folder.put('f3', 3);
  await pass(3);
  expect(run.came.slice(3)).toEqual(['3@3']);
});

test('scans that take long are rare, hints or not, and an idle folder is scanned at the first hint', async () => {
  folder.scanTakes = 2000;
  begin();
  for (let i = 0; i < 1000; i++) {
    folder.hint();
    await pass(0.1);
  }
  expect(folder.scans).toBeGreaterThanOrEqual(5);
  expect(folder.scans).toBeLessThanOrEqual(7); // 2 s of each 20
  folder.scanTakes = 0;
  await pass(60);
  const idle = begin({ pollInterval: 1000 });
  await pass(30);
  for (const index of [0, 1, 2]) folder.put(`f${index}`, index, { mtime: 1 });
  folder.hint();
  await pass(0.5);
  expect(idle.came).toEqual(['0@0', '1@1', '2@2']);
});

test('files that are not whole yet, or never will be, tell the numbering too', async () => {
  const run = begin();
  folder.put('f0', 0);
  folder.put('f1', 1, { verdict: 'half' });
  for (const index of [2, 4]) folder.put(`f${index}`, index);
  await pass(2);
  folder.put('f1', 1);
  for (const index of [3, 5]) folder.put(`f${index}`, index);
  await pass(2);
  expect(run.came).toEqual(['0@0', '1@1', '2@2', '3@3', '4@4', '5@5']);

  folder.put('t/f0', 0, { series: 't' });
  folder.put('t/f1', 1, { series: 't', verdict: 'half' });
  await pass(3);
  for (const index of [2, 3]) folder.put(`t/f${index}`, index, { series: 't' });
  await pass(3);
  expect(run.came.slice(6)).toEqual(['t/0@0', 't/2@2', 't/3@3']);
  expect(run.failures).toEqual(['t 1 rejected: half']);
});

test('a clock that is set back, or forward, while files wait changes nothing', async () => {
  const run = begin();
  for (const index of [0, 1, 2]) folder.put(`f${index}`, index);
  folder.put('f3', 3, { verdict: 'half' });
  await pass(2);
  for (const [index, hours] of [
    [3, -24],
    [4, 24],
  ] as const) {
    folder.put(`f${index}`, index, { verdict: 'half' });
    await pass(1);
    jest.setSystemTime(Date.now() + hours * 3_600_000);
    await pass(1);
    folder.put(`f${index}`, index);
    await pass(2);
  }
  expect(run.came).toEqual(['0@0', '1@1', '2@2', '3@3', '4@4']);
  expect(run.failures).toEqual([]);
});

test('whatever the order, the tears and the gaps: each file one end, places rising', async () => {
  const file = fc.record({
    at: fc.nat(12),
    torn: fc.nat(3),
    broken: fc.boolean(),
    absent: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
  });
  let trial = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(file, { minLength: 4, maxLength: 12 }), async (files) => {
      const name = `s${++trial}`;
      folder = fakeFolder();
      const run = begin({ patience: 4 });
      for (let second = 0; second < 16; second++) {
        for (const [index, { at, torn, broken, absent }] of files.entries()) {
          if (absent || second < at || second > at + torn) continue;
          const half = second < at + torn || (broken && index % 3 === 1);
          folder.put(`f${index}`, index, { series: name, ...(half ? { verdict: 'half' } : {}) });
        }
        await pass(1);
      }
      await pass(20);
      run.stop.abort();
      const ours = run.came.filter((text) => text.startsWith(`${name}/`));
      const came = ours.map((text) => Number(/(\d+)@/.exec(text)?.[1]));
      const failed = run.failures
        .filter((text) => text.startsWith(`${name} `))
        .map((text) => Number(text.split(' ')[1]));
      expect(came).toEqual([...came].sort((a, b) => a - b));
      const there = files.flatMap(({ absent }, index) => (absent ? [] : [index]));
      expect([...came, ...failed].sort((a, b) => a - b)).toEqual(there);
      const places = ours.map((text) => Number(text.split('@')[1]));
      const { first = 0, increment = 1 } = ledger.series(name) ?? {};
      expect(places).toEqual(came.map((index) => (index - first) / (increment || 1)));
    }),
    { seed: 4, numRuns: 40 },
  );
});
