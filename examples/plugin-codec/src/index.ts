import { CodecError, defineCodec, sizeOf, z } from 'mesocast';
import type { ByteSource, FrameShape } from 'mesocast';

/** "MYF1", then rows and columns as 32-bit integers, then float32 values row by row, all little-endian. */
const MAGIC = 'MYF1';
const HEADER = 12;

const shapeOf = (header: Buffer): FrameShape => {
  if (header.length < HEADER || header.toString('latin1', 0, 4) !== MAGIC)
    throw new CodecError(`does not begin with ${MAGIC}`);
  const shape = [header.readUInt32LE(4), header.readUInt32LE(8), 1] as const;
  // A damaged header must not make anybody allocate what the file cannot hold.
  if (sizeOf(shape) === 0 || sizeOf(shape) > 2 ** 28)
    throw new CodecError(`cannot be ${shape[0]} x ${shape[1]}`);
  return shape;
};
const missing = (size: number, shape: FrameShape): string | undefined => {
  const whole = HEADER + 4 * sizeOf(shape);
  return size === whole ? undefined : `has ${size} bytes, not ${whole}`;
};

/** Frames of float32 values in a format of your own. */
export const myCodec = defineCodec({
  name: 'my_codec',
  summary: 'float32 frames behind a header of 12 bytes',
  options: z.strictObject({}),
  create: () => ({
    extensions: ['.myf'],
    // Is the file whole? Reads little, decodes nothing, and never throws for bad bytes.
    validate: async (bytes: ByteSource) => {
      try {
        return missing(bytes.size, shapeOf(await bytes.read(0, HEADER)));
      } catch (error) {
        return error instanceof Error ? error.message : String(error);
      }
    },
    decode: async (bytes, signal) => {
      signal?.throwIfAborted();
      const shape = shapeOf(bytes);
      const reason = missing(bytes.length, shape);
      if (reason !== undefined) throw new CodecError(reason);
      const data = Float32Array.from({ length: sizeOf(shape) }, (_, at) =>
        bytes.readFloatLE(HEADER + 4 * at),
      );
      return { shape, data, sampleType: 'float32' };
    },
    encode: async ({ shape, data, sampleType }) => {
      if (sampleType !== 'float32' || shape[2] !== 1)
        throw new CodecError('holds float32 frames of one channel');
      if (data.length !== sizeOf(shape))
        throw new CodecError(`${data.length} values are not ${shape.join(' x ')}`);
      const bytes = Buffer.alloc(HEADER + 4 * data.length);
      bytes.write(MAGIC, 'latin1');
      bytes.writeUInt32LE(shape[0], 4);
      bytes.writeUInt32LE(shape[1], 8);
      data.forEach((value, at) => bytes.writeFloatLE(value, HEADER + 4 * at));
      return bytes;
    },
  }),
});
