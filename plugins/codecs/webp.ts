import { z } from 'zod';
import { validated } from '../../src/formats/validated.js';
import { CodecError } from '../../src/pipeline/errors.js';
import { defineCodec } from '../../src/pipeline/plugins/plugin.js';
import type { ByteSource, Incomplete } from '../../src/pipeline/plugins/plugin.js';
import { decodeRaster, rasterOf } from '../../src/pipeline/images/raster.js';

/** WebP stills, lossy or lossless, 8 bits; written lossless. There is no checksum in the format. */
export const webp = defineCodec({
  name: 'webp',
  summary: 'WebP images, 8 bits; written without loss',
  options: z.strictObject({}),
  create: () => ({
    extensions: ['.webp'],
    ...validated(validate, (bytes) => decodeRaster(bytes, 'WebP')),
    encode: async (field) => {
      if (field.sampleType !== 'uint8')
        throw new CodecError('a WebP holds 8 bits', { hint: 'use png, tiff or npy' });
      return rasterOf(field).webp({ lossless: true }).toBuffer();
    },
  }),
});

/** Walks the chunks of the RIFF container; they fill it, and it fills the file. */
const validate = async (bytes: ByteSource): Promise<Incomplete> => {
  if (bytes.size === 0) return 'the file is empty';
  const start = await bytes.read(0, 12);
  const isWebp =
    'RIFF'.startsWith(start.toString('latin1', 0, 4)) && 'WEBP'.startsWith(start.toString('latin1', 8, 12));
  if (!isWebp) return 'it does not begin like a WebP';
  const cut = `it ends at byte ${bytes.size}, before the end of the WebP`;
  if (start.length < 12) return cut;
  const end = 8 + start.readUInt32LE(4);
  if (end > bytes.size) return cut;
  let pictures = 0;
  for (let offset = 12; offset < end;) {
    const header = await bytes.read(offset, 8);
    if (header.length < 8) return cut;
    const type = header.toString('latin1', 0, 4);
    if (type === 'ANMF') return 'it is an animation: write one picture per file';
    if (type === 'VP8 ' || type === 'VP8L') pictures++;
    const length = header.readUInt32LE(4);
    offset += 8 + length + (length % 2);
    if (offset > end) return 'its chunks do not fit into it';
  }
  return pictures === 1 ? undefined : 'it holds no picture';
};
