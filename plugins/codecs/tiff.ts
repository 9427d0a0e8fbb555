import { promisify } from 'node:util';
import { deflate } from 'node:zlib';
import { z } from 'zod';
import { omeLayout, omeTime, type PageLayout } from '../../src/formats/ome.js';
import { oneOf, requireItem } from '../../src/formats/stacks.js';
import { CodecError } from '../../src/pipeline/errors.js';
import { defineCodec } from '../../src/pipeline/plugins/plugin.js';
import type { Field } from '../../src/pipeline/frame.js';
import { littleEndian } from '../../src/pipeline/bytes.js';
import { decodeRaster, samplesOf } from '../../src/pipeline/images/raster.js';
import type { ByteSource } from '../../src/pipeline/plugins/plugin.js';
import { extractImage, readDescription, readDirectories } from '../../src/formats/tiff-structure.js';
import type { TiffImage, TiffStructure } from '../../src/formats/tiff-structure.js';

const place = z.number().int().nonnegative();

/**
 * TIFF, each page a frame: 8-bit, 16-bit or 32-bit float, grey or RGB, stripped or tiled, classic or BigTIFF,
 * of either byte order. White-is-zero images are read the way viewers show them: 0 is black.
 */
export const tiff = defineCodec({
  name: 'tiff',
  summary: 'TIFF images, 8 and 16 bits and 32-bit float, exact to the bit',
  options: z.strictObject({
    compression: z
      .enum(['none', 'deflate'])
      .default('deflate')
      .describe('how written files are compressed')
      .meta({ isForWriting: true }),
    channel: place.optional().describe('which channel of an OME-TIFF with several to read, from 0'),
    slice: place.optional().describe('which slice of an OME-TIFF of volumes to read, from 0'),
  }),
  create: ({ compression, channel, slice }) => ({
    extensions: ['.tif', '.tiff'],
    ...oneOf({
      count: async (bytes) => {
        const structure = await readDirectories(bytes);
        const found = await framesIn(bytes, structure, { channel, slice });
        return typeof found === 'string'
          ? { count: 0, incomplete: found }
          : { count: found.frames.length, incomplete: structure.incomplete };
      },
      decode: async (bytes, item, signal) => {
        signal?.throwIfAborted();
        const structure = await readDirectories(bytes);
        const found = await framesIn(bytes, structure, { channel, slice });
        if (typeof found === 'string') throw new CodecError(found);
        const { frames, description } = found;
        requireItem(item, frames.length);
        const image = frames[item] as TiffImage;
        if (!SUPPORTED.has(`${image.sampleFormat}:${image.bits}`))
          throw new CodecError(
            `TIFF samples of ${image.bits} bits (${SAMPLE_FORMATS[image.sampleFormat] ?? 'unknown'}) are not supported`,
            { hint: 'write 8-bit or 16-bit unsigned integers or 32-bit floats' },
          );
        // A fourth value beside RGB that nobody explains is alpha as a rule.
        if (image.extra.includes(0) && image.samples !== 4)
          throw new CodecError(`TIFF of ${image.samples} values a pixel is not supported`, {
            hint: 'write grey or RGB, with alpha or without, or NPY arrays',
          });
        const field = await decodeRaster(await extractImage(bytes, image, structure), 'TIFF');
        const time = omeTime(description, item, channel ?? 0, slice ?? 0);
        return { ...field, ...(time && { time }) };
      },
    }),
    encode: (field) => writeTiff(field, compression),
  }),
});

/**
 * As ImageJ says. What it calls slices are points in time where it knows of no others: so it saves a plain stack.
 * Text: what it has written is not all described.
 */
const imageJLayout = (description: string, pages: number): PageLayout | string | undefined => {
  if (!description.startsWith('ImageJ=')) return undefined;
  const number = (name: string): number =>
    Number(new RegExp(`^${name}=(\\d+)`, 'm').exec(description)?.[1]) || 1;
  if (pages === 1 && number('images') > 1)
    return `ImageJ says that it holds ${number('images')} images, and describes one: save it as an OME-TIFF, or as BigTIFF`;
  const slices = number('frames') > 1 ? number('slices') : 1;
  return { kind: 'a hyperstack of ImageJ', channels: number('channels'), slices, order: 'CZT' };
};

/**
 * The images that are frames, thumbnails left out: points in time, of one channel and slice; and how the file describes
 * them. Text: what has to be said to choose.
 */
