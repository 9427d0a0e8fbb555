import { endianness } from 'node:os';
import type { z } from 'zod';
import { CodecError } from '../pipeline/errors.js';
import type { Field, FrameShape } from '../pipeline/frame.js';
import { sizeOf } from '../pipeline/frame.js';
import type { ByteSource } from '../pipeline/plugins/plugin.js';
import type { axesOption, Frames } from './axes.js';
import { framesOf } from './axes.js';
import type { NumberType } from './numbers.js';
import { NUMBER_NAMES, NUMBER_TYPES, readNumbers } from './numbers.js';

/** Where the numbers of an NPY array are and what they mean; axes in the order of the header, whatever that of the numbers. */
export interface NpyLayout extends Frames {
  readonly type: NumberType;
  readonly little: boolean;
  readonly fortran: boolean;
  /** First byte of the numbers. */
  readonly offset: number;
  /** Bytes of the whole array, header included. */
  readonly size: number;
}

const MAGIC = Buffer.from('\x93NUMPY', 'latin1');
/** No header of a plain array comes near this; a lie about its length must not cost memory. */
const MAX_HEADER = 2 ** 16;

/** Reads the header alone. Text says what is wrong. */
export const readNpyHeader = async (
  bytes: ByteSource,
  axes: z.output<typeof axesOption> = 'auto',
): Promise<NpyLayout | string> => {
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
  return parseHeader(text, begin + length, axes);
};

/** Reads the header and compares it with the file's size. Text says what is wrong; nothing is allocated for the data. */
export const readNpyLayout = async (
  bytes: ByteSource,
  axes: z.output<typeof axesOption> = 'auto',
): Promise<NpyLayout | string> => {
  const layout = await readNpyHeader(bytes, axes);
  if (typeof layout === 'string') return layout;
  if (bytes.size < layout.size)
    return `it has ${bytes.size} of the ${layout.size} bytes that its header speaks of`;
  if (bytes.size > layout.size)
    return `it has ${bytes.size - layout.size} bytes more than its header speaks of`;
  return layout;
};

const parseHeader = (text: string, offset: number, axes: z.output<typeof axesOption>): NpyLayout | string => {
  const descr = /'descr'\s*:\s*'([^']*)'/.exec(text)?.[1];
  const order = /'fortran_order'\s*:\s*(True|False)/.exec(text)?.[1];
  const tuple = /'shape'\s*:\s*\(([\d\s,L]*)\)/.exec(text)?.[1];
  if (/'descr'\s*:\s*[[(]/.test(text)) return 'it holds a structured array: save one field of it';
  if (descr === undefined || order === undefined || tuple === undefined)
    return `its NPY header cannot be read: ${text.trim().slice(0, 80)}`;
  if (descr.includes('O'))
    return 'it holds pickled Python objects, which are never loaded: save a plain number array';
  const type = /^[<>|=][a-z]\d+$/.test(descr) ? NUMBER_TYPES[descr.slice(1)] : undefined;
  if (type === undefined) return `numbers of type '${descr}' are not supported: use ${NUMBER_NAMES}`;
  const dimensions = tuple
    .split(',')
    .map((part) => part.replace('L', '').trim())
    .filter(Boolean)
    .map(Number);
  const frames = framesOf(dimensions, axes);
  if (typeof frames === 'string') return frames;
  const little = descr.startsWith('=') ? endianness() === 'LE' : !descr.startsWith('>');
  const size = offset + frames.count * sizeOf(frames.shape) * type.bytes;
  return { ...frames, type, little, fortran: order === 'True', offset, size };
};

/** One frame of an array whose file has the size that its header speaks of. */
export const readNpyFrame = async (bytes: ByteSource, layout: NpyLayout, item: number): Promise<Field> => {
  const { shape, count, type, little, fortran, offset } = layout;
  const length = sizeOf(shape) * type.bytes;
  if (fortran) {
    // The first axis runs fastest: frames of a stack lie interleaved, and all of it has to be read.
    const all = readNumbers(await bytes.read(offset, length * count), type, little);
    return { shape, data: fromFortran(all, layout, item), sampleType: type.sampleType };
  }
  const own = await bytes.read(offset + item * length, length);
  if (own.length < length) throw new CodecError(`it ends inside frame ${item}`);
  return { shape, data: readNumbers(own, type, little), sampleType: type.sampleType };
};

const fromFortran = (values: Float32Array, { shape, count }: NpyLayout, item: number): Float32Array => {
  const [height, width, channels]: FrameShape = shape;
  const result = new Float32Array(sizeOf(shape));
  let to = 0;
  for (let h = 0; h < height; h++)
    for (let w = 0; w < width; w++)
      for (let c = 0; c < channels; c++)
        result[to++] = values[item + count * (h + height * (w + width * c))] ?? 0;
  return result;
};
