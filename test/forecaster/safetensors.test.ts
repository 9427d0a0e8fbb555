import { describe, expect, test } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { readSafetensors, writeSafetensors } from '../../src/forecaster/safetensors.js';

const weights = {
  kernel: { shape: [2, 3], data: Float32Array.of(1, -2, 3.5, Infinity, 1e-30, 0) },
  bias: { shape: [2], data: Float32Array.of(0.1, 0.2) },
  scale: { shape: [], data: Float32Array.of(7) },
  'nothing/at all': { shape: [0, 4], data: new Float32Array(0) },
};

/** A file with this header, and so many bytes after it. */
const file = (header: unknown, bytes = 0): Buffer => {
  const text = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, Buffer.alloc(bytes)]);
};

describe('safetensors', () => {
  test('what is written is read, bit for bit, with its metadata', () => {
    expect(readSafetensors(writeSafetensors(weights, { format: 'test', note: 'µm' }))).toEqual({
      tensors: weights,
      metadata: { format: 'test', note: 'µm' },
    });
    expect(readSafetensors(writeSafetensors({}))).toEqual({ tensors: {}, metadata: {} });
  });

  test('equal weights give equal bytes whatever their order; values are aligned', () => {
    const reversed = Object.fromEntries(Object.entries(weights).reverse());
    const bytes = writeSafetensors(weights);
    expect(writeSafetensors(reversed).equals(bytes)).toBe(true);
    expect(Number(bytes.readBigUInt64LE()) % 8).toBe(0);
  });

  test('a part of a longer array is written alone', () => {
    const data = Float32Array.of(9, 9, 1, 2, 9).subarray(2, 4);
    const { tensors } = readSafetensors(writeSafetensors({ part: { shape: [2], data } }));
    expect(Array.from(tensors['part']!.data)).toEqual([1, 2]);
  });

  test('files by the format’s own writer are read', () => {
    const { tensors } = readSafetensors(readFileSync('test/engine/golden/reference-work.safetensors'));
    expect(tensors['lstm0']?.shape).toEqual([32, 16, 3, 3]);
    expect(tensors['loss']?.data[0]).toBeCloseTo(0.33, 1);
  });

  test('floats of 16 and 64 bits become float32, tensors to be ignored may be of any type', () => {
    const bits = [0x3c00, 0xc000, 0x7c00, 0xfc00, 0x7e00, 0x0001, 0x83ff, 0x7bff, 0x8000];
    const upper = [0x3f80, 0xc000, 0x7f80, 0x0001];
    const header = {
      half: { dtype: 'F16', shape: [9], data_offsets: [0, 18] },
      brain: { dtype: 'BF16', shape: [4], data_offsets: [18, 26] },
      double: { dtype: 'F64', shape: [1], data_offsets: [26, 34] },
      steps: { dtype: 'I64', shape: [], data_offsets: [34, 42] },
    };
    const values = Buffer.alloc(42);
    [...bits, ...upper].forEach((value, k) => values.writeUInt16LE(value, 2 * k));
    values.writeDoubleLE(0.1, 26);
    const bytes = Buffer.concat([file(header), values]);
    expect(() => readSafetensors(bytes)).toThrow(/tensor "steps" is not of a float type/);
    const { tensors } = readSafetensors(bytes, (name) => name === 'steps');
    expect(Object.fromEntries(Object.entries(tensors).map(([name, { data }]) => [name, [...data]]))).toEqual({
      half: [1, -2, Infinity, -Infinity, NaN, 2 ** -24, -1023 * 2 ** -24, 65504, -0],
      brain: [1, -2, Infinity, 2 ** -133],
      double: [Math.fround(0.1)],
    });
  });

  test('a file cut short anywhere is refused', () => {
    const bytes = writeSafetensors(weights);
    for (let end = 0; end < bytes.length; end++) {
      expect(() => readSafetensors(bytes.subarray(0, end))).toThrow(/it is shorter|header|truncated/);
    }
  });

  const entry = (more: object): unknown => ({
    x: { dtype: 'F32', shape: [2], data_offsets: [0, 8], ...more },
  });
  test.each<[string, unknown, RegExp]>([
    ['another type', entry({ dtype: 'I32' }), /tensor "x" is not of a float type/],
    ['no type', { x: 3 }, /tensor "x" is not of a float type/],
    ['a shape larger than its bytes', entry({ shape: [3] }), /tensor "x" does not fit/],
    ['a shape larger than memory', entry({ shape: [2 ** 40, 2 ** 40] }), /tensor "x" does not fit/],
    ['bytes past the end', entry({ data_offsets: [4, 12] }), /tensor "x" does not fit/],
    ['bytes that end before they begin', entry({ data_offsets: [8, 0] }), /tensor "x" does not fit/],
    ['a negative place', entry({ data_offsets: [-8, 0] }), /no shape or byte range/],
    ['a length that is no number', entry({ shape: ['2'] }), /no shape or byte range/],
    ['half an element', entry({ shape: [1.5] }), /no shape or byte range/],
    ['no JSON', '{"x":', /not JSON/],
    ['no object', 'null', /not an object/],
  ])('a header with %s is refused', (_, header, message) => {
    expect(() => readSafetensors(file(header, 8))).toThrow(message);
  });

  test('a header longer than the file is refused before it is read', () => {
    const lies = file({}, 0);
    lies.writeBigUInt64LE(2n ** 60n);
    expect(() => readSafetensors(lies)).toThrow(/header is longer than the file/);
  });
});
