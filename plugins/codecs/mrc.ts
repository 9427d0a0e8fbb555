import { z } from 'zod';
import { numberType, readNumbers } from '../../src/formats/numbers.js';
import type { NumberType } from '../../src/formats/numbers.js';
import { oneOf, requireItem } from '../../src/formats/stacks.js';
import { CodecError } from '../../src/pipeline/errors.js';
import type { FrameShape } from '../../src/pipeline/frame.js';
import { describeShape, sizeOf } from '../../src/pipeline/frame.js';
import { defineCodec } from '../../src/pipeline/plugins/plugin.js';
import type { ByteSource } from '../../src/pipeline/plugins/plugin.js';
import { littleEndian } from '../../src/pipeline/bytes.js';
import { samplesOf } from '../../src/pipeline/images/raster.js';

/** MRC2014 images and movies (https://www.ccpem.ac.uk/mrc-format/mrc2014): sections are frames, rows in the file's order. */
export const mrc = defineCodec({
  name: 'mrc',
  summary: 'MRC images and movies, integers of 8 and 16 bits and 32-bit float; written as uint16 or float32',
  options: z.strictObject({}),
  create: () => ({
    extensions: ['.mrc', '.mrcs'],
    ...oneOf({
      count: async (bytes) => {
        const header = await readHeader(bytes);
        if (typeof header === 'string') return { count: 0, incomplete: header };
        const { offset, frame, sections } = header;
        const there = Math.max(0, Math.floor((bytes.size - offset) / frame));
        const expected = offset + sections * frame;
        const incomplete =
          bytes.size < expected
            ? `it has ${bytes.size} of the ${expected} bytes that its header speaks of`
            : bytes.size > expected
              ? `it has ${bytes.size - expected} bytes more than its header speaks of`
              : undefined;
        return { count: Math.min(there, sections), incomplete };
      },
      decode: async (bytes, item, signal) => {
        signal?.throwIfAborted();
        const header = await readHeader(bytes);
        if (typeof header === 'string') throw new CodecError(header);
        const { offset, frame, sections, shape, type, little } = header;
        requireItem(item, sections);
        const own = await bytes.read(offset + item * frame, frame);
        if (own.length < frame) throw new CodecError(`it ends inside frame ${item}`);
        return { shape, data: readNumbers(own, type, little), sampleType: type.sampleType };
      },
    }),
    encode: async (field) => {
      const [height, width, channels] = field.shape;
      const mode = { uint8: undefined, uint16: 6, float32: 2 }[field.sampleType];
      if (mode === undefined || channels !== 1)
        throw new CodecError('an MRC file holds one channel of uint16 or float32', {
          hint: 'use tiff or npy',
        });
      if (field.data.length !== height * width)
        throw new CodecError(`${field.data.length} values do not fill ${describeShape(field.shape)}`);
      return Buffer.concat([writeHeader(height, width, mode), littleEndian(samplesOf(field))]);
    },
  }),
});

const HEADER = 1024;
/** Modes of the standard that hold real numbers of whole bytes. */
const MODES: Readonly<Partial<Record<number, string>>> = { 0: 'i1', 1: 'i2', 2: 'f4', 6: 'u2' };
/**
 * Programs that write bytes as unsigned say so as IMOD does: its stamp, and behind it flags of which the first is "signed" and
 * the fifth "two values of four bits in a byte" (https://bio3d.colorado.edu/imod/doc/mrc_format.txt).
 */
const IMOD = { stamp: 1146047817, at: 152, flags: 156, signed: 1, halves: 16 } as const;

interface MrcHeader {
  readonly shape: FrameShape;
  readonly sections: number;
  readonly type: NumberType;
  readonly little: boolean;
  /** First byte of the first section. */
  readonly offset: number;
  /** Bytes of a section. */
  readonly frame: number;
}

/** Text says what is wrong. */
const readHeader = async (bytes: ByteSource): Promise<MrcHeader | string> => {
  if (bytes.size === 0) return 'the file is empty';
  const head = await bytes.read(0, HEADER);
  if (head.length < HEADER) return `it ends at byte ${bytes.size}, inside the MRC header`;
  if (head.toString('latin1', 208, 211) !== 'MAP')
    return 'it does not begin like an MRC file of 2000 or later';
  const little = head.readUInt8(212) === 0x44;
  if (!little && head.readUInt8(212) !== 0x11) return 'its MRC header has no machine stamp';
  const word = (at: number): number => (little ? head.readInt32LE(at) : head.readInt32BE(at));
  const [width, height, sections, mode, extended] = [word(0), word(4), word(8), word(12), word(92)];
  if (width < 1 || height < 1 || sections < 0 || extended < 0) return 'its MRC header has sizes below zero';
  const flags = word(IMOD.at) === IMOD.stamp ? word(IMOD.flags) : IMOD.signed;
  if (mode === 0 && (flags & IMOD.halves) !== 0) return 'MRC with two values in a byte is not supported';
  const name = mode === 0 && (flags & IMOD.signed) === 0 ? 'u1' : MODES[mode];
  if (name === undefined) return `MRC mode ${mode} is not supported: use 0, 1, 2 or 6`;
  const type = numberType(name);
  const shape = [height, width, 1] as const;
  if (sections === 0) return 'its header speaks of no section yet';
  return { shape, sections, type, little, offset: HEADER + extended, frame: sizeOf(shape) * type.bytes };
};

const writeHeader = (height: number, width: number, mode: number): Buffer => {
  const head = Buffer.alloc(HEADER);
  const words = [
    [0, [width, height, 1, mode, 0, 0, 0, width, height, 1]], // size, mode, start, grid
    [64, [1, 2, 3]], // axes: columns are x, rows y, sections z
    [108, [20140]],
  ] as const;
  for (const [at, values] of words) values.forEach((value, i) => head.writeInt32LE(value, at + 4 * i));
  [width, height, 1, 90, 90, 90].forEach((value, i) => head.writeFloatLE(value, 40 + 4 * i));
  head.write('MAP ', 208, 'latin1');
  head.set([0x44, 0x44], 212);
  return head;
};
