import { describe, expect, test } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { crc32 } from 'node:zlib';
import { bytesOf, withFileBytes } from '../../src/pipeline/bytes.js';
import type { Field } from '../../src/pipeline/frame.js';
import type { Codec } from '../../src/pipeline/plugins/plugin.js';
import { createPlugin } from '../../src/pipeline/plugins/registry.js';

interface Golden {
  readonly file: string;
  readonly options?: Record<string, unknown>;
  readonly refused?: string;
  readonly tolerance?: number;
  readonly frames?: readonly { shape: number[]; sampleType: string; data: number[] }[];
}
const folder = new URL('../../../test/codecs/golden/scientific/', import.meta.url);
const goldens = Object.entries(
  JSON.parse(readFileSync(new URL('golden.json', folder), 'utf8')) as Record<string, Golden>,
).map(([name, golden]) => ({ name, ...golden }));

const CODECS: Readonly<Record<string, string>> = {
  jpg: 'jpeg',
  tif: 'tiff',
  h5: 'hdf5',
  nxs: 'hdf5',
  vtr: 'vti',
};
const codecOf = ({ file, options }: Golden): Promise<Codec> => {
  const ending = file.slice(file.lastIndexOf('.') + 1);
  return createPlugin('codec', CODECS[ending] ?? ending, options ?? {}, undefined);
};

/** All frames of a file, one by one where its format may hold several. */
const readFrames = async (codec: Codec, bytes: Buffer): Promise<Field[]> => {
  const { stack } = codec;
  if (stack === undefined) return [await codec.decode(bytes)];
  const { count } = await stack.count(bytesOf(bytes));
  const frames: Field[] = [];
  for (let item = 0; item < count; item++) frames.push(await stack.decode(bytesOf(bytes), item));
  return frames;
};

const near = (frames: readonly Field[], expected: NonNullable<Golden['frames']>, tolerance: number): void => {
  expect(frames.map(({ shape, sampleType }) => ({ shape: [...shape], sampleType }))).toEqual(
    expected.map(({ shape, sampleType }) => ({ shape, sampleType })),
  );
  frames.forEach(({ data }, f) => {
    const values = expected[f]?.data ?? [];
    const error = Math.max(...values.map((value, i) => Math.abs(value - (data[i] ?? NaN))));
    expect(error).toBeLessThanOrEqual(tolerance);
  });
};

describe('files by other writers', () => {
  test.each(goldens)('$name', async (golden) => {
    const bytes = readFileSync(new URL(golden.file, folder));
    const codec = await codecOf(golden);
    if (golden.refused !== undefined) {
      await expect(codec.decode(bytes)).rejects.toThrow(golden.refused);
      return;
    }
    const expected = golden.frames ?? [];
    expect(await codec.validate(bytesOf(bytes))).toBeUndefined();
    near(await readFrames(codec, bytes), expected, golden.tolerance ?? 0);
    if (expected.length === 1) near([await codec.decode(bytes)], expected, golden.tolerance ?? 0);
    else await expect(codec.decode(bytes)).rejects.toThrow(`${expected.length} frames`);
    // From a file, as the pipeline reads them.
    const last = expected.length - 1;
    const item = await withFileBytes(fileURLToPath(new URL(golden.file, folder)), async (source) =>
      codec.stack?.decode(source, last),
    );
    if (item !== undefined) near([item], expected.slice(last), golden.tolerance ?? 0);
  });
});

test.each(['hdf5', 'jpeg', 'mrc', 'npy', 'npz', 'png', 'tiff', 'vti', 'vtk', 'vtu', 'webp'])(
  'that the system cannot read a file is no verdict of %s on it',
  async (name) => {
    const codec = await createPlugin('codec', name, {}, undefined);
    const error = Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO' });
    await expect(codec.validate({ size: 4096, read: () => Promise.reject(error) })).rejects.toBe(error);
  },
);

test('nor is it that the HDF5 library cannot open it itself', async () => {
  const codec = await createPlugin('codec', 'hdf5', {}, undefined);
  const whole = bytesOf(readFileSync(new URL('checked.h5', folder)));
  await expect(codec.stack?.count({ ...whole, path: '/no/such/file.h5' })).rejects.toMatchObject({
    code: 'ENOENT',
  });
});

test('a rectilinear grid without its coordinates is refused', async () => {
  const text = readFileSync(new URL('lammps.vtr', folder), 'latin1');
  const [from, to] = [text.indexOf('<Coordinates>'), text.indexOf('</Coordinates>')];
  const without = Buffer.from(text.slice(0, from) + text.slice(to + '</Coordinates>'.length), 'latin1');
  const vti = await createPlugin('codec', 'vti', {}, undefined);
  await expect(vti.decode(without)).rejects.toThrow('it has coordinates along 0 axes instead of 3');
});

