import { expect, test } from '@jest/globals';
import { createPlugin } from '../../src/pipeline/plugins/registry.js';
import { bytesOf } from '../../src/pipeline/bytes.js';

type Tag = readonly [tag: number, values: readonly number[]];

/** A little-endian TIFF of pages of 2 x 1 pixels of 8 bits, each with `samples` values of its number; a text in the first. */
const tiffOf = (
  pages: number,
  description: string,
  { samples = 1, tags = [] as readonly Tag[] } = {},
): Buffer => {
  const parts: Buffer[] = [Buffer.from('49492a0008000000', 'hex')];
  let at = 8;
  const text = Buffer.from(`${description}\0`);
  for (let page = 0; page < pages; page++) {
    const entries: Tag[] = [
      ...([
        [256, [2]],
        [257, [1]],
        [258, [8]],
        [259, [1]],
        [262, [samples === 3 ? 2 : 1]],
      ] as const),
      ...([
        [273, [0]],
        [277, [samples]],
        [278, [1]],
        [279, [2 * samples]],
      ] as const),
      ...tags,
    ];
    const all = [...entries, ...(page === 0 ? ([[270, []]] as const) : [])].sort(([a], [b]) => a - b);
    const directory = Buffer.alloc(2 + 12 * all.length + 4);
    const data = at + directory.length;
    directory.writeUInt16LE(all.length, 0);
    const pixels = Buffer.alloc(8, page);
    all.forEach(([tag, values], k) => {
      const own = 2 + 12 * k;
      directory.writeUInt16LE(tag, own);
      directory.writeUInt16LE(tag === 270 ? 2 : 4, own + 2);
      directory.writeUInt32LE(tag === 270 ? text.length : 1, own + 4);
      const value = tag === 273 ? data : tag === 270 ? data + pixels.length : values[0]!;
      directory.writeUInt32LE(value, own + 8);
    });
    const behind = page === 0 ? text : Buffer.alloc(0);
    const end = data + pixels.length + behind.length;
    directory.writeUInt32LE(page === pages - 1 ? 0 : end, directory.length - 4);
    parts.push(directory, pixels, behind);
    at = end;
  }
  return Buffer.concat(parts);
};

/** The value of each frame, or why there are none. */
const framesOf = async (bytes: Buffer, options: Record<string, unknown> = {}): Promise<number[] | string> => {
  const { stack } = await createPlugin('codec', 'tiff', options, undefined);
  const source = bytesOf(bytes);
  const { count, incomplete } = await stack!.count(source);
  if (incomplete !== undefined) return incomplete;
  const frames = [];
  for (let item = 0; item < count; item++) frames.push((await stack!.decode(source, item)).data[0]!);
  return frames;
};
const upTo = (count: number, step = 1, first = 0): number[] =>
  Array.from({ length: count }, (_, k) => first + step * k);
const ome = (sizeC: number, sizeT: number): string =>
  `<OME><Image><Pixels DimensionOrder="XYCZT" SizeX="2" SizeY="1" SizeC="${sizeC}" SizeZ="1" SizeT="${sizeT}"/></Image></OME>`;

test('colours of a page are channels of an OME-TIFF, and no planes of their own, however many pages it has', async () => {
  for (const pages of [1, 3, 10])
    expect(await framesOf(tiffOf(pages, ome(3, pages), { samples: 3 }))).toEqual(upTo(pages));
  expect(await framesOf(tiffOf(6, ome(2, 3)))).toMatch(/OME-TIFF of 2 channels.*tiff.channel/);
  expect(await framesOf(tiffOf(6, ome(2, 3)), { channel: 1 })).toEqual([1, 3, 5]);
  // While it grows, a page belongs to its own channel.
  expect(await framesOf(tiffOf(1, ome(2, 3)), { channel: 1 })).toEqual([]);
});

