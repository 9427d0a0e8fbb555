import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { openLedger, type Ledger } from '../../src/pipeline/ledger/ledger.js';
import type { CodecOptions } from '../../src/pipeline/plugins/registry.js';
import { requireSameReading } from '../../src/pipeline/state/require-same.js';

let home: string;
let ledger: Ledger;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'mesocast-same-'));
  ledger = openLedger(home);
});
afterEach(async () => {
  await ledger.close();
  await rm(home, { recursive: true });
});

const begin = (codecs: CodecOptions): Promise<void> => requireSameReading(ledger, codecs, home);
const take = (name: string): void => {
  const revision = { size: 6, mtimeNs: '1' };
  ledger.putSeries({ series: name, first: 0, increment: 1 });
  ledger.finish({ series: name, index: 0, path: `/run/${name}`, revision }, 'observed', { position: 0 });
};

test('an option of a codec is neither changed nor left out nor added once it has read a frame', async () => {
  const b = { hdf5: { field: 'entry/b' } };
  await begin({});
  await begin(b); // nothing is read yet
  take('a.h5');
  await begin(b);
  await expect(begin({})).rejects.toThrow(
    /were read with hdf5.field "entry\/b", this run says nothing of it$/,
  );
  await expect(begin({ hdf5: { field: 'entry/c' } })).rejects.toMatchObject({
    message: expect.stringMatching(/were read with hdf5.field "entry\/b", this run asks for "entry\/c"$/),
    hint: 'begin anew with another --state folder',
  });
  await expect(begin({ hdf5: { ...b.hdf5, times: 't' } })).rejects.toThrow(
    /were read without hdf5.times, this run asks for "t"$/,
  );
  await begin(b);
});

test('a default may be spelled out or not', async () => {
  await begin({});
  take('a.npy');
  await begin({ npy: { axes: 'auto' } });
  await begin({});
  await expect(begin({ npy: { axes: 'HW' } })).rejects.toThrow(/with npy.axes "auto", .* asks for "HW"$/);
  await begin({});
});

test('options of codecs that have read nothing are free, and those of a state that never said them', async () => {
  await begin({});
  take('a.png');
  for (const field of ['phi', 'mu']) await begin({ vti: { field } });
  await begin({});
  ledger.putNote('codecs', undefined);
  take('a.vti');
  await begin({ vti: { field: 'phi' } });
  await expect(begin({})).rejects.toThrow(/were read with vti.field "phi"/);
});

test('of codecs of one’s own each has its options, and older notes of them count', async () => {
  const codec = async (folder: string, name: string): Promise<string> => {
    const path = join(home, folder, 'index.mjs');
    await mkdir(join(home, folder));
    await writeFile(
      path,
      `import { defineCodec, z } from ${JSON.stringify(new URL('../../src/index.js', import.meta.url))};
       export const codec = defineCodec({ name: '${name}', summary: '', create: () => ({ extensions: ['.${name}'] }),
         options: z.strictObject({ field: z.string().optional() }) });`,
    );
    return path;
  };
  const [a, b] = [await codec('a', 'one'), await codec('b', 'two')];
  const both = { [a]: { field: 'phi' }, [b]: {} };
  await begin(both);
  take('frame.one');
  await begin(both);
  await expect(begin({ [a]: {}, [b]: {} })).rejects.toThrow(/were read with \.\/one\.field "phi"/);
  ledger.putNote('codecs', { [a]: { field: 'mu' } });
  await begin({ [a]: { field: 'mu' } });
  await expect(begin({ [a]: {} })).rejects.toThrow(/were read with \.\/one\.field "mu"/);
});

test('options that concern writing alone are free', async () => {
  await begin({});
  take('a.png');
  await begin({ png: { compression: 1 }, tiff: { compression: 'none' } });
  await begin({});
});
