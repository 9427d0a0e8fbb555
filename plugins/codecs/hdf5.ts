import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { axesOption, framesOf } from '../../src/formats/axes.js';
import { joinChannels } from '../../src/formats/fields.js';
import { askHdf5, superblockOf } from '../../src/formats/hdf5.js';
import { onlyReads, oneOf, requireItem } from '../../src/formats/stacks.js';
import { verdictOf } from '../../src/formats/validated.js';
import { CodecError } from '../../src/pipeline/errors.js';
import { defineCodec } from '../../src/pipeline/plugins/plugin.js';
import type { ByteSource } from '../../src/pipeline/plugins/plugin.js';

/**
 * Datasets of HDF5 files, NeXus among them, read by the HDF5 library in a thread of its own. The first axis of a dataset
 * of more than two is frames, unless `axes` says otherwise. A file that is written in SWMR mode may grow.
 */
export const hdf5 = defineCodec({
  name: 'hdf5',
  summary: 'datasets of HDF5 and NeXus files, by path; files that grow in SWMR mode too',
  options: z.strictObject({
    field: z
      .union([z.string(), z.array(z.string()).min(1)])
      .optional()
      .describe('path of the dataset, such as entry/data/counts, or a list of datasets that become channels'),
    axes: axesOption,
    times: z
      .string()
      .optional()
      .describe('path of a dataset with the time of each frame; default: time, times or t beside the field'),
  }),
  create: ({ field, axes, times }) => {
    const wanted = typeof field === 'string' ? [field] : field;
    const open = async (bytes: PlacedBytes) => {
      const { incomplete, live } = await superblockOf(bytes);
      if (incomplete !== undefined) throw new CodecError(incomplete);
      const request = { path: bytes.path, live, wanted, axes, times };
      const { fields } = await askHdf5({ ...request, item: undefined });
      const all = fields.map(({ name, dimensions }) => {
        // A growing dataset may be empty as yet.
        const own = axes === 'auto' && dimensions.length === 3 ? 'NHW' : axes;
        const empty = dimensions[0] === 0 && dimensions.length > 2;
        const frames = framesOf(empty ? [1, ...dimensions.slice(1)] : dimensions, own);
        if (typeof frames === 'string') throw new CodecError(`${name}: ${frames}`);
        return {
          ...frames,
          count: empty ? 0 : frames.count,
          stacked: own.startsWith('N') || dimensions.length === 4,
        };
      });
      const [first] = all;
      if (first === undefined || all.some(({ stacked }) => stacked !== first.stacked))
        throw new CodecError('its fields differ in their axes');
      if (all.some(({ shape }) => shape[0] !== first.shape[0] || shape[1] !== first.shape[1]))
        throw new CodecError('its fields differ in their shapes');
      const count = Math.min(...all.map((frames) => frames.count));
      return { request: { ...request, axes: first.stacked ? 'N' : '' }, all, count, live };
    };
    return {
      extensions: ['.h5', '.hdf5', '.hdf', '.nxs', '.nx5'],
      ...oneOf(
        {
          count: (unplaced) =>
            onDisk(unplaced, async (bytes) => ({
              count: (await open(bytes)).count,
              incomplete: undefined,
            })).catch((error: unknown) => ({ count: 0, incomplete: verdictOf(error) })),
          decode: (unplaced, item, signal) =>
            onDisk(unplaced, async (bytes) => {
              signal?.throwIfAborted();
              const { request, all, count } = await open(bytes);
              requireItem(item, count);
              const { fields, data, time } = await askHdf5({ ...request, item });
              const [height, width] = all[0]?.shape ?? [0, 0];
              const joined = joinChannels(
                height,
                width,
                fields.map(({ sampleType }, i) => ({
                  values: data[i] ?? new Float32Array(0),
                  components: all[i]?.shape[2] ?? 1,
                  component: undefined,
                  sampleType,
                })),
              );
              return { ...joined, ...(time && { time }) };
            }),
        },
        onDisk,
      ),
      encode: onlyReads('hdf5'),
    };
  },
});

type PlacedBytes = ByteSource & { readonly path: string };

/**
 * The library opens files itself: bytes that are in memory are written to a temporary one.
 * @throws the system's error when there is no room for it
 */
const onDisk = async <T>(bytes: ByteSource, use: (bytes: PlacedBytes) => Promise<T>): Promise<T> => {
  if (bytes.path !== undefined) return use({ ...bytes, path: bytes.path });
  const folder = await mkdtemp(join(tmpdir(), 'mesocast-hdf5-'));
  try {
    const path = join(folder, 'file.h5');
    await writeFile(path, await bytes.read(0, bytes.size));
    return await use({ ...bytes, path });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};
