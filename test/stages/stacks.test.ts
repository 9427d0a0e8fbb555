import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { appendFile, copyFile, mkdir, mkdtemp, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { directory } from '../../plugins/sources/directory.js';
import { createCredits } from '../../src/pipeline/intake/credits.js';
import { openCodecs, validator } from '../../src/pipeline/intake/input.js';
import type { Codec, Source } from '../../src/pipeline/plugins/plugin.js';
import type { LedgerCounts } from '../../src/pipeline/ledger/records.js';
import { openLedger } from '../../src/pipeline/ledger/ledger.js';
import { createRecall } from '../../src/pipeline/state/recall.js';
import type { Entry } from '../../src/pipeline/frame.js';
import { withStacks } from '../../src/pipeline/intake/stacks.js';
import { read } from '../../src/stages/read.js';
import { watch } from '../../src/stages/watch.js';
import { recordingContext } from '../support/ingest.js';

const golden = (name: string): string =>
  fileURLToPath(new URL(`../../../test/codecs/golden/scientific/${name}`, import.meta.url));

let home: string;
let root: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'mesocast-stacks-'));
  root = join(home, 'run');
  await mkdir(root);
});
afterEach(() => rm(home, { recursive: true }));

interface Ingested {
  readonly came: readonly string[];
  readonly failures: readonly string[];
  readonly notices: readonly string[];
  readonly counts: LedgerCounts;
  readonly recalled: number;
}

/** Follows the folder until nothing comes any more; `onFrame` may write meanwhile. */
const ingest = async (
  onFrame: (key: string) => Promise<void> = async () => undefined,
  untilIdle = 1,
): Promise<Ingested> => {
  const codecs = await openCodecs(1, { raw: { height: 2, width: 3, type: 'uint8' }, npy: { axes: 'NHW' } });
  const ledger = openLedger(home);
  const context = recordingContext(ledger, new AbortController().signal);
  const log = (message: string): void => {
    context.notice(message);
  };
  const source = directory.create(directory.options.parse({ directory: root }), { log, ...codecs });
  const stacks = withStacks(source, {
    ledger,
    codecFor: codecs.for,
    validate: validator(codecs.for),
    notice: log,
  });
  const came: string[] = [];
  const writes: Promise<void>[] = [];
  await watch(
    { pollInterval: 0.1, patience: 1, untilIdle },
    { ...context, ledger, roots: [{ ...stacks, atomic: false, owns: () => true }] },
  )
    .pipe(
      read({ ...context, ledger, credits: createCredits({ items: 4, bytes: 1e6 }), codecFor: codecs.for }),
    )
    .forEach(({ frame, release }) => {
      const key = `${frame.series} ${frame.index}@${frame.position}=${frame.data[0] ?? ''}`;
      came.push(key);
      const { contentHash, position } = frame;
      ledger.finish(frame.source, 'observed', { contentHash, position });
      release();
      writes.push(onFrame(key));
    });
  await Promise.all(writes);
  const recall = createRecall({ ledger, codecFor: codecs.for, notice: log });
  const recalled = (await recall('run/grows.raw', 0, 9)).length;
  const counts = ledger.counts();
  await ledger.close();
  return { came: came.sort(), failures: context.failures, notices: context.notices, counts, recalled };
};

const frame = (value: number): Buffer => Buffer.alloc(6, value);

test('a file of several frames is a series of its own, one of a single frame stays in its folder', async () => {
  await copyFile(golden('pages.tif'), join(root, 'movie.tif'));
  await copyFile(golden('movie_u2.mrc'), join(root, 'scan_7.mrc'));
  await writeFile(join(root, 'f_5.raw'), frame(9));
  await writeFile(join(root, 'broken.h5'), 'this is no HDF5');
  const first = await ingest();
  expect(first.came.map((key) => key.replace(/=.*/, ''))).toEqual([
    'run 5@0',
    ...[0, 1, 2].map((item) => `run/movie.tif ${item}@${item}`),
    ...[0, 1, 2].map((item) => `run/scan_7.mrc ${item}@${item}`),
  ]);
  expect(first.failures).toEqual(['run/broken.h5 0 rejected: it does not begin like an HDF5 file']);
  const again = await ingest();
  expect(again.came).toEqual([]);
  expect(again.counts).toEqual(first.counts);
});

test('a file that grows gives its frames one by one, and is no other file for that; one that is rewritten is', async () => {
  const path = join(root, 'grows.raw');
  await writeFile(path, Buffer.concat([frame(0), frame(1), frame(2).subarray(0, 2)]));
  let written = 2;
  const first = await ingest(async () => {
    if (written++ === 2) await appendFile(path, frame(2).subarray(2));
    else if (written < 6) await appendFile(path, frame(written - 1));
  });
  const expected = Array.from({ length: first.came.length }, (_, i) => `run/grows.raw ${i}@${i}=${i}`);
  expect(first.came.length).toBeGreaterThanOrEqual(3);
  expect(first.came).toEqual(expected);
  expect(first).toMatchObject({ failures: [], counts: { revised: 0 }, recalled: first.came.length });

  await appendFile(path, frame(first.came.length));
  const second = await ingest();
  expect(second.came).toEqual([`run/grows.raw ${expected.length}@${expected.length}=${expected.length}`]);
  expect(second.counts).toMatchObject({ revised: 0, frames: { observed: expected.length + 1 } });

  await writeFile(path, Buffer.concat([frame(8), frame(9)]));
  await utimes(path, 1e9, 1e9);
  const third = await ingest();
  expect(third.came).toEqual([]);
  expect(third.counts.revised).toBe(2);
});

