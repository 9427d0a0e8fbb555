import { z } from 'zod';
import { axesOption } from '../../src/formats/axes.js';
import { chooseFields, fieldOption, joinChannels } from '../../src/formats/fields.js';
import type { NpyLayout } from '../../src/formats/npy-array.js';
import { readNpyFrame, readNpyHeader, readNpyLayout } from '../../src/formats/npy-array.js';
import { onlyReads, oneOf, requireItem } from '../../src/formats/stacks.js';
import { verdictOf } from '../../src/formats/validated.js';
import type { ZipMember } from '../../src/formats/zip.js';
import { readMember, readZip } from '../../src/formats/zip.js';
import { bytesOf } from '../../src/pipeline/bytes.js';
import { CodecError } from '../../src/pipeline/errors.js';
import { sizeOf } from '../../src/pipeline/frame.js';
import { defineCodec } from '../../src/pipeline/plugins/plugin.js';
import type { ByteSource } from '../../src/pipeline/plugins/plugin.js';
import { MAX_PIXELS } from '../../src/pipeline/images/raster.js';

/**
 * NumPy's `.npz` (savez and savez_compressed): named arrays in a ZIP archive, one of them, or several as channels. Every
 * frame is checked against the archive's checksum; in an archive of a stack that means reading its whole array each time.
 */
export const npz = defineCodec({
  name: 'npz',
  summary: 'NumPy archives of named arrays, compressed or not',
  options: z.strictObject({ field: fieldOption, axes: axesOption }),
  create: ({ field, axes }) => {
    /** The arrays that were asked for, with what their headers say: the first kilobytes of each are read, no more. */
    const open = async (bytes: ByteSource) => {
      const members = await readZip(bytes);
      if (typeof members === 'string') throw new CodecError(members);
      const arrays = members
        .filter(({ name }) => name.endsWith('.npy'))
        .map((member) => ({ member, name: member.name.slice(0, -4), components: 1 }));
      const chosen = [];
      for (const { array } of chooseFields(field, arrays, 'npz.field'))
        chosen.push({ ...array, layout: await headerOf(bytes, array.member, axes) });
      const [first] = chosen;
      const counts = new Set(chosen.map(({ layout }) => layout.count));
      if (first === undefined || counts.size > 1)
        throw new CodecError(
          `${chosen.map(({ name }) => name).join(', ')} differ in how many frames they hold`,
        );
      const { count, shape } = first.layout;
      if (chosen.some(({ layout }) => layout.shape[0] !== shape[0] || layout.shape[1] !== shape[1]))
        throw new CodecError(`${chosen.map(({ name }) => name).join(', ')} differ in their shapes`);
      return { chosen, count, shape };
    };
    return {
      extensions: ['.npz'],
      ...oneOf({
        count: (bytes) =>
          open(bytes).then(
            ({ count }) => ({ count, incomplete: undefined }),
            (error: unknown) => ({ count: 0, incomplete: verdictOf(error) }),
          ),
        decode: async (bytes, item, signal) => {
          const { chosen, count, shape } = await open(bytes);
          requireItem(item, count);
          const parts = [];
          for (const { member } of chosen) {
            signal?.throwIfAborted();
            const array = bytesOf(await readMember(bytes, member));
            const layout = await readNpyLayout(array, axes);
            if (typeof layout === 'string') throw new CodecError(`${member.name} in it: ${layout}`);
            const { data, sampleType } = await readNpyFrame(array, layout, item);
            parts.push({ values: data, components: layout.shape[2], component: undefined, sampleType });
          }
          return joinChannels(shape[0], shape[1], parts);
        },
      }),
      encode: onlyReads('npz'),
    };
  },
});

/** Much more than a header takes; less than any frame that matters. */
const HEADER = 8192;

/** @throws CodecError when it is no array, or not of the size that the archive says */
const headerOf = async (
  bytes: ByteSource,
  member: ZipMember,
  axes: 'auto' | 'HW' | 'HWC' | 'NHW' | 'NHWC',
): Promise<NpyLayout> => {
  const start = await readMember(bytes, member, HEADER);
  const layout = await readNpyHeader({ ...bytesOf(start), size: member.size }, axes);
  if (typeof layout === 'string') throw new CodecError(`${member.name} in it: ${layout}`);
  if (layout.size !== member.size)
    throw new CodecError(`${member.name} in it has ${member.size} of the ${layout.size} bytes of its header`);
  if (layout.count * sizeOf(layout.shape) > MAX_PIXELS)
    throw new CodecError(`${member.name} in it has more than ${MAX_PIXELS} values`);
  return layout;
};