test('fields at the cells of an unstructured grid are named, and said to be there', async () => {
  const points = readFileSync(new URL('../times/grid.vtu', folder)).toString('latin1');
  const cells = points
    .replaceAll('CellData', 'Other')
    .replaceAll('PointData', 'CellData')
    .replaceAll('Other', 'PointData');
  const codec = await createPlugin('codec', 'vtu', {}, undefined);
  await expect(codec.decode(Buffer.from(cells, 'latin1'))).rejects.toMatchObject({
    message: 'its fields are at cells: phi',
    hint: 'write them at points',
  });
});

const vtiOf = (pieces: readonly (readonly [extent: string, values: string])[], name = 'phi'): Buffer =>
  Buffer.from(
    `<VTKFile type="ImageData" version="1.0" byte_order="LittleEndian"><ImageData WholeExtent="0 2 0 1 0 0">${pieces
      .map(
        ([extent, values]) =>
          `<Piece Extent="${extent}"><PointData><DataArray type="Float32" Name="${name}" format="ascii">${values}</DataArray></PointData></Piece>`,
      )
      .join('')}</ImageData></VTKFile>`,
  );

test('image data whose pieces leave something out are refused', async () => {
  const codec = await createPlugin('codec', 'vti', {}, undefined);
  const left = ['0 1 0 1 0 0', '1 2 4 5'] as const;
  await expect(codec.decode(vtiOf([left]))).rejects.toThrow('do not cover its whole extent');
  expect([...(await codec.decode(vtiOf([left, ['1 2 0 1 0 0', '2 3 5 6']]))).data]).toEqual([
    1, 2, 3, 4, 5, 6,
  ]);
  expect([...(await codec.decode(vtiOf([left, ['2 2 0 1 0 0', '3 6']]))).data]).toEqual([1, 2, 3, 4, 5, 6]);
});

test('names in VTK files are what their character references say', async () => {
  const field = 'a<b & "φ"';
  const codec = await createPlugin('codec', 'vti', { field }, undefined);
  const values = Float32Array.of(1, 2);
  const written = await codec.encode({ shape: [1, 2, 1], data: values, sampleType: 'float32' });
  expect((await codec.decode(written)).data).toEqual(values);
  const whole = ['0 2 0 1 0 0', '1 2 3 4 5 6'] as const;
  for (const name of ['a&lt;b &amp; &quot;&#966;&quot;', 'a&#60;b &#x26; &#34;&#x3C6;&#34;'])
    expect((await codec.decode(vtiOf([whole], name))).data).toHaveLength(6);
});

/** A ZIP whose members are stored as they are. */
const zipOf = (members: Readonly<Record<string, Buffer>>): Buffer => {
  const [files, directory]: [Buffer[], Buffer[]] = [[], []];
  let at = 0;
  for (const [name, content] of Object.entries(members)) {
    const facts = Buffer.alloc(26); // from "version needed" to the length of the extra field
    facts.writeUInt32LE(crc32(content), 10);
    facts.writeUInt32LE(content.length, 14);
    facts.writeUInt32LE(content.length, 18);
    facts.writeUInt16LE(name.length, 22);
    const local = Buffer.concat([Buffer.from('504b0304', 'hex'), facts, Buffer.from(name), content]);
    const behind = Buffer.alloc(14); // comment, disk, attributes, offset
    behind.writeUInt32LE(at, 10);
    directory.push(Buffer.from('504b01020000', 'hex'), facts, behind, Buffer.from(name));
    files.push(local);
    at += local.length;
  }
  const central = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(files.length, 8);
  end.writeUInt16LE(files.length, 10);
  end.writeUInt32LE(central.length, 12);
  end.writeUInt32LE(at, 16);
  return Buffer.concat([...files, central, end]);
};

test('fields of different shapes are no channels of each other', async () => {
  const npy = await createPlugin('codec', 'npy', {}, undefined);
  const [wide, high] = await Promise.all(
    (
      [
        [2, 3, 1],
        [3, 2, 1],
      ] as const
    ).map((shape) => npy.encode({ shape, data: new Float32Array(6), sampleType: 'float32' })),
  );
  const codec = await createPlugin('codec', 'npz', { field: ['a', 'b'] }, undefined);
  const decoded = (b: Buffer) => codec.stack!.decode(bytesOf(zipOf({ 'a.npy': wide!, 'b.npy': b })), 0);
  await expect(decoded(high!)).rejects.toThrow('a, b differ in their shapes');
  expect((await decoded(wide!)).shape).toEqual([2, 3, 2]);
});