test('a numbered file that comes to hold several frames is a series of its own, however it was seen first', async () => {
  const path = join(root, 'scan_3.raw');
  await writeFile(path, '');
  const writer = async (): Promise<void> => {
    await pause(400);
    await appendFile(path, Buffer.concat([frame(0), frame(1)]));
    await pause(600);
    await appendFile(path, frame(2));
    await pause(1500); // longer than what is missing has patience
    await appendFile(path, frame(3));
  };
  const written = writer();
  const { came, failures, counts } = await ingest(undefined, 3);
  await written;
  expect(came).toEqual([0, 1, 2, 3].map((item) => `run/scan_3.raw ${item}@${item}=${item}`));
  expect([failures, counts.revised]).toEqual([[], 0]);
});

const RAW = { raw: { height: 2, width: 3, type: 'uint8' } };

test('a file that cannot be counted is counted again, and has the frames that it had until then', async () => {
  const path = join(root, 'grows.raw');
  await writeFile(path, Buffer.concat([frame(0), frame(1)]));
  const codecs = await openCodecs(1, RAW);
  const ledger = openLedger(home);
  const { signal } = new AbortController();
  const raw = codecs.for(path)!;
  const error = Object.assign(new Error('EMFILE: too many open files'), { code: 'EMFILE' });
  let fails = false;
  const codec: Codec = {
    ...raw,
    stack: {
      ...raw.stack!,
      count: (bytes) => (fails ? Promise.reject(error) : raw.stack!.count(bytes)),
    },
  };
  const notices: string[] = [];
  const attach = () => {
    const source = directory.create(directory.options.parse({ directory: root }), {
      log: () => undefined,
      ...codecs,
    });
    const notice = (text: string): void => void notices.push(text);
    const stacks = withStacks(source, {
      ledger,
      codecFor: () => codec,
      validate: validator(codecs.for),
      notice,
    });
    return { scan: () => stacks.source.scan(signal), validate: stacks.validate };
  };
  const sizes = (entries: readonly Entry[]): number[] => entries.map(({ revision }) => revision.size);

  const { scan, validate } = attach();
  fails = true;
  const [unknown] = await scan();
  await expect(validate(unknown!)).rejects.toBe(error);
  fails = false;
  expect(sizes(await scan())).toEqual([12, 12]);
  fails = true;
  await appendFile(path, frame(2));
  const [first, second] = await scan();
  expect(await validate(second!)).toBeUndefined();
  fails = false;
  expect(sizes(await scan())).toEqual([12, 12, 18]);
  expect(notices).toEqual([expect.stringMatching(/grows\.raw cannot be read \(EMFILE: .*it is tried again/)]);

  // A later run takes frames that were dealt with for the same, however its first look ended.
  for (const entry of [first!, second!]) ledger.finish(entry, 'observed');
  const later = attach();
  fails = true;
  await later.scan();
  fails = false;
  expect(sizes(await later.scan())).toEqual([12, 12, 18]);

  await rm(path);
  for (const name of ['scan_9.raw', 'movie.raw']) await symlink('nowhere', join(root, name));
  const links = await later.scan();
  expect(links).toHaveLength(2);
  for (const link of links) expect(await later.validate(link)).toBe('it is a link that points nowhere');
  await ledger.close();
});

test('files before the start are dealt with, until one comes to hold several frames', async () => {
  for (const name of ['f_1.png', 'scan_2.raw', 'movie.raw']) await writeFile(join(root, name), frame(1));
  await appendFile(join(root, 'movie.raw'), frame(2));
  const codecs = await openCodecs(1, RAW);
  const ledger = openLedger(home);
  const { signal } = new AbortController();
  const source = directory.create(directory.options.parse({ directory: root }), {
    log: () => undefined,
    ...codecs,
  });
  const dealtWith = new Set<string>();
  const asked: Source = {
    ...source,
    scan: (stop, isDone = () => false) =>
      source.scan(stop, (entry) => {
        const isDealtWith = isDone(entry);
        if (isDealtWith) dealtWith.add(basename(entry.path));
        else dealtWith.delete(basename(entry.path));
        return isDealtWith;
      }),
  };
  const stacks = withStacks(asked, {
    ledger,
    codecFor: codecs.for,
    validate: validator(codecs.for),
    notice: () => undefined,
    isLeftOut: ({ series }) => series !== 'run/scan_2.raw',
  });
  const scan = async (): Promise<string[]> =>
    (await stacks.source.scan(signal)).map(({ series, index }) => `${series} ${index}`);
  expect(await scan()).toEqual(['run 2']); // whether it is one frame is not known before it is counted
  for (let round = 0; round < 3; round++) expect(await scan()).toEqual([]);
  expect([...dealtWith].sort()).toEqual(['f_1.png', 'scan_2.raw']);
  await appendFile(join(root, 'scan_2.raw'), frame(2));
  expect(await scan()).toEqual(['run/scan_2.raw 0', 'run/scan_2.raw 1']);
  await ledger.close();
});
