import { littleEndian } from '../bytes.js';
import { sizeOf } from '../frame.js';
import type { FrameShape } from '../frame.js';

/** An array [leads, H, W, C] of float32 values in a Zarr group. */
export interface ZarrArray {
  readonly name: string;
  readonly values: Float32Array;
}

const json = (value: unknown): Buffer => Buffer.from(`${JSON.stringify(value, null, 2)}\n`);

/**
 * The files of a Zarr v3 group (zarr-specs.readthedocs.io, core protocol 3.0) with arrays [leads, H, W, C], a chunk for
 * each lead, float32, not compressed. Paths are relative to the group's folder.
 */
export const zarrFiles = (
  arrays: readonly ZarrArray[],
  leads: readonly number[],
  shape: FrameShape,
  attributes: Readonly<Record<string, unknown>>,
): [path: string, bytes: Buffer][] => [
  ['zarr.json', json({ zarr_format: 3, node_type: 'group', attributes })],
  ...arrays.flatMap(({ name, values }): [string, Buffer][] => [
    [
      `${name}/zarr.json`,
      json({
        zarr_format: 3,
        node_type: 'array',
        shape: [leads.length, ...shape],
        data_type: 'float32',
        chunk_grid: { name: 'regular', configuration: { chunk_shape: [1, ...shape] } },
        chunk_key_encoding: { name: 'default', configuration: { separator: '.' } },
        fill_value: 0,
        codecs: [{ name: 'bytes', configuration: { endian: 'little' } }],
        dimension_names: ['lead', 'y', 'x', 'channel'],
        attributes: { leads },
      }),
    ],
    ...leads.map((_, at): [string, Buffer] => [
      `${name}/c.${at}.0.0.0`,
      littleEndian(values.subarray(at * sizeOf(shape), (at + 1) * sizeOf(shape))),
    ]),
  ]),
];
