import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { createHash } from 'node:crypto';
import { mkdtemp, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Subject, from } from 'rxjs';
import { npy } from '../../plugins/codecs/npy.js';
import { png } from '../../plugins/codecs/png.js';
import { codecsByName } from '../../src/pipeline/bytes.js';
import type { Credits } from '../../src/pipeline/intake/credits.js';
import { createCredits } from '../../src/pipeline/intake/credits.js';
import type { Field } from '../../src/pipeline/frame.js';
import type { Ledger } from '../../src/pipeline/ledger/ledger.js';
import { openLedger } from '../../src/pipeline/ledger/ledger.js';
import type { Admitted, Ready } from '../../src/pipeline/run.js';
import { read } from '../../src/stages/read.js';
import { sampleField } from '../support/codec-conformance.js';
import { recordingContext } from '../support/ingest.js';

const codecs = [png.create(png.options.parse({}), undefined), npy.create(npy.options.parse({}), undefined)];
let home: string;
let ledger: Ledger;
let credits: Credits;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'mesocast-read-'));
  ledger = openLedger(home);
  credits = createCredits({ items: 4, bytes: 1e6 });
});
afterEach(async () => {
  await ledger.close();
  await rm(home, { recursive: true });
});

const place = async (name: string, content: Field | Buffer | string, series = 's'): Promise<Ready> => {
  const path = join(home, name);
  const codec = codecsByName(codecs)(path);
  const isBytes = typeof content === 'string' || Buffer.isBuffer(content);
  await writeFile(path, isBytes ? content : ((await codec?.encode(content)) ?? ''));
  return looked(name, series);
};
const looked = async (name: string, series = 's'): Promise<Ready> => {
  const path = join(home, name);
  const { size, mtimeNs } = await stat(path, { bigint: true });
  const index = Number(/\d+/.exec(name)?.[0]);
  const revision = { size: Number(size), mtimeNs: String(mtimeNs) };
  return { entry: { series, index, path, revision }, position: index };
};
const started = (): { context: ReturnType<typeof recordingContext>; stop: AbortController } => {
  const stop = new AbortController();
  return { context: recordingContext(ledger, stop.signal), stop };
};
/** Reads all, releasing each frame at once. */
const readAll = async (
  ready: readonly Ready[],
): Promise<{ came: Admitted[]; failures: readonly string[] }> => {
  const { context } = started();
  const came: Admitted[] = [];
  await from(ready)
    .pipe(read({ ...context, ledger, credits, codecFor: (path) => codecsByName(codecs)(path) }))
    .forEach((admitted) => {
      came.push(admitted);
      admitted.release();
    });
  return { came, failures: context.failures };
};
const field = sampleField('uint16', [6, 5, 1]);

test('frames come in the order they were ready, with their values and the hash of their bytes', async () => {
  const large = sampleField('uint16', [900, 1000, 1]);
  const ready = [
    await place('f0.png', large, 'big'),
    await place('f1.png', field),
    await place('f2.npy', field),
  ];
  const { came, failures } = await readAll(ready);
  expect(failures).toEqual([]);
  expect(came.map(({ frame }) => `${frame.series}${frame.index}@${frame.position}`)).toEqual([
    'big0@0',
    's1@1',
    's2@2',
  ]);
  const [, frame] = came.map((admitted) => admitted.frame);
  expect(frame).toMatchObject({ shape: [6, 5, 1], sampleType: 'uint16', source: ready[1]?.entry });
  expect(frame?.data).toEqual(field.data);
  const bytes = await codecs[0]?.encode(field);
  expect(frame?.contentHash).toBe(
    createHash('sha256')
      .update(bytes ?? '')
      .digest('hex'),
  );
  expect(ledger.series('s')).toMatchObject({ shape: [6, 5, 1], sampleType: 'uint16' });
  expect([credits.items, credits.bytes]).toEqual([0, 0]);
});

