import sharp from 'sharp';
import type { Sharp } from 'sharp';
import { CodecError, messageOf } from '../errors.js';
import type { Field, FrameShape, SampleType } from '../frame.js';
import { describeShape, sizeOf } from '../frame.js';

/** Pixels above which an image is taken for a decompression bomb. */
export const MAX_PIXELS = 2 ** 28;

const SAMPLE_TYPES: Readonly<Partial<Record<string, SampleType>>> = {
  uchar: 'uint8',
  ushort: 'uint16',
  float: 'float32',
};

/**
 * The colour space that makes libvips hand the stored numbers through: with any other one it rescales 16-bit values
 * to 8 bits, or clips floats to a display range.
 */
const COLOUR_SPACES = {
  uint8: { grey: 'b-w', rgb: 'srgb' },
  uint16: { grey: 'grey16', rgb: 'rgb16' },
  float32: { grey: 'b-w', rgb: 'scrgb' },
} as const;

/** Moves to memory of its own when the view's offset does not suit its elements. */
const aligned = (bytes: Buffer): Buffer =>
  bytes.byteOffset % 4 === 0 ? bytes : Buffer.from(new Uint8Array(bytes).buffer);

const open = (bytes: Buffer): Sharp =>
  sharp(bytes, { failOn: 'warning', limitInputPixels: MAX_PIXELS, ignoreIcc: true });

/** What has to be known of an image to have its numbers as they are stored. */
export interface RasterHeader {
  /** As libvips names it: `uchar`, `ushort`, `float`, ... */
  readonly depth: string;
  /** With the one for alpha. */
  readonly channels: number;
  readonly hasAlpha: boolean;
}

/**
 * Decodes the first image of a PNG or TIFF to the numbers that are stored in it: 8-bit, 16-bit or 32-bit float, grey
 * or RGB. Alpha is dropped, palettes are expanded, and RGB whose three channels agree everywhere becomes one channel.
 * @param format what messages call the format
 * @param header where the caller has read it: asking libvips takes a tenth of the time of decoding
 * @throws CodecError when the bytes do not decode, or hold other sample types or channels
 */
export const decodeRaster = async (bytes: Buffer, format: string, header?: RasterHeader): Promise<Field> => {
  const refuse = (error: unknown): never => {
    const reason = firstLine(error);
    if (reason.includes('exceeds pixel limit'))
      throw new CodecError(`it has more than ${MAX_PIXELS} pixels`, {
        cause: error,
        hint: 'average it down, or cut it, before it is written',
      });
    throw new CodecError(`it does not decode as ${format}: ${reason}`, { cause: error });
  };
  const { depth, channels, hasAlpha }: RasterHeader = header ?? (await open(bytes).metadata().catch(refuse));
  const sampleType = SAMPLE_TYPES[depth];
  const colours = channels - (hasAlpha ? 1 : 0);
  if (sampleType === undefined || (colours !== 1 && colours !== 3))
    throw new CodecError(`${format} with ${colours} channels of type ${depth} is not supported`, {
      hint: 'write 8-bit, 16-bit or 32-bit float grey (or RGB) images, or NPY arrays',
    });
  const { grey, rgb } = COLOUR_SPACES[sampleType];
  const image = hasAlpha ? open(bytes).removeAlpha() : open(bytes);
  const { data, info } = await image
    .toColourspace(colours === 1 ? grey : rgb)
    .raw({ depth: 'float' }) // libvips converts, in a thread of its own
    .toBuffer({ resolveWithObject: true })
    .catch(refuse);
  if (info.channels !== colours) refuse(new Error(`${info.channels} channels came instead of ${colours}`));
  const shape = [info.height, info.width, colours] as const;
  const values = aligned(data);
  return narrow(shape, new Float32Array(values.buffer, values.byteOffset, values.length / 4), sampleType);
};

const firstLine = (error: unknown): string => messageOf(error).split('\n')[0] ?? '';

/** One channel out of three equal ones. */
const narrow = (shape: FrameShape, data: Float32Array, sampleType: SampleType): Field => {
  if (shape[2] !== 3) return { shape, data, sampleType };
  for (let i = 0; i < data.length; i += 3)
    if (!Object.is(data[i], data[i + 1]) || !Object.is(data[i], data[i + 2]))
      return { shape, data, sampleType };
  const grey = new Float32Array(data.length / 3);
  for (let i = 0; i < grey.length; i++) grey[i] = data[3 * i] ?? 0;
  return { shape: [shape[0], shape[1], 1], data: grey, sampleType };
};

/**
 * A sharp image that will be written with exactly these numbers, rounded and clamped to the sample type.
 * @throws CodecError for floats, which sharp would convert to a display range, for anything but 1 or 3 channels, and
 * when the data do not fill the shape
 */
export const rasterOf = (field: Field): Sharp => {
  const [height, width, channels] = field.shape;
  if (field.sampleType === 'float32')
    throw new CodecError('this format holds 8 or 16 bits, no floats', {
      hint: 'scale the values to 0..65535 first, or use the tiff or npy codec',
    });
  if (channels !== 1 && channels !== 3)
    throw new CodecError(`an image file holds 1 or 3 channels, not ${channels}`, {
      hint: 'use the npy codec',
    });
  if (field.data.length !== sizeOf(field.shape))
    throw new CodecError(`${field.data.length} values do not fill ${describeShape(field.shape)}`);
  const { grey, rgb } = COLOUR_SPACES[field.sampleType];
  return sharp(samplesOf(field), {
    raw: { width, height, channels },
    limitInputPixels: MAX_PIXELS,
  }).toColourspace(channels === 1 ? grey : rgb);
};

/** The field's values in its sample type: rounded to nearest, clamped, NaN as 0; floats as they are. */
export const samplesOf = ({ data, sampleType }: Field): Uint8ClampedArray | Uint16Array | Float32Array => {
  if (sampleType === 'float32') return data;
  const samples = sampleType === 'uint8' ? new Uint8ClampedArray(data.length) : new Uint16Array(data.length);
  const high = sampleType === 'uint8' ? 255 : 65535;
  for (let i = 0; i < data.length; i++) samples[i] = Math.max(0, Math.min(high, Math.round(data[i] ?? 0)));
  return samples;
};
