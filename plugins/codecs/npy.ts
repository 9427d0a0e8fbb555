import { z } from 'zod';
import { axesOption } from '../../src/formats/axes.js';
import { readNpyFrame, readNpyLayout } from '../../src/formats/npy-array.js';
import { oneOf, requireItem } from '../../src/formats/stacks.js';
import { CodecError } from '../../src/pipeline/errors.js';
import { defineCodec } from '../../src/pipeline/plugins/plugin.js';
import { littleEndian } from '../../src/pipeline/bytes.js';
import { samplesOf } from '../../src/pipeline/images/raster.js';

/** NumPy's `.npy`, versions 1 to 3: one array per file, [H, W], [H, W, C], or several frames [N, H, W], [N, H, W, C]. */
export const npy = defineCodec({
  name: 'npy',
  summary: 'NumPy arrays, integers and floats; written as uint8, uint16 or float32',
  options: z.strictObject({ axes: axesOption }),
  create: ({ axes }) => ({
    extensions: ['.npy'],
    ...oneOf({
      count: async (bytes) => {
        const layout = await readNpyLayout(bytes, axes);
        return typeof layout === 'string'
          ? { count: 0, incomplete: layout }
          : { count: layout.count, incomplete: undefined };
      },
      decode: async (bytes, item, signal) => {
        signal?.throwIfAborted();
        const layout = await readNpyLayout(bytes, axes);
        if (typeof layout === 'string') throw new CodecError(layout);
        requireItem(item, layout.count);
        return readNpyFrame(bytes, layout, item);
      },
    }),
    encode: async (field) => {
      const [height, width, channels] = field.shape;
      return encodeNpy(channels === 1 ? [height, width] : field.shape, samplesOf(field));
    },
    encodeStack: async (shape, data) => encodeNpy(shape, data),
  }),
});

const MAGIC = Buffer.from('\x93NUMPY', 'latin1');

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
