import { z } from 'zod';
import { MAX_CHANNELS } from '../../src/formats/fields.js';
import { numberType, readNumbers } from '../../src/formats/numbers.js';
import { oneOf, requireItem } from '../../src/formats/stacks.js';
import { CodecError } from '../../src/pipeline/errors.js';
import { describeShape } from '../../src/pipeline/frame.js';
import { defineCodec } from '../../src/pipeline/plugins/plugin.js';
import type { Codec } from '../../src/pipeline/plugins/plugin.js';
import { littleEndian } from '../../src/pipeline/bytes.js';
import { samplesOf } from '../../src/pipeline/images/raster.js';

const TYPES = {
  uint8: 'u1',
  uint16: 'u2',
  uint32: 'u4',
  uint64: 'u8',
  int8: 'i1',
  int16: 'i2',
  int32: 'i4',
  int64: 'i8',
  float32: 'f4',
  float64: 'f8',
} as const;

const size = z.number().int().positive();

/**
 * Numbers without a word about themselves, row by row, channels last; what they are is declared, and a file of another
 * size is refused. Several frames may follow each other.
 */
export const raw = defineCodec({
  name: 'raw',
  summary: 'bare numbers whose layout is declared; reads nothing until height and width are',
  options: z.strictObject({
    height: size.optional().describe('rows of a frame'),
    width: size.optional().describe('pixels of a row'),
    channels: size.max(MAX_CHANNELS).default(1).describe('values of a pixel'),
    type: z
      .enum(Object.keys(TYPES) as (keyof typeof TYPES)[])
      .default('uint16')
      .describe('what a value is'),
    byteOrder: z.enum(['little', 'big']).default('little').describe('which byte of a value comes first'),
    header: z.number().int().nonnegative().default(0).describe('bytes at the beginning of a file to skip'),
    extensions: z
      .array(z.string().regex(/^\.[a-z0-9.]+$/, 'an ending is lower-case and begins with a dot, as in .raw'))
      .min(1)
      .default(['.raw', '.bin', '.dat'])
      .describe('endings of the files'),
  }),
  create: ({ height, width, channels, type: typeName, byteOrder, header, extensions }): Codec => {
    const type = numberType(TYPES[typeName]);
    const shape = [height ?? 0, width ?? 0, channels] as const;
    const values = shape[0] * shape[1] * channels;
    const frame = values * type.bytes;
    const declared = `${describeShape(shape)} ${typeName}${header > 0 ? ` after ${header} bytes` : ''}`;
    const problem = (fileSize: number): string | undefined => {
      if (frame === 0) return 'nobody has declared what it holds: set raw.height and raw.width';
      if (fileSize === 0) return 'the file is empty';
      if (fileSize < header + frame)
        return `it has ${fileSize} of the ${header + frame} bytes of ${declared}`;
      const more = (fileSize - header) % frame;
      return more === 0
        ? undefined
        : `it has ${more} bytes more than a whole number of frames of ${declared}`;
    };
    return {
      extensions: frame === 0 ? [] : extensions,
      ...oneOf({
        count: async (bytes) => ({
          count: frame === 0 ? 0 : Math.max(0, Math.floor((bytes.size - header) / frame)),
          incomplete: problem(bytes.size),
        }),
        decode: async (bytes, item, signal) => {
          signal?.throwIfAborted();
          if (frame === 0) throw new CodecError(problem(bytes.size) ?? '');
          requireItem(item, Math.floor((bytes.size - header) / frame));
          const own = await bytes.read(header + item * frame, frame);
          if (own.length < frame) throw new CodecError(`it ends inside frame ${item}`);
          return { shape, data: readNumbers(own, type, byteOrder === 'little'), sampleType: type.sampleType };
        },
      }),
      encode: async (field) => {
        const bytes = littleEndian(samplesOf(field));
        const fits = field.sampleType === typeName && byteOrder === 'little' && bytes.length === frame;
        if (!fits || describeShape(field.shape) !== describeShape(shape))
          throw new CodecError(
            `${describeShape(field.shape)} ${field.sampleType} is not the ${declared} that was declared`,
          );
        return Buffer.concat([Buffer.alloc(header), bytes]);
      },
    };
  },
});