const framesIn = async (
  bytes: ByteSource,
  structure: TiffStructure,
  { channel, slice }: { channel: number | undefined; slice: number | undefined },
): Promise<{ readonly frames: readonly TiffImage[]; readonly description: string } | string> => {
  const images = structure.images.filter((image) => !image.reduced);
  const [first] = images;
  if (first === undefined) return structure.incomplete ?? 'it holds no image';
  const description = await readDescription(bytes, first, structure);
  const layout = omeLayout(description, first.samples) ?? imageJLayout(description, images.length);
  if (typeof layout === 'string') return layout;
  if (layout === undefined) return { frames: images, description };
  const { kind, channels, slices, order } = layout;
  if (channels * slices === 1) return { frames: images, description };
  if (channels > 1 && channel === undefined)
    return `it is ${kind} of ${channels} channels: say which with the option tiff.channel`;
  if (slices > 1 && slice === undefined)
    return `it is ${kind} of volumes of ${slices} slices: say which with the option tiff.slice`;
  const [c, z] = [channels > 1 ? (channel ?? 0) : 0, slice ?? 0];
  if (c >= channels || z >= slices) return `it has ${channels} channels and ${slices} slices`;
  const points = Math.floor(images.length / (channels * slices));
  const sizes: Readonly<Record<string, number>> = { C: channels, Z: slices, T: points };
  /** Pages from one channel, slice or point in time to the next. What there is one of takes no part. */
  const apart: Record<string, number> = {};
  const axes = Array.from(order).filter((axis) => axis === 'T' || (sizes[axis] ?? 1) > 1);
  axes.reduce((pages, axis) => ((apart[axis] = pages), pages * (sizes[axis] ?? 1)), 1);
  const offset = c * (apart['C'] ?? 0) + z * (apart['Z'] ?? 0);
  // While it grows, its last point in time may lack channels or slices.
  if (axes.at(-1) === 'T')
    return { frames: images.filter((_image, page) => page % (channels * slices) === offset), description };
  if (apart['T'] === undefined || images.length !== points * channels * slices)
    return `${kind} in the order XY${order} of ${images.length} pages is not supported`;
  const step = apart['T'];
  return { frames: Array.from({ length: points }, (_, t) => images[offset + t * step]!), description };
};

const SAMPLE_FORMATS: Readonly<Partial<Record<number, string>>> = { 1: 'unsigned', 2: 'signed', 3: 'float' };
const SUPPORTED = new Set(['1:8', '1:16', '3:32']);

/**
 * A little-endian TIFF of one strip, its directory last so that a file cut short has none. Written here because sharp
 * converts floats to a display range on their way out.
 */
const writeTiff = async (field: Field, compression: 'none' | 'deflate'): Promise<Buffer> => {
  const [height, width, channels] = field.shape;
  if (channels !== 1 && channels !== 3)
    throw new CodecError(`a TIFF image holds 1 or 3 channels, not ${channels}`, {
      hint: 'use the npy codec',
    });
  if (field.data.length !== height * width * channels)
    throw new CodecError(`${field.data.length} values do not fill ${height}x${width}x${channels}`);
  const samples = littleEndian(samplesOf(field));
  const strip = compression === 'deflate' ? await promisify(deflate)(samples) : samples;
  if (strip.length > 2 ** 32 - 2 ** 16)
    throw new CodecError('a TIFF holds less than 4 GB', { hint: 'use npy' });

  const bits = { uint8: 8, uint16: 16, float32: 32 }[field.sampleType];
  const format = field.sampleType === 'float32' ? 3 : 1;
  const offset = 8 + strip.length + (strip.length % 2);
  const three = (value: number): Buffer => littleEndian(Uint16Array.of(value, value, value));
  const arrays = channels === 1 ? Buffer.alloc(0) : Buffer.concat([three(bits), three(format)]);
  const [SHORT, LONG] = [3, 4];
  const entries = [
    [256, LONG, 1, width],
    [257, LONG, 1, height],
    [258, SHORT, channels, channels === 1 ? bits : offset],
    [259, SHORT, 1, compression === 'deflate' ? 8 : 1],
    [262, SHORT, 1, channels === 1 ? 1 : 2], // grey with 0 as black, or RGB
    [273, LONG, 1, 8],
    [277, SHORT, 1, channels],
    [278, LONG, 1, height],
    [279, LONG, 1, strip.length],
    [284, SHORT, 1, 1],
    [339, SHORT, channels, channels === 1 ? format : offset + 6],
  ] as const;
  const directory = Buffer.alloc(2 + entries.length * 12 + 4);
  directory.writeUInt16LE(entries.length, 0);
  for (const [i, [tag, type, count, value]] of entries.entries()) {
    directory.writeUInt16LE(tag, 2 + i * 12);
    directory.writeUInt16LE(type, 4 + i * 12);
    directory.writeUInt32LE(count, 6 + i * 12);
    directory.writeUInt32LE(value, 10 + i * 12); // a SHORT is the low half
  }
  const header = Buffer.from('49492a0000000000', 'hex');
  header.writeUInt32LE(offset + arrays.length, 4);
  return Buffer.concat([header, strip, Buffer.alloc(strip.length % 2), arrays, directory]);
};
