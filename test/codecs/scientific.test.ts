import { describe, expect, test } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
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
