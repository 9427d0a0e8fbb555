import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { appendFile, copyFile, mkdir, mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { directory } from '../../plugins/sources/directory.js';
import { createCredits } from '../../src/pipeline/intake/credits.js';
import { openCodecs, validator } from '../../src/pipeline/intake/input.js';
import type { LedgerCounts } from '../../src/pipeline/ledger/records.js';
import { openLedger } from '../../src/pipeline/ledger/ledger.js';
import { createRecall } from '../../src/pipeline/state/recall.js';
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
      read(
        {},
        { ...context, ledger, credits: createCredits({ items: 4, bytes: 1e6 }), codecFor: codecs.for },
      ),
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
