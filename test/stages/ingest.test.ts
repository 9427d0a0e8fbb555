import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { mkdir, mkdtemp, open, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { npy } from '../../plugins/codecs/npy.js';
import { png } from '../../plugins/codecs/png.js';
import { tiff } from '../../plugins/codecs/tiff.js';
import { directory } from '../../plugins/sources/directory.js';
import { codecsByName, validateFile } from '../../src/pipeline/bytes.js';
import { createCredits } from '../../src/pipeline/intake/credits.js';
import { CodecError } from '../../src/pipeline/errors.js';
import type { Field } from '../../src/pipeline/frame.js';
import { openLedger } from '../../src/pipeline/ledger/ledger.js';
import type { Codec } from '../../src/pipeline/plugins/plugin.js';
import { read } from '../../src/stages/read.js';
import { watch } from '../../src/stages/watch.js';
import { recordingContext } from '../support/ingest.js';

const codecs = [
  png.create(png.options.parse({}), undefined),
  tiff.create(tiff.options.parse({}), undefined),
  npy.create(npy.options.parse({}), undefined),
];
const codecOf = (path: string): Codec => {
  const codec = codecsByName(codecs)(path);
  if (codec === undefined) throw new CodecError(`no codec for ${path}`);
  return codec;
};

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'mesocast-ingest-'));
});
afterEach(() => rm(home, { recursive: true }));

const fieldOf = (index: number): Field => ({
  shape: [40, 30, 1],
  data: Float32Array.from({ length: 1200 }, (_, i) => (i * 7919 + index * 104729) % 65536),
  sampleType: 'uint16',
});

/** Writes into the file's own place in pieces, as most simulations do. */
const writeTorn = async (path: string, bytes: Buffer, pieces: number): Promise<void> => {
  const file = await open(path, 'w');
  for (let i = 0; i < pieces; i++) {
    const [from, to] = [i, i + 1].map((n) => Math.round((n * bytes.length) / pieces));
    await file.write(bytes.subarray(from, to));
    await delay(5);
  }
  await file.close();
};

test('a folder written by torn and by atomic writers comes through whole, in order and once', async () => {
  const root = join(home, 'run');
  for (const name of ['png', 'tiff', 'npy']) await mkdir(join(root, name), { recursive: true });
  const write = async (name: string, index: number): Promise<void> => {
    const path = join(root, name, `f_${String(index).padStart(4, '0')}.${name}`);
    const bytes = await codecOf(path).encode(fieldOf(index));
    if (name === 'tiff') {
      await writeFile(`${path}.tmp`, bytes);
      await rename(`${path}.tmp`, path);
    } else if (index === 40) await writeFile(path, bytes.subarray(0, bytes.length - 5));
    else await writeTorn(path, bytes, 1 + (index % 5));
  };
  const frames = 15;
  const writer = Promise.all(
    ['png', 'tiff', 'npy'].map(async (name) => {
      for (let i = 0; i < frames; i++) await write(name, i * 10);
    }),
  );

  const ledger = openLedger(home);
  const context = recordingContext(ledger, new AbortController().signal);
  const source = directory.create(directory.options.parse({ directory: root }), {
    log: (message) => {
      context.notice(message);
    },
    extensions: codecs.flatMap(({ extensions }) => extensions),
  });
  await source.open(context.signal);
  const came = new Map<string, number[]>();
  await watch(
    { pollInterval: 0.1, patience: 2, untilIdle: 1 },
    {
      ...context,
      roots: [
        {
          source,
          atomic: false,
          validate: ({ path }) => validateFile(path, codecOf(path)),
          owns: () => true,
        },
      ],
      ledger,
    },
  )
    .pipe(read({ ...context, ledger, credits: createCredits({ items: 4, bytes: 1e6 }), codecFor: codecOf }))
    .forEach((admitted) => {
      const { frame } = admitted;
      expect(frame.data).toEqual(fieldOf(frame.index).data);
      expect(frame.position).toBe(frame.index / 10);
      came.set(frame.series, [...(came.get(frame.series) ?? []), frame.index]);
      ledger.finish(frame.source, 'observed', { contentHash: frame.contentHash });
      admitted.release();
    });
  await writer;
  await source.close();
  await ledger.close();

  const all = Array.from({ length: frames }, (_, i) => i * 10);
  const without40 = all.filter((index) => index !== 40);
  expect(Object.fromEntries(came)).toEqual({ 'run/png': without40, 'run/tiff': all, 'run/npy': without40 });
  expect(context.failures.map((text) => text.split(':')[0]).sort()).toEqual([
    'run/npy 40 rejected',
    'run/png 40 rejected',
  ]);
  expect(ledger.counts()).toMatchObject({ missing: 0, revised: 0, frames: { observed: 43, rejected: 2 } });
});
