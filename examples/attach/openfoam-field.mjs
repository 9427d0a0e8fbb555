// A codec of your own: a volScalarField of OpenFOAM on a mesh that blockMesh made of one block of one layer, as it lies in
// the folder of its time.
//   mesocast attach case --codec ./openfoam-field.mjs --pattern '(?<index>[1-9]\d*)/alpha\.water'
import { gunzipSync } from 'node:zlib';
import { CodecError, defineCodec, z } from 'mesocast';

export const openfoamField = defineCodec({
  name: 'openfoam_field',
  summary: 'OpenFOAM: a volScalarField on one block of one layer, text or binary, also compressed',
  options: z.strictObject({
    field: z.string().default('alpha.water').describe('name of the field, which is the name of its file'),
    width: z.int().min(1).optional().describe('cells along x; default: the block is square'),
  }),
  create: ({ field, width }) => ({
    // These files have no endings: what is before the name is the folder of a time.
    extensions: [`/${field.toLowerCase()}`, `/${field.toLowerCase()}.gz`],
    validate: async (bytes) => {
      const all = await bytes.read(0, bytes.size);
      try {
        textOf(all);
        return undefined;
      } catch (error) {
        return error.message;
      }
    },
    decode: async (bytes, signal) => {
      signal?.throwIfAborted();
      return fieldOf(textOf(bytes), field, width);
    },
    encode: async () => {
      throw new CodecError('OpenFOAM writes these files', { hint: 'write png, tiff, npy or vti' });
    },
  }),
});

/** The line that ends each file which OpenFOAM has written. */
const END = /\/\/ \*{20,} \/\/\s*$/;

/** The whole file, a character a byte. */
const textOf = (bytes) => {
  const isPacked = bytes[0] === 0x1f && bytes[1] === 0x8b;
  let plain;
  try {
    plain = isPacked ? gunzipSync(bytes) : bytes;
  } catch (error) {
    throw new CodecError(`it cannot be unpacked: ${error.message}`);
  }
  const text = plain.toString('latin1');
  if (!END.test(text.slice(-200))) throw new CodecError('it lacks the line of asterisks at its end');
  return text;
};

/** Cells run along x first; row 0 of the field is the least y. */
const fieldOf = (text, field, width) => {
  const head = /FoamFile\s*\{([^}]*)\}/.exec(text)?.[1] ?? '';
  /** Text in quotes may hold semicolons: arch "LSB;label=32;scalar=64"; */
  const entry = (name) => {
    const [, quoted, plain] = new RegExp(`\\b${name}\\s+(?:"([^"]*)"|([^;]*));`).exec(head) ?? [];
    return quoted ?? plain?.trim();
  };
  if (entry('class') !== 'volScalarField')
    throw new CodecError(`it is a ${entry('class') ?? 'file without a class'}, not a volScalarField`);
  const list = /\binternalField\s+nonuniform\s+List<scalar>\s*(\d+)\s*\(/.exec(text);
  if (list === null)
    throw new CodecError(`${field} has no value for each cell`, {
      hint: 'a uniform field says nothing of its cells: begin after it, as with --pattern (?<index>[1-9]\\d*)/...',
    });
  const count = Number(list[1]);
  const [columns, rows] = [width ?? Math.sqrt(count), count / (width ?? Math.sqrt(count))];
  if (!Number.isInteger(columns) || !Number.isInteger(rows))
    throw new CodecError(
      width === undefined
        ? `its ${count} cells are no square`
        : `its ${count} cells are not rows of ${width}`,
      { hint: '--set openfoam-field.width=N, the cells along x of a block of one layer' },
    );
  const from = list.index + list[0].length;
  const data =
    entry('format') === 'binary'
      ? binary(Buffer.from(text.slice(from), 'latin1'), count, entry('arch'))
      : Float32Array.from(text.slice(from, text.indexOf(')', from)).trim().split(/\s+/), Number);
  if (data.length !== count || !data.every(Number.isFinite))
    throw new CodecError(`it announces ${count} numbers, and has others`);
  const time = Number(entry('location') ?? NaN);
  return {
    shape: [rows, columns, 1],
    data,
    sampleType: 'float32',
    ...(Number.isFinite(time) && { time: { value: time, unit: 's' } }),
  };
};

/** `arch` is as in "LSB;label=32;scalar=64". */
const binary = (bytes, count, arch = '') => {
  const [size, isLittle] = [/scalar=32/.test(arch) ? 4 : 8, !/MSB/.test(arch)];
  if (bytes.length < count * size) return new Float32Array();
  const read = `read${size === 4 ? 'Float' : 'Double'}${isLittle ? 'LE' : 'BE'}`;
  return Float32Array.from({ length: count }, (_, k) => bytes[read](k * size));
};
