import { z } from 'zod';
import { chooseFields, fieldOption, joinChannels } from '../../src/formats/fields.js';
import { verdictOf } from '../../src/formats/validated.js';
import { blanked, byName, commonPlace, GHOSTS, planeOf, requireSize } from '../../src/formats/vtk-values.js';
import type { Place } from '../../src/formats/vtk-values.js';
import type { VtkXml, XmlPiece } from '../../src/formats/vtk-xml.js';
import { parseVtkXml, readXmlArray, readXmlTime } from '../../src/formats/vtk-xml.js';
import { CodecError } from '../../src/pipeline/errors.js';
import type { Field } from '../../src/pipeline/frame.js';
import { describeShape, sizeOf } from '../../src/pipeline/frame.js';
import { defineCodec } from '../../src/pipeline/plugins/plugin.js';
import { littleEndian } from '../../src/pipeline/bytes.js';
import { samplesOf } from '../../src/pipeline/images/raster.js';

/**
 * VTK image data in XML: fields at points or cells of a uniform grid of one layer; row 0 is the least y. A rectilinear
 * grid is read, too, where its coordinates are evenly spaced.
 */
export const vti = defineCodec({
  name: 'vti',
  summary:
    'VTK image data and even rectilinear grids (XML): text, base64 or appended, compressed with zlib or not',
  options: z.strictObject({ field: fieldOption }),
  create: ({ field }) => ({
    extensions: ['.vti', '.vtr'],
    validate: async (bytes) => {
      try {
        open(await bytes.read(0, bytes.size));
        return undefined;
      } catch (error) {
        return verdictOf(error);
      }
    },
    decode: async (bytes, signal) => {
      signal?.throwIfAborted();
      const { file, whole } = open(bytes);
      const chosen = chooseFields(field, fieldsOf(file.pieces[0]), 'vti.field');
      const at = commonPlace(chosen);
      const size = sizesOf(whole, at);
      const [height, width] = planeOf(size);
      requireSize(height * width);
      const covered = new Float32Array(height * width);
      for (const piece of file.pieces) {
        await requireEven(bytes, file, piece);
        const box = extentOf(piece.attributes.get('Extent'));
        const [x, y, z] = sizesOf(box, at);
        place(new Float32Array(x * y * z).fill(1), box, covered, whole, 1, at);
      }
      if (covered.includes(0)) throw new CodecError('its pieces do not cover its whole extent');
      /** An array of all pieces. */
      const gather = async (name: string, components: number): Promise<Float32Array> => {
        requireSize(height * width * components);
        const values = new Float32Array(height * width * components);
        for (const piece of file.pieces) {
          const box = extentOf(piece.attributes.get('Extent'));
          const own = arraysOf(piece).find((candidate) => candidate.name === name && candidate.at === at);
          if (own?.components !== components) throw new CodecError(`not every piece of it has ${name}`);
          const [x, y, z] = sizesOf(box, at);
          place(await readXmlArray(bytes, file, own, x * y * z), box, values, whole, components, at);
        }
        return values;
      };
      const isBlanked = arraysOf(file.pieces[0]).some(({ name, at: own }) => name === GHOSTS && own === at);
      const ghosts = isBlanked ? await gather(GHOSTS, 1) : undefined;
      const parts = [];
      for (const { array, component } of chosen) {
        const { name, components } = array;
        const values = blanked(await gather(name, components), components, ghosts, at);
        const sampleType = isBlanked ? 'float32' : (array.type?.sampleType ?? 'float32');
        parts.push({ values, components, component, sampleType });
      }
      const time = await readXmlTime(bytes, file);
      return { ...joinChannels(height, width, parts), ...(time && { time }) };
    },
    encode: async (frame) => encodeVti(frame, typeof field === 'string' ? field : 'value'),
  }),
});

type Extent = readonly [x0: number, x1: number, y0: number, y1: number, z0: number, z1: number];

/** @throws CodecError for anything but six whole numbers, the second of each pair no less than the first */
const extentOf = (text: string | undefined): Extent => {
  const numbers = (text ?? '').trim().split(/\s+/).map(Number);
  const [x0, x1, y0, y1, z0, z1] = numbers;
  if (numbers.length !== 6 || !numbers.every((n) => Number.isInteger(n) && Math.abs(n) < 2 ** 31))
    throw new CodecError(`its extent "${text?.slice(0, 60) ?? ''}" is not six whole numbers`);
  const extent = [x0 ?? 0, x1 ?? 0, y0 ?? 0, y1 ?? 0, z0 ?? 0, z1 ?? 0] as const;
  if (extent[1] < extent[0] || extent[3] < extent[2] || extent[5] < extent[4])
    throw new CodecError(`its extent "${text?.slice(0, 60) ?? ''}" is empty`);
  return extent;
};

