import { expect, test } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { bytesOf, withFileBytes } from '../../src/pipeline/bytes.js';
import { createPlugin } from '../../src/pipeline/plugins/registry.js';
import { codecConformance } from '../support/codec-conformance.js';

const golden = (name: string): string => resolve('test/codecs/golden/scientific', name);
const codec = await createPlugin('codec', resolve('examples/attach/lammps-chunks.mjs'), {}, undefined);
const { stack } = codec;
const file = readFileSync(golden('lammps.chunk'));
const sizeOfFirst = file.indexOf('\n100 35 ') + 1;

codecConformance('lammps_chunks', codec, { whole: [file.subarray(0, sizeOfFirst)] });

test('blocks of fix ave/chunk are the fields that LAMMPS writes as VTK files', async () => {
  const vti = await createPlugin('codec', 'vti', {}, undefined);
  const expected = await vti.decode(readFileSync(golden('lammps.vtr')));
  await withFileBytes(golden('lammps.chunk'), async (bytes) => {
    expect(await stack?.count(bytes)).toEqual({ count: 2, incomplete: undefined });
    const first = await stack?.decode(bytes, 0);
    expect(first).toMatchObject({ shape: [5, 7, 1], time: { value: 50 } });
    first?.data.forEach((value, i) => expect(value).toBeCloseTo(expected.data[i] ?? NaN, 5));
    expect((await stack?.decode(bytes, 1))?.time).toEqual({ value: 100 });
  });
});

test('a block is there once its last line is', async () => {
  for (let size = 0; size < file.length; size++) {
    const { count, incomplete } = (await stack?.count(bytesOf(file.subarray(0, size)))) ?? { count: -1 };
    expect(count).toBe(size < sizeOfFirst ? 0 : 1);
    if (size !== sizeOfFirst) expect(incomplete).toMatch(/whole block|ends inside block 1/);
  }
});

test('other text and columns that are not there are refused with what to do', async () => {
  expect(await codec.validate(bytesOf(Buffer.from('time,value\n1,2\n')))).toMatch('byte 0 begins no block');
  const other = await createPlugin(
    'codec',
    resolve('examples/attach/lammps-chunks.mjs'),
    { column: 'density' },
    undefined,
  );
  await expect(other.stack?.decode(bytesOf(file), 0)).rejects.toThrow(
    'Chunk, Coord1, Coord2, Ncount, v_second',
  );
});
