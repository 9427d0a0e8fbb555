import { z } from 'zod';
import { chooseFields, fieldOption, joinChannels } from '../../src/formats/fields.js';
import { readNumbers } from '../../src/formats/numbers.js';
import { onlyReads } from '../../src/formats/stacks.js';
import { verdictOf } from '../../src/formats/validated.js';
import { parseLegacyVtk } from '../../src/formats/vtk-legacy.js';
import { blanked, byName, commonPlace, GHOSTS, parseNumbers, planeOf } from '../../src/formats/vtk-values.js';
import { defineCodec } from '../../src/pipeline/plugins/plugin.js';

/** Legacy VTK files of image data, text or binary, one layer thick; row 0 is the least y. */
export const vtk = defineCodec({
  name: 'vtk',
  summary: 'legacy VTK image data (STRUCTURED_POINTS), text or binary',
  options: z.strictObject({ field: fieldOption }),
  create: ({ field }) => ({
    extensions: ['.vtk'],
    validate: async (bytes) => {
      try {
        // There is no end mark: a field that is not there may still come.
        chooseFields(field, fieldsOf(parseLegacyVtk(await bytes.read(0, bytes.size))), 'vtk.field');
        return undefined;
      } catch (error) {
        return verdictOf(error);
      }
    },
    decode: async (bytes, signal) => {
      signal?.throwIfAborted();
      const file = parseLegacyVtk(bytes);
      const { points, cells, binary, arrays, time } = file;
      const chosen = chooseFields(field, fieldsOf(file), 'vtk.field');
      const at = commonPlace(chosen);
      const [height, width] = planeOf(at === 'points' ? points : cells);
      const valuesOf = ({ from, to, type, components, name }: (typeof arrays)[number]): Float32Array =>
        binary
          ? readNumbers(bytes.subarray(from, to), type, false) // legacy files are big-endian everywhere
          : parseNumbers(bytes.toString('latin1', from, to), height * width * components, name);
      const hidden = arrays.find(({ name, at: own }) => name === GHOSTS && own === at);
      const ghosts = hidden && valuesOf(hidden);
      const parts = chosen.map(({ array, component }) => {
        const { type, components } = array;
        const values = blanked(valuesOf(array), components, ghosts, at);
        return { values, components, component, sampleType: ghosts ? ('float32' as const) : type.sampleType };
      });
      return { ...joinChannels(height, width, parts), ...(time && { time }) };
    },
    encode: onlyReads('vtk'),
  }),
});

const fieldsOf = ({ arrays }: ReturnType<typeof parseLegacyVtk>) =>
  byName(arrays.filter(({ name }) => name !== GHOSTS));
