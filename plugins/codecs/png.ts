import { z } from 'zod';
import { validated } from '../../src/formats/validated.js';
import { defineCodec } from '../../src/pipeline/plugins/plugin.js';
import type { ByteSource, Incomplete } from '../../src/pipeline/plugins/plugin.js';
import { decodeRaster, rasterOf, type RasterHeader } from '../../src/pipeline/images/raster.js';

const SIGNATURE = Buffer.from('89504e470d0a1a0a', 'hex');
/** Bytes of a chunk beside its data: length, type, CRC. */
const CHUNK_FRAME = 12;

/** PNG as every writer makes it: 8 or 16 bits, grey or RGB. */
export const png = defineCodec({
  name: 'png',
  summary: 'PNG images, 8 and 16 bits, exact to the bit',
  options: z.strictObject({
    compression: z
      .number()
      .int()
      .min(0)
      .max(9)
      .default(6)
      .describe('zlib level for writing: 0 fast, 9 small')
      .meta({ isForWriting: true }),
  }),
  create: ({ compression }) => ({
    extensions: ['.png'],
    ...validated(validate, (bytes) => decodeRaster(bytes, 'PNG', plainHeader(bytes))),
    encode: async (field) => rasterOf(field).png({ compressionLevel: compression }).toBuffer(),
  }),
});

/** Channels by the colour type of plain images: grey and RGB. */
const CHANNELS: Readonly<Record<number, number>> = { 0: 1, 2: 3 };
const DEPTHS: Readonly<Record<number, string>> = { 8: 'uchar', 16: 'ushort' };

/** What IHDR says of a valid PNG; undefined for one with a palette, alpha, transparent values or few bits. */
const plainHeader = (bytes: Buffer): RasterHeader | undefined => {
  const [depth, channels] = [DEPTHS[bytes.readUInt8(24)], CHANNELS[bytes.readUInt8(25)]];
  // Where the letters mean something else, libvips is asked for nothing.
  if (depth === undefined || channels === undefined || bytes.includes('tRNS', 0, 'latin1')) return undefined;
  return { depth, channels, hasAlpha: false };
};

/** Walks the chunk headers to IEND. What follows IEND is ignored, as decoders do. */
const validate = async (bytes: ByteSource): Promise<Incomplete> => {
  const start = await bytes.read(0, SIGNATURE.length);
  if (bytes.size === 0) return 'the file is empty';
  if (!start.equals(SIGNATURE.subarray(0, start.length))) return 'it does not begin like a PNG';
  let offset = SIGNATURE.length;
  for (let count = 0; offset + CHUNK_FRAME <= bytes.size; count++) {
    const header = await bytes.read(offset, 8);
    if (header.length < 8) break;
    const type = header.toString('latin1', 4, 8);
    if (!/^[A-Za-z]{4}$/.test(type)) return `byte ${offset + 4} should begin a chunk of the PNG and does not`;
    if ((count === 0) !== (type === 'IHDR')) return 'its chunks are not in the order of a PNG';
    offset += CHUNK_FRAME + header.readUInt32BE(0);
    if (type === 'IEND' && offset <= bytes.size) return undefined;
  }
  return `it ends at byte ${bytes.size}, before the end of the PNG`;
};