test('a file that cannot be opened for a moment is tried again', async () => {
  const ready = await place('f0.png', field);
  const path = join(home, 'f0.png');
  await rename(path, `${path}.away`);
  await symlink('f0.png', path); // a link to itself: ELOOP
  const reading = readAll([ready]);
  await new Promise((resolve) => setTimeout(resolve, 100));
  await rename(`${path}.away`, path);
  const { came, failures } = await reading;
  expect(failures).toEqual([]);
  expect(came[0]?.frame.data).toEqual(field.data);
});

test('each kind of bad file is refused in its own words, and the next one comes', async () => {
  const whole = (await codecs[0]?.encode(field)) ?? Buffer.alloc(0);
  const spoilt: Field = { ...sampleField('float32', [6, 5, 1]), data: new Float32Array(30).fill(1) };
  spoilt.data.set([NaN, 1, Infinity], 13);
  const ready = [
    await place('f0.png', field),
    await place('f1.png', whole.subarray(0, -1)),
    await place('f2.png', 'some text'),
    await place('f3.png', ''),
    await place('f4.png', sampleField('uint16', [6, 4, 1])),
    await place('f5.npy', spoilt, 'other'),
    await place('f6.png', sampleField('uint8', [6, 5, 1])),
    await place('f7.xyz', 'what is this'),
    await place('f8.png', field),
    await place('f9.png', field),
  ];
  await rm(join(home, 'f8.png'));
  const { came, failures } = await readAll(ready);
  expect(came.map(({ frame }) => frame.index)).toEqual([0, 9]);
  expect(failures).toEqual([
    `s 1 rejected: it ends at byte ${whole.length - 1}, before the end of the PNG`,
    's 2 rejected: it does not begin like a PNG',
    's 3 rejected: the file is empty',
    expect.stringMatching(/^s 4 rejected: its shape is 6x4x1, that of its series 6x5x1/),
    'other 5 rejected: 1 of its 30 values is infinite, the first in row 3, column 0: write NaN where there is no value',
    's 6 rejected: its samples are uint8, those of its series uint16',
    's 7 rejected: no codec reads .xyz files',
    's 8 lost: it went away before it was read',
  ]);
  expect(credits.items).toBe(0);
});

test('a coloured frame is none of a grey series', async () => {
  const colour = sampleField('uint8', [2, 2, 3]);
  const grey: Field = { ...colour, data: Float32Array.from(colour.data, (_, i) => Math.floor(i / 3)) };
  const ready = [await place('f0.png', grey), await place('f1.png', colour)];
  expect((await readAll(ready)).failures).toEqual([expect.stringContaining('its shape is 2x2x3')]);
});

test('a file that was rewritten since it was found whole is read as it is now', async () => {
  const ready = await place('f0.npy', 'half');
  await place('f0.npy', field);
  const { came, failures } = await readAll([ready]);
  expect(failures).toEqual([]);
  expect(came[0]?.frame.source).toEqual((await looked('f0.npy')).entry);
});

test('no more is read than the pool allows, and a stop lets go of what waits', async () => {
  const ready = await Promise.all([0, 1, 2, 3, 4, 5].map((i) => place(`f${i}.png`, field)));
  credits = createCredits({ items: 2, bytes: 1e6 });
  const { context, stop } = started();
  const came: Admitted[] = [];
  const changed = new Subject<void>();
  const completed = new Promise<void>((resolve, reject) => {
    from(ready)
      .pipe(read({ ...context, ledger, credits, codecFor: (path) => codecsByName(codecs)(path) }))
      .subscribe({
        next: (admitted) => {
          came.push(admitted);
          changed.next();
        },
        complete: resolve,
        error: reject,
      });
  });
  const until = (count: number): Promise<void> =>
    new Promise((resolve) => {
      const look = (): void => {
        if (came.length >= count) resolve();
      };
      changed.subscribe(look);
      look();
    });
  await until(2);
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(came.map(({ frame }) => frame.index)).toEqual([0, 1]);
  came[0]?.release();
  await until(3);
  stop.abort();
  await completed;
  expect(came.map(({ frame }) => frame.index)).toEqual([0, 1, 2]);
  expect(context.failures).toEqual([]);
  for (const admitted of came) admitted.release();
  expect(credits.items).toBe(0);
});
