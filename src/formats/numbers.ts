import { endianness } from 'node:os';
import type { SampleType } from '../pipeline/frame.js';

/** How numbers are stored: NumPy's letters (`u`nsigned, `i`nteger, `f`loat) and the bytes of each. */
export interface NumberType {
  readonly name: string;
  readonly bytes: number;
  /** What a codec writes such values as again. */
  readonly sampleType: SampleType;
  /** A view of native numbers; the memory is aligned to 8 bytes. */
  readonly view: (memory: ArrayBuffer) => ArrayLike<number>;
}

const wide = (values: ArrayLike<bigint>): ArrayLike<number> => Float64Array.from(values, Number);

/** Every type that codecs read, by its NumPy name. */
export const NUMBER_TYPES: Readonly<Partial<Record<string, NumberType>>> = Object.fromEntries(
  [
    { name: 'u1', bytes: 1, sampleType: 'uint8' as const, view: (m: ArrayBuffer) => new Uint8Array(m) },
    { name: 'u2', bytes: 2, sampleType: 'uint16' as const, view: (m: ArrayBuffer) => new Uint16Array(m) },
    { name: 'u4', bytes: 4, sampleType: 'float32' as const, view: (m: ArrayBuffer) => new Uint32Array(m) },
    {
      name: 'u8',
      bytes: 8,
      sampleType: 'float32' as const,
      view: (m: ArrayBuffer) => wide(new BigUint64Array(m)),
    },
    { name: 'i1', bytes: 1, sampleType: 'float32' as const, view: (m: ArrayBuffer) => new Int8Array(m) },
    { name: 'i2', bytes: 2, sampleType: 'float32' as const, view: (m: ArrayBuffer) => new Int16Array(m) },
    { name: 'i4', bytes: 4, sampleType: 'float32' as const, view: (m: ArrayBuffer) => new Int32Array(m) },
    {
      name: 'i8',
      bytes: 8,
      sampleType: 'float32' as const,
      view: (m: ArrayBuffer) => wide(new BigInt64Array(m)),
    },
    { name: 'f4', bytes: 4, sampleType: 'float32' as const, view: (m: ArrayBuffer) => new Float32Array(m) },
    { name: 'f8', bytes: 8, sampleType: 'float32' as const, view: (m: ArrayBuffer) => new Float64Array(m) },
  ].map((type) => [type.name, type] as const),
);

/** "u1, u2, ...", for messages. */
export const NUMBER_NAMES = Object.keys(NUMBER_TYPES).join(', ');

/** The type called `name`, one of `NUMBER_NAMES`. */
export const numberType = (name: string): NumberType => {
  const type = NUMBER_TYPES[name];
  if (type === undefined) throw new RangeError(`there is no number type ${name}`);
  return type;
};

/** All numbers in `bytes` (a multiple of the type's size); 64-bit integers are rounded to doubles. */
export const readExactly = (bytes: Buffer, type: NumberType, little: boolean): ArrayLike<number> => {
  // A copy of its own: aligned, and free to be swapped.
  const memory = new ArrayBuffer(bytes.length - (bytes.length % type.bytes));
  const copy = Buffer.from(memory);
  bytes.copy(copy);
  if (little !== (endianness() === 'LE')) {
    if (type.bytes === 2) copy.swap16();
    if (type.bytes === 4) copy.swap32();
    if (type.bytes === 8) copy.swap64();
  }
  return type.view(memory);
};

/** The same as floats; 64-bit and large 32-bit integers are rounded. */
export const readNumbers = (bytes: Buffer, type: NumberType, little: boolean): Float32Array => {
  const values = readExactly(bytes, type, little);
  return values instanceof Float32Array ? values : Float32Array.from(values);
};
