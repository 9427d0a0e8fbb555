import { endianness } from 'node:os';
import { z } from 'zod';
import { CodecError } from '../../src/pipeline/errors.js';
import type { FrameShape, SampleType } from '../../src/pipeline/frame.js';
import { sizeOf } from '../../src/pipeline/frame.js';
import { defineCodec } from '../../src/pipeline/plugin.js';
import type { ByteSource } from '../../src/pipeline/plugin.js';
import { littleEndian, samplesOf } from '../../src/pipeline/raster.js';

/** NumPy's `.npy`, versions 1 to 3: one array [H, W] or [H, W, C] per file. */
export const npy = defineCodec({
  name: 'npy',
  summary: 'NumPy arrays, integers of 8 to 32 bits and floats; written as uint8, uint16 or float32',
  options: z.strictObject({}),
  create: () => ({
    extensions: ['.npy'],
    validate: async (bytes) => {
      const layout = await readLayout(bytes);
      return typeof layout === 'string' ? layout : undefined;
    },
    decode: async (bytes, signal) => {
      signal?.throwIfAborted();
      const layout = await readLayout({
        size: bytes.length,
        read: (offset, length) => Promise.resolve(bytes.subarray(offset, offset + length)),
      });
      if (typeof layout === 'string') throw new CodecError(layout);
      const { shape, type, fortran } = layout;
      const values = readValues(bytes, layout.offset, type, sizeOf(shape));
      return { shape, data: fortran ? toRowMajor(values, shape) : values, sampleType: type.sampleType };
    },
    encode: async (field) => {
      const [height, width, channels] = field.shape;
      return encodeNpy(channels === 1 ? [height, width] : field.shape, samplesOf(field));
    },
    encodeStack: async (shape, data) => encodeNpy(shape, data),
  }),
});

interface NumberType {
  readonly bytes: number;
  readonly sampleType: SampleType;
  read(view: DataView, offset: number, littleEndian: boolean): number;
}
const NUMBER_TYPES: Readonly<Partial<Record<string, NumberType>>> = {
  u1: { bytes: 1, sampleType: 'uint8', read: (view, at) => view.getUint8(at) },
  u2: { bytes: 2, sampleType: 'uint16', read: (view, at, little) => view.getUint16(at, little) },
  u4: { bytes: 4, sampleType: 'float32', read: (view, at, little) => view.getUint32(at, little) },
  i1: { bytes: 1, sampleType: 'float32', read: (view, at) => view.getInt8(at) },
  i2: { bytes: 2, sampleType: 'float32', read: (view, at, little) => view.getInt16(at, little) },
  i4: { bytes: 4, sampleType: 'float32', read: (view, at, little) => view.getInt32(at, little) },
  f4: { bytes: 4, sampleType: 'float32', read: (view, at, little) => view.getFloat32(at, little) },
  f8: { bytes: 8, sampleType: 'float32', read: (view, at, little) => view.getFloat64(at, little) },
};

/** Where the numbers of an array are and what they mean; H, W, C are the file's axes 0, 1, 2 in either order. */
interface Layout {
  readonly shape: FrameShape;
  readonly type: NumberType & { readonly little: boolean };
  readonly fortran: boolean;
  readonly offset: number;
}

const MAGIC = Buffer.from('\x93NUMPY', 'latin1');
/** No header of a plain array comes near this; a lie about its length must not cost memory. */
const MAX_HEADER = 2 ** 16;
/** More than any microscope or phase-field model puts in one frame; what has more is a volume. */
const MAX_CHANNELS = 16;

/** Reads and checks the header against the file's size. Text says what is wrong; nothing is allocated for the data. */
const readLayout = async (bytes: ByteSource): Promise<Layout | string> => {
  if (bytes.size === 0) return 'the file is empty';
  const start = await bytes.read(0, 12);
  if (!start.subarray(0, 6).equals(MAGIC.subarray(0, start.length)))
    return 'it does not begin like an NPY file';
  if (start.length < 12) return `it ends at byte ${bytes.size}, inside the NPY header`;
  const version = start.readUInt8(6);
  if (version < 1 || version > 3) return `NPY version ${version} is not known`;
  const begin = version === 1 ? 10 : 12;
  const length = version === 1 ? start.readUInt16LE(8) : start.readUInt32LE(8);
  if (length > MAX_HEADER) return `its header claims ${length} bytes: this is no plain array`;
  const text = (await bytes.read(begin, length)).toString(version === 3 ? 'utf8' : 'latin1');
  if (bytes.size < begin + length) return `it ends at byte ${bytes.size}, inside the NPY header`;
  return parseHeader(text, begin + length, bytes.size);
};