test('pages of an OME-TIFF are told apart in any order; those of files that belong together are not guessed', async () => {
  const pixels = (order: string, sizes: string, inside = ''): string =>
    `<OME><Image><Pixels DimensionOrder="${order}" SizeX="2" SizeY="1" ${sizes}>${inside}</Pixels></Image></OME>`;
  const channels = 'SizeC="2" SizeZ="1" SizeT="3"';
  // With one slice XYCTZ is CT; TC has all points in time of a channel, then those of the next.
  expect(await framesOf(tiffOf(6, pixels('XYCTZ', channels)), { channel: 1 })).toEqual([1, 3, 5]);
  for (const order of ['XYTCZ', 'XYZTC'])
    expect(await framesOf(tiffOf(6, pixels(order, channels)), { channel: 1 })).toEqual([3, 4, 5]);
  expect(await framesOf(tiffOf(5, pixels('XYTCZ', channels)), { channel: 1 })).toMatch(/of 5 pages is not/);
  const both = 'SizeC="2" SizeZ="3" SizeT="2"';
  expect(await framesOf(tiffOf(12, pixels('XYTZC', both)), { channel: 1, slice: 2 })).toEqual([10, 11]);

  const files = [0, 1, 2].map(
    (t) => `<TiffData FirstT="${t}"><UUID FileName="f${t}.ome.tif">urn</UUID></TiffData>`,
  );
  const planes = '<Plane TheT="0" TheC="0" TheZ="0" DeltaT="7"/>';
  const { stack } = await createPlugin('codec', 'tiff', {}, undefined);
  const timeOf = async (inside: string) =>
    (await stack!.decode(bytesOf(tiffOf(1, pixels('XYCZT', 'SizeC="1" SizeZ="1" SizeT="3"', inside))), 0))
      .time;
  expect(await timeOf(planes)).toEqual({ value: 7, unit: 's' });
  expect(await timeOf(files.join('') + planes)).toBeUndefined();
  // Split by time, each file has all channels of its points.
  expect(await framesOf(tiffOf(2, pixels('XYCZT', channels, files.join(''))), { channel: 1 })).toEqual([1]);
  const byChannel = files.join('').replaceAll(/FirstT="\d"/g, 'FirstT="0"');
  expect(await framesOf(tiffOf(3, pixels('XYCZT', channels, byChannel)), { channel: 0 })).toMatch(
    /one of 3 files of an OME-TIFF that has channels or slices of one point in several/,
  );
  expect(await framesOf(tiffOf(2, '<OME><BinaryOnly MetadataFile="a.ome.tif" UUID="urn"/></OME>'))).toMatch(
    /description is in another file/,
  );
});

test('of a hyperstack of ImageJ one channel and slice is read; a plain stack of it has a frame for each slice', async () => {
  const says = (...lines: string[]): string => ['ImageJ=1.54f', ...lines, ''].join('\n');
  const channels = tiffOf(8, says('images=8', 'channels=2', 'frames=4', 'hyperstack=true'));
  expect(await framesOf(channels)).toMatch(/hyperstack of ImageJ of 2 channels.*tiff.channel/);
  expect(await framesOf(channels, { channel: 1 })).toEqual([1, 3, 5, 7]);
  const volumes = tiffOf(12, says('images=12', 'channels=2', 'slices=3', 'frames=2'));
  expect(await framesOf(volumes, { channel: 1, slice: 2 })).toEqual([5, 11]);
  expect(await framesOf(tiffOf(5, says('images=5', 'slices=5')))).toEqual(upTo(5));
  expect(await framesOf(tiffOf(1, says('images=3000', 'slices=3000')))).toMatch(
    /holds 3000 images, and describes one/,
  );
});

test('a text that libvips does not like is no reason to refuse an image; a second value that nobody explains is', async () => {
  expect(await framesOf(tiffOf(2, 'fixed size\0\0garbage'))).toEqual([0, 1]);
  await expect(framesOf(tiffOf(1, '', { samples: 2, tags: [[338, [0]]] }))).rejects.toThrow(
    '2 values a pixel',
  );
});

test('bytes of an MRC file are signed, unless it says as IMOD does that they are not', async () => {
  const mrc = await createPlugin('codec', 'mrc', {}, undefined);
  const file = await mrc.encode({ shape: [1, 2, 1], data: Float32Array.of(0, 0), sampleType: 'uint16' });
  const mode0 = Buffer.concat([file.subarray(0, 1024), Buffer.from([200, 3])]);
  mode0.writeInt32LE(0, 12);
  const read = async (): Promise<number[]> => [...(await mrc.decode(mode0)).data];
  expect(await read()).toEqual([-56, 3]);
  mode0.writeInt32LE(1146047817, 152);
  expect(await read()).toEqual([200, 3]);
  mode0.writeInt32LE(1, 156);
  expect(await read()).toEqual([-56, 3]);
});

test('points that a legacy VTK file hides are gaps, and the array that hides them is no field', async () => {
  const text = [
    ...['# vtk DataFile Version 3.0', 'hidden', 'ASCII', 'DATASET STRUCTURED_POINTS', 'DIMENSIONS 2 2 1'],
    ...['ORIGIN 0 0 0', 'SPACING 1 1 1', 'POINT_DATA 4', 'FIELD FieldData 2'],
    ...['phi 1 4 float', '1 2 3 4', 'vtkGhostType 1 4 unsigned_char', '0 2 0 1', ''],
  ].join('\n');
  const vtk = await createPlugin('codec', 'vtk', {}, undefined);
  expect([...(await vtk.decode(Buffer.from(text))).data]).toEqual([1, NaN, 3, 4]);
});
