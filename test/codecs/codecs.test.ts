import { describe, expect, test } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { encodeNpy, npy } from '../../plugins/codecs/npy.js';
import { png } from '../../plugins/codecs/png.js';
import { tiff } from '../../plugins/codecs/tiff.js';
import { bytesOf, codecsByName, validateFile } from '../../src/pipeline/bytes.js';
import type { Codec } from '../../src/pipeline/plugins/plugin.js';
import { createPlugin } from '../../src/pipeline/plugins/registry.js';
import { codecConformance, sampleField } from '../support/codec-conformance.js';

const codecs = {
  png: png.create(png.options.parse({}), undefined),
  tiff: tiff.create(tiff.options.parse({}), undefined),
  npy: npy.create(npy.options.parse({}), undefined),
};
const all: readonly Codec[] = Object.values(codecs);

codecConformance('png', codecs.png, { sampleTypes: ['uint8', 'uint16'], channels: [1, 3] });
for (const compression of ['none', 'deflate'] as const)
  codecConformance(`tiff (${compression})`, tiff.create({ compression }, undefined), {
    sampleTypes: ['uint8', 'uint16', 'float32'],
    channels: [1, 3],
  });
for (const { name, options, abilities } of [
  { name: 'webp', options: {}, abilities: { sampleTypes: ['uint8'], channels: [1, 3] } },
  {
    name: 'vti',
    options: {},
    abilities: { sampleTypes: ['uint8', 'uint16', 'float32'], channels: [1, 2, 5] },
  },
  { name: 'mrc', options: {}, abilities: { sampleTypes: ['uint16', 'float32'], channels: [1] } },
] as const)
  codecConformance(name, await createPlugin('codec', name, options, undefined), abilities);
codecConformance('npy', codecs.npy, { sampleTypes: ['uint8', 'uint16', 'float32'], channels: [1, 2, 5] });

type Golden =
  | { readonly refused: string }
  | { readonly shape: number[]; readonly sampleType: string; readonly data: number[] };
const folder = new URL('../../../test/codecs/golden/', import.meta.url);
const goldens = Object.entries(
  JSON.parse(readFileSync(new URL('golden.json', folder), 'utf8')) as Record<string, Golden>,
).map(([file, golden]) => ({ file, golden, bytes: readFileSync(new URL(file, folder)) }));
const codecOf = (file: string): Codec => {
  const codec = codecsByName(all)(file);
  if (codec === undefined) throw new Error(`no codec for ${file}`);
  return codec;
};

describe('files by other writers', () => {
  test.each(goldens)('$file', async ({ file, golden, bytes }) => {
    const codec = codecOf(file);
    if ('refused' in golden) {
      await expect(codec.decode(bytes)).rejects.toThrow(golden.refused);
      return;
    }
    expect(await codec.validate(bytesOf(bytes))).toBeUndefined();
    const field = await codec.decode(bytes);
    expect({ ...field, data: [...field.data] }).toEqual(golden);
  });

  test('cut short at any byte they are not read as something else', async () => {
    for (const { file, golden, bytes } of goldens) {
      if ('refused' in golden) continue;
      const codec = codecOf(file);
      for (let length = 0; length < bytes.length; length++) {
        const part = Buffer.from(bytes.subarray(0, length));
        const verdict = await codec.validate(bytesOf(part));
        expect({ file, length, whole: verdict === undefined }).toEqual({ file, length, whole: false });
      }
    }
  });
});

test('bytes after the end of a PNG do no harm', async () => {
  const bytes = Buffer.concat([
    await codecs.png.encode(sampleField('uint8', [4, 4, 1])),
    Buffer.from('more'),
  ]);
  expect(await codecs.png.validate(bytesOf(bytes))).toBeUndefined();
  expect((await codecs.png.decode(bytes)).shape).toEqual([4, 4, 1]);
});

test('transparent values of a PNG are seen, whatever texts come before them', async () => {
  const bytes = await codecs.png.encode(sampleField('uint8', [4, 4, 1]));
  const chunk = (type: string, data: Buffer): Buffer => {
    const named = Buffer.concat([Buffer.from(type, 'latin1'), data]);
    const [length, crc] = [Buffer.alloc(4), Buffer.alloc(4)];
    length.writeUInt32BE(data.length);
    crc.writeUInt32BE(crc32(named));
    return Buffer.concat([length, named, crc]);
  };
  const at = bytes.indexOf('IDAT') - 4;
  const more = [chunk('tEXt', Buffer.from('Title\0of an IDAT')), chunk('tRNS', Buffer.from([0, 3]))];
  const transparent = Buffer.concat([bytes.subarray(0, at), ...more, bytes.subarray(at)]);
  expect(await codecs.png.decode(transparent)).toEqual(await codecs.png.decode(bytes));
});

test('a flipped bit in the pixels of a PNG is noticed', async () => {
  const bytes = await codecs.png.encode(sampleField('uint16', [16, 16, 1]));
  const middle = bytes.indexOf('IDAT') + 40;
  bytes[middle] = (bytes[middle] ?? 0) ^ 1;
  await expect(codecs.png.decode(bytes)).rejects.toThrow('does not decode as PNG');
});

test('a header that claims 10 GB is refused by the size of the file', async () => {
  const bytes = encodeNpy([4, 4], new Float32Array(16));
  const lie = Buffer.from(
    bytes.toString('latin1').replace("'shape': (4, 4), }      ", "'shape': (50000, 50000)}"),
    'latin1',
  );
  expect(lie.length).toBe(bytes.length);
  await expect(codecs.npy.decode(lie)).rejects.toThrow('of the 10000000128 bytes');
});

test('a stack is one NPY array, aligned as NumPy does it', async () => {
  const data = Float32Array.from({ length: 2 * 3 * 4 * 2 }, (_, i) => i / 7);
  const bytes = await codecs.npy.encodeStack?.([2, 3, 4, 2], data);
  const text = bytes?.toString('latin1', 10, 128);
  expect(text).toMatch(/^\{'descr': '<f4', 'fortran_order': False, 'shape': \(2, 3, 4, 2\), \} *\n$/);
  expect(bytes?.length).toBe(128 + data.byteLength);
  expect(bytes?.readFloatLE(128 + 4 * 47)).toBe(data[47]);
});

test('a validator reads files piece by piece', async () => {
  const home = await mkdtemp(join(tmpdir(), 'mesocast-codecs-'));
  const path = join(home, 'f.tiff');
  const bytes = await codecs.tiff.encode(sampleField('float32', [64, 48, 1]));
  await writeFile(path, bytes);
  expect(await validateFile(path, codecOf(path))).toBeUndefined();
  await writeFile(path, bytes.subarray(0, bytes.length - 1));
  expect(await validateFile(path, codecOf(path))).toContain(`byte ${bytes.length - 1}`);
  await rm(home, { recursive: true });
});