const parseHeader = (text: string, offset: number, size: number): Layout | string => {
  const descr = /'descr'\s*:\s*'([^']*)'/.exec(text)?.[1];
  const order = /'fortran_order'\s*:\s*(True|False)/.exec(text)?.[1];
  const tuple = /'shape'\s*:\s*\(([\d\s,L]*)\)/.exec(text)?.[1];
  if (/'descr'\s*:\s*[[(]/.test(text)) return 'it holds a structured array: save one field of it';
  if (descr === undefined || order === undefined || tuple === undefined)
    return `its NPY header cannot be read: ${text.trim().slice(0, 80)}`;
  if (descr.includes('O'))
    return 'it holds pickled Python objects, which are never loaded: save a plain number array';
  const type = /^[<>|=][a-z]\d+$/.test(descr) ? NUMBER_TYPES[descr.slice(1)] : undefined;
  if (type === undefined)
    return `numbers of type '${descr}' are not supported: use u1, u2, u4, i1, i2, i4, f4 or f8`;
  const dimensions = tuple
    .split(',')
    .map((part) => part.replace('L', '').trim())
    .filter(Boolean)
    .map(Number);
  const shape = frameShapeOf(dimensions);
  if (typeof shape === 'string') return shape;
  const expected = offset + sizeOf(shape) * type.bytes;
  if (size < expected) return `it has ${size} of the ${expected} bytes that its header speaks of`;
  if (size > expected) return `it has ${size - expected} bytes more than its header speaks of`;
  const little = descr.startsWith('=') ? endianness() === 'LE' : !descr.startsWith('>');
  return { shape, type: { ...type, little }, fortran: order === 'True', offset };
};

/** [H, W] and [H, W, C]; a leading 1 before an image ([1, H, W]) is taken off where it can mean nothing else. */
const frameShapeOf = (dimensions: readonly number[]): FrameShape | string => {
  const [a, b, c] = dimensions;
  const is = `its array is [${dimensions.join(', ')}]`;
  if (dimensions.some((n) => !(n > 0 && n < 2 ** 31))) return `${is}: an axis is empty or too long`;
  if (a === undefined || b === undefined || dimensions.length > 3)
    return `${is}: a frame is [H, W] or [H, W, C]`;
  if (c === undefined) return [a, b, 1];
  if (a === 1 && b > 1 && c > MAX_CHANNELS) return [b, c, 1];
  if (a === 1 && b > 1) return `${is}, which may be [1, H, W] or [H, W, C]: save it as [H, W] or [H, W, C]`;
  if (c > MAX_CHANNELS)
    return `${is}: more than ${MAX_CHANNELS} channels; save channels last, and a volume slice by slice`;
  return [a, b, c];
};

const readValues = (bytes: Buffer, offset: number, type: Layout['type'], count: number): Float32Array => {
  const view = new DataView(bytes.buffer, bytes.byteOffset + offset, count * type.bytes);
  const values = new Float32Array(count);
  for (let i = 0; i < count; i++) values[i] = type.read(view, i * type.bytes, type.little);
  return values;
};

/** Fortran order runs along the first axis fastest. */
const toRowMajor = (values: Float32Array, [height, width, channels]: FrameShape): Float32Array => {
  const result = new Float32Array(values.length);
  let to = 0;
  for (let h = 0; h < height; h++)
    for (let w = 0; w < width; w++)
      for (let c = 0; c < channels; c++) result[to++] = values[h + height * (w + width * c)] ?? 0;
  return result;
};

/**
 * An NPY file (version 1, C order, little-endian) of any shape.
 * @throws CodecError when the data do not fill the shape
 */
export const encodeNpy = (
  shape: readonly number[],
  data: Float32Array | Uint16Array | Uint8Array | Uint8ClampedArray,
): Buffer => {
  const count = shape.reduce((product, n) => product * n, 1);
  if (data.length !== count) throw new CodecError(`${data.length} values do not fill [${shape.join(', ')}]`);
  const descr = data instanceof Float32Array ? '<f4' : data instanceof Uint16Array ? '<u2' : '|u1';
  const tuple = shape.length === 1 ? `${count},` : shape.join(', ');
  const dictionary = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${tuple}), }`;
  // NumPy aligns the data to 64 bytes so that it can be memory-mapped.
  const length = Math.ceil((10 + dictionary.length + 1) / 64) * 64 - 10;
  const head = Buffer.alloc(10);
  MAGIC.copy(head);
  head.writeUInt16LE(0x0001, 6); // version 1.0
  head.writeUInt16LE(length, 8);
  return Buffer.concat([
    head,
    Buffer.from(dictionary.padEnd(length - 1) + '\n', 'latin1'),
    littleEndian(data),
  ]);
};
