import { expect, test } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import { bytesOf } from '../../src/pipeline/bytes.js';
import { createPlugin } from '../../src/pipeline/plugins/registry.js';
import { codecConformance } from '../support/codec-conformance.js';

/** interFoam's share of the first liquid on 5 x 5 cells after 2 s, as text and as doubles. */
const golden = (name: string): Buffer => readFileSync(resolve('test/codecs/golden/scientific', name));
const [text, binary] = [golden('openfoam.ascii'), golden('openfoam.binary')];
const codecWith = (options: Record<string, unknown> = {}) =>
  createPlugin('codec', resolve('examples/attach/openfoam-field.mjs'), options, undefined);
const codec = await codecWith();

codecConformance('openfoam_field', codec, { whole: [text, binary, gzipSync(text)] });

test('text, binary and compressed files are the same field, with the time that is in them', async () => {
  const lines = text.toString().split('\n');
  const first = lines.indexOf('(') + 1;
  const values = lines.slice(first, first + 25).map(Number);
  for (const bytes of [text, binary, gzipSync(text)]) {
    expect(await codec.validate(bytesOf(bytes))).toBeUndefined();
    const { shape, data, time } = await codec.decode(bytes);
    expect([shape, time]).toEqual([[5, 5, 1], { value: 2, unit: 's' }]);
    expect(data).toHaveLength(25);
    data.forEach((value, i) => expect(value).toBeCloseTo(values[i] ?? NaN, 6));
  }
  const wide = await codecWith({ width: 25 });
  expect((await wide.decode(text)).shape).toEqual([1, 25, 1]);
});

test('a program of single precision writes as many bytes less', async () => {
  const mark = 'List<scalar> \n25\n(';
  const from = binary.indexOf('(', binary.indexOf('List<scalar>')) + 1;
  expect(binary.subarray(from - mark.length, from).toString()).toBe(mark);
  const single = Buffer.alloc(25 * 4);
  for (let k = 0; k < 25; k++) single.writeFloatLE(binary.readDoubleLE(from + 8 * k), 4 * k);
  const bytes = Buffer.concat([
    Buffer.from(binary.subarray(0, from).toString('latin1').replace('scalar=64', 'scalar=32'), 'latin1'),
    single,
    binary.subarray(from + 25 * 8),
  ]);
  const { data } = await codec.decode(bytes);
  expect(data).toEqual((await codec.decode(binary)).data);
});

test('a file is whole when its last line is', async () => {
  const whole = text.toString('latin1').trimEnd().length;
  for (let size = 0; size < whole; size++)
    expect(await codec.validate(bytesOf(text.subarray(0, size)))).toMatch('lacks the line of asterisks');
  expect(await codec.validate(bytesOf(gzipSync(text).subarray(0, 200)))).toMatch('cannot be unpacked');
});

test('what is no such field is refused with what to do', async () => {
  const changed = (from: string, to: string): Buffer => Buffer.from(text.toString().replace(from, to));
  const refusals: [Buffer, string][] = [
    [changed('volScalarField', 'volVectorField'), 'it is a volVectorField'],
    [changed('nonuniform List<scalar>', 'uniform 0;'), 'alpha.water has no value for each cell'],
    [changed('25\n(', '24\n('), 'its 24 cells are no square'],
    [changed('25\n(', '36\n('), 'it announces 36 numbers, and has others'],
  ];
  for (const [bytes, message] of refusals) await expect(codec.decode(bytes)).rejects.toThrow(message);
  await expect((await codecWith({ width: 4 })).decode(text)).rejects.toThrow('not rows of 4');
});