/** Points along x, y and z, or cells; a grid of one layer of points has one of cells. */
const sizesOf = ([x0, x1, y0, y1, z0, z1]: Extent, at: Place) => {
  const size = (n: number): number => (at === 'points' ? n + 1 : Math.max(1, n));
  return [size(x1 - x0), size(y1 - y0), size(z1 - z0)] as const;
};

const arraysOf = (piece: XmlPiece | undefined) => [
  ...(piece?.sections.get('PointData') ?? []).map((array) => ({ ...array, at: 'points' as const })),
  ...(piece?.sections.get('CellData') ?? []).map((array) => ({ ...array, at: 'cells' as const })),
];
const fieldsOf = (piece: XmlPiece | undefined) =>
  byName(arraysOf(piece).filter(({ name }) => name !== GHOSTS));

/** @throws CodecError when the file is not whole, or a piece does not lie in it */
const open = (bytes: Buffer): { file: VtkXml; whole: Extent } => {
  const file = parseVtkXml(bytes, ['ImageData', 'RectilinearGrid']);
  const whole = extentOf(file.grid.get('WholeExtent'));
  for (const { attributes } of file.pieces) {
    const box = extentOf(attributes.get('Extent'));
    if (box.some((n, i) => (i % 2 === 0 ? n < (whole[i] ?? 0) : n > (whole[i] ?? 0))))
      throw new CodecError('a piece of it lies outside of the whole extent');
  }
  return { file, whole };
};

/** Coordinates may be off by this share of a step: programs write six digits of them. */
const UNEVEN = 0.05;

/** @throws CodecError where a rectilinear grid has coordinates that do not lie in even steps */
const requireEven = async (bytes: Buffer, file: VtkXml, piece: XmlPiece): Promise<void> => {
  const axes = piece.sections.get('Coordinates') ?? [];
  if (file.type === 'RectilinearGrid' && axes.length < 3)
    throw new CodecError(`it has coordinates along ${axes.length} axes instead of 3`);
  const sizes = sizesOf(extentOf(piece.attributes.get('Extent')), 'points');
  for (const [i, array] of axes.slice(0, 3).entries()) {
    const count = sizes[i] ?? 1;
    const at = await readXmlArray(bytes, file, array, count);
    const first = at[0] ?? 0;
    const step = ((at[count - 1] ?? 0) - first) / (count - 1);
    if (at.some((value, n) => !(Math.abs(value - first - n * step) <= UNEVEN * Math.abs(step)) && count > 1))
      throw new CodecError(`its grid is not evenly spaced along ${'xyz'[i] ?? ''}`, {
        hint: 'write an image data file (.vti), resampled to even steps',
      });
  }
};

/** Copies a piece's values row by row to where they belong. */
const place = (
  from: Float32Array,
  box: Extent,
  to: Float32Array,
  whole: Extent,
  components: number,
  at: Place,
): void => {
  const [x, y, z] = sizesOf(box, at);
  const [wide, high] = sizesOf(whole, at);
  const row = x * components;
  for (let k = 0; k < z; k++)
    for (let j = 0; j < y; j++) {
      const start = ((k + box[4] - whole[4]) * high + (j + box[2] - whole[2])) * wide + (box[0] - whole[0]);
      to.set(from.subarray((k * y + j) * row, (k * y + j + 1) * row), start * components);
    }
};

/** One piece, its values appended as they are: what ParaView opens at once. */
const encodeVti = (field: Field, name: string): Buffer => {
  const [height, width, channels] = field.shape;
  if (field.data.length !== sizeOf(field.shape))
    throw new CodecError(`${field.data.length} values do not fill ${describeShape(field.shape)}`);
  const type = { uint8: 'UInt8', uint16: 'UInt16', float32: 'Float32' }[field.sampleType];
  const data = littleEndian(samplesOf(field));
  const extent = `0 ${width - 1} 0 ${height - 1} 0 0`;
  const escaped = name.replace(/[&<>"]/g, (letter) => `&#${letter.charCodeAt(0)};`);
  const head =
    '<?xml version="1.0"?>\n' +
    '<VTKFile type="ImageData" version="1.0" byte_order="LittleEndian" header_type="UInt64">\n' +
    `<ImageData WholeExtent="${extent}" Origin="0 0 0" Spacing="1 1 1">\n<Piece Extent="${extent}">\n` +
    `<PointData Scalars="${escaped}">\n` +
    `<DataArray type="${type}" Name="${escaped}" NumberOfComponents="${channels}" format="appended" offset="0"/>\n` +
    '</PointData>\n</Piece>\n</ImageData>\n<AppendedData encoding="raw">\n_';
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(data.length));
  return Buffer.concat([Buffer.from(head), length, data, Buffer.from('\n</AppendedData>\n</VTKFile>')]);
};
