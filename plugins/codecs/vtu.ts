import { z } from 'zod';
import { chooseFields, fieldOption, joinChannels } from '../../src/formats/fields.js';
import { layGrid } from '../../src/formats/point-grid.js';
import { onlyReads } from '../../src/formats/stacks.js';
import { verdictOf } from '../../src/formats/validated.js';
import { requireSize } from '../../src/formats/vtk-values.js';
import type { XmlArray, XmlPiece } from '../../src/formats/vtk-xml.js';
import { parseVtkXml, readXmlArray, readXmlTime } from '../../src/formats/vtk-xml.js';
import { CodecError } from '../../src/pipeline/errors.js';
import { defineCodec } from '../../src/pipeline/plugins/plugin.js';

/**
 * VTK unstructured grids whose points lie on a regular one, in whatever order and however often, as deal.II and
 * PRISMS-PF write uniform meshes; fields at points. Row 0 is the least y.
 */
export const vtu = defineCodec({
  name: 'vtu',
  summary: 'VTK unstructured grids (XML) on a regular, flat grid of points, such as those of PRISMS-PF',
  options: z.strictObject({ field: fieldOption }),
  create: ({ field }) => ({
    extensions: ['.vtu'],
    validate: async (bytes) => {
      try {
        parseVtkXml(await bytes.read(0, bytes.size), ['UnstructuredGrid']);
        return undefined;
      } catch (error) {
        return verdictOf(error);
      }
    },
    decode: async (bytes, signal) => {
      signal?.throwIfAborted();
      const file = parseVtkXml(bytes, ['UnstructuredGrid']);
      const pieces = file.pieces.filter((piece) => pointsOf(piece) > 0);
      const [atPoints = [], atCells = []] = ['PointData', 'CellData'].map((at) =>
        pieces[0]?.sections.get(at),
      );
      if (atPoints.length === 0 && atCells.length > 0)
        throw new CodecError(`its fields are at cells: ${atCells.map(({ name }) => name).join(', ')}`, {
          hint: 'write them at points',
        });
      const chosen = chooseFields(field, atPoints, 'vtu.field');
      const total = pieces.reduce((sum, piece) => sum + pointsOf(piece), 0);
      /** One array of all pieces, one after the other. */
      const gather = async (components: number, arrayOf: (piece: XmlPiece) => XmlArray | undefined) => {
        requireSize(total * components);
        const all = new Float32Array(total * components);
        let at = 0;
        for (const piece of pieces) {
          const array = arrayOf(piece);
          if (array?.components !== components) throw new CodecError('its pieces have different fields');
          const values = await readXmlArray(bytes, file, array, pointsOf(piece));
          all.set(values, at);
          at += values.length;
        }
        return all;
      };
      const grid = layGrid(await gather(3, ({ sections }) => sections.get('Points')?.[0]));
      const parts = [];
      for (const { array, component } of chosen) {
        const { name, components } = array;
        const own = (piece: XmlPiece): XmlArray | undefined =>
          piece.sections.get('PointData')?.find((candidate) => candidate.name === name);
        const values = grid.place(await gather(components, own), components);
        parts.push({ values, components, component, sampleType: 'float32' as const });
      }
      const time = await readXmlTime(bytes, file);
      return { ...joinChannels(grid.height, grid.width, parts), ...(time && { time }) };
    },
    encode: onlyReads('vtu'),
  }),
});

const pointsOf = ({ attributes }: XmlPiece): number => {
  const points = Number(attributes.get('NumberOfPoints'));
  if (!(Number.isInteger(points) && points >= 0))
    throw new CodecError('a piece of it has no number of points');
  return points;
};
