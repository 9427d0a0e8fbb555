import { z } from 'zod';
import { onlyReads } from '../../src/formats/stacks.js';
import { validated } from '../../src/formats/validated.js';
import { defineCodec } from '../../src/pipeline/plugins/plugin.js';
import type { ByteSource, Incomplete } from '../../src/pipeline/plugins/plugin.js';
import { decodeRaster } from '../../src/pipeline/images/raster.js';

/** JPEG, grey or colour, 8 bits. It is lossy and has no checksum: read for the cameras that write nothing else. */
export const jpeg = defineCodec({
  name: 'jpeg',
  summary: 'JPEG images, 8 bits, only read: they are lossy',
  options: z.strictObject({}),
  create: () => ({
    extensions: ['.jpg', '.jpeg'],
    ...validated(validate, (bytes) => decodeRaster(bytes, 'JPEG')),
    encode: onlyReads('jpeg'),
  }),
});

/** Markers without a length: TEM, RST0 to RST7. */
const isBare = (marker: number): boolean => marker === 0x01 || (marker >= 0xd0 && marker <= 0xd7);
const [SOI, EOI, SOS] = [0xd8, 0xd9, 0xda];

/**
 * Walks the segments (ITU-T T.81, B.1) to the end-of-image marker: one inside a thumbnail is skipped with its segment.
 * Bytes after it are ignored, as decoders do.
 */
const validate = async (bytes: ByteSource): Promise<Incomplete> => {
  if (bytes.size === 0) return 'the file is empty';
  const data = await bytes.read(0, bytes.size);
  const cut = `it ends at byte ${bytes.size}, before the end of the JPEG`;
  if (data[0] !== 0xff || (data.length > 1 && data[1] !== SOI)) return 'it does not begin like a JPEG';
  let at = 2;
  while (at + 1 < data.length) {
    if (data[at] !== 0xff) return `byte ${at} should begin a segment of the JPEG and does not`;
    const marker = data[at + 1] ?? 0;
    if (marker === 0xff)
      at += 1; // filling
    else if (marker === EOI) return undefined;
    else if (isBare(marker)) at += 2;
    else {
      if (at + 4 > data.length) return cut;
      at += 2 + data.readUInt16BE(at + 2);
      if (marker === SOS) at = endOfScan(data, at);
    }
  }
  return cut;
};

/** The next marker after entropy-coded data, in which 0xff is followed by 0 or a restart marker. */
const endOfScan = (data: Buffer, from: number): number => {
  let at = data.indexOf(0xff, from);
  while (at >= 0 && at + 1 < data.length) {
    const next = data[at + 1] ?? 0;
    if (next !== 0 && !(next >= 0xd0 && next <= 0xd7)) return at;
    at = data.indexOf(0xff, at + (next === 0xff ? 1 : 2));
  }
  return data.length;
};
