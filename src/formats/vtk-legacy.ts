import { CodecError } from '../pipeline/errors.js';
import type { NamedArray } from './fields.js';
import type { NumberType } from './numbers.js';
import { numberType, readExactly } from './numbers.js';
import type { PhysicalTime } from '../pipeline/frame.js';
import { isTimeName, requireSize, timeOf } from './vtk-values.js';

/** One attribute of a legacy file: its values are the bytes from `from` to `to`. */
export interface LegacyArray extends NamedArray {
  readonly at: 'points' | 'cells';
  readonly type: NumberType;
  readonly from: number;
  readonly to: number;
}

export interface LegacyVtk {
  readonly binary: boolean;
  /** Along x, y and z. */
  readonly points: readonly [number, number, number];
  readonly cells: readonly [number, number, number];
  readonly arrays: readonly LegacyArray[];
  /** Where it has field data of that name. */
  readonly time?: PhysicalTime;
}

const TYPES: Readonly<Partial<Record<string, string>>> = {
  char: 'i1',
  unsigned_char: 'u1',
  short: 'i2',
  unsigned_short: 'u2',
  int: 'i4',
  unsigned_int: 'u4',
  vtktypeint64: 'i8',
  vtktypeuint64: 'u8',
  float: 'f4',
  double: 'f8',
};
/** Attributes that begin with a line of their own and have a fixed number of components. */
const FIXED: Readonly<Partial<Record<string, number>>> = { VECTORS: 3, NORMALS: 3, TENSORS: 9 };

/**
 * Finds the arrays of a legacy file of STRUCTURED_POINTS without reading their values. A file cut short between two
 * attributes cannot be told from one that has fewer of them.
 * @throws CodecError when the file is not whole, or another one
 */
export const parseLegacyVtk = (bytes: Buffer): LegacyVtk => {
  if (bytes.length === 0) throw new CodecError('the file is empty');
  const cut = new CodecError(`it ends at byte ${bytes.length}, before the end of the VTK file`);
  const isVtk = '# vtk DataFile Version'.startsWith(bytes.toString('latin1', 0, 22));
  if (!isVtk) throw new CodecError('it does not begin like a legacy VTK file');
  let at = 0;
  /** The next line that is not empty; undefined at the end. A line counts when its end is there. */
  const line = (): string | undefined => {
    for (;;) {
      if (at >= bytes.length) return undefined;
      const end = bytes.indexOf(0x0a, at);
      if (end < 0) throw cut;
      if (end - at > 1024) throw new CodecError(`byte ${at} begins a line that is too long`);
      const text = bytes.toString('latin1', at, end).trim();
      at = end + 1;
      if (text !== '') return text;
    }
  };
  /** What VTK 9 writes behind an array: lines up to an empty one. */
  const skipMetadata = (): void => {
    for (let end = bytes.indexOf(0x0a, at); end >= 0; end = bytes.indexOf(0x0a, at)) {
      const text = bytes.toString('latin1', at, end).trim();
      at = end + 1;
      if (text === '') return;
    }
  };
  const words = (): string[] | undefined => line()?.split(/\s+/);
  const needed = (): string[] => {
    const found = words();
    if (found === undefined) throw cut;
    return found;
  };
  const number = (word: string | undefined): number => {
    const value = Number(word);
    if (!(Number.isInteger(value) && value > 0))
      throw new CodecError(`"${word ?? ''}" in its header is no size`);
    return value;
  };
  needed();
  const titleEnd = bytes.indexOf(0x0a, at); // the title may be empty
  if (titleEnd < 0) throw cut;
  at = titleEnd + 1;
  const [encoding = ''] = needed();
  if (encoding !== 'ASCII' && encoding !== 'BINARY')
    throw new CodecError(`"${encoding}" is neither ASCII nor BINARY`);
  const binary = encoding === 'BINARY';
  const [, set] = needed();
  if (set !== 'STRUCTURED_POINTS')
    throw new CodecError(`it is a ${set ?? 'file of nothing'}, not STRUCTURED_POINTS`, {
      hint: 'write image data, or VTU',
    });

  /** Passes over so many numbers. */
  const skip = (count: number, type: NumberType): { from: number; to: number } => {
    requireSize(count);
    const from = at;
    if (binary) at += count * type.bytes;
    else {
      for (let found = 0; found < count && at < bytes.length; found++) {
        while (at < bytes.length && (bytes[at] ?? 0) <= 32) at++;
        while (at < bytes.length && (bytes[at] ?? 0) > 32) at++;
      }
    }
    // A number of text is whole when something stands behind it.
    if (at > bytes.length || (!binary && at === bytes.length)) throw cut;
    return { from, to: at };
  };
  const typeOf = (name: string | undefined): NumberType => {
    const type = TYPES[name?.toLowerCase() ?? ''];
    if (type === undefined) throw new CodecError(`values of type "${name ?? ''}" are not supported`);
    return numberType(type);
  };

  let points: readonly [number, number, number] | undefined;
  let cells: readonly [number, number, number] = [1, 1, 1];
  let [place, tuples]: ['points' | 'cells', number] = ['points', 0];
  const arrays: LegacyArray[] = [];
  let time: PhysicalTime | undefined;
  const add = (name: string, components: number, type: NumberType): void => {
    if (tuples === 0) throw new CodecError(`${name} comes before POINT_DATA or CELL_DATA`);
    arrays.push({
      name: decodeURIComponentOrNot(name),
      components,
      type,
      at: place,
      ...skip(tuples * components, type),
    });
  };
  for (let found = words(); found !== undefined; found = words()) {
    const [keyword = '', first, second, third] = found;
    const upper = keyword.toUpperCase();
    const fixed = FIXED[upper];
    if (upper === 'DIMENSIONS') {
      points = [number(first), number(second), number(third)];
      cells = [Math.max(1, points[0] - 1), Math.max(1, points[1] - 1), Math.max(1, points[2] - 1)];
    } else if (upper === 'POINT_DATA' || upper === 'CELL_DATA') {
      place = upper === 'POINT_DATA' ? 'points' : 'cells';
      tuples = number(first);
      const [x, y, z] = (place === 'points' ? points : cells) ?? [0, 0, 0];
      if (tuples !== x * y * z)
        throw new CodecError(`it has ${tuples} ${place}, its dimensions ask for ${x * y * z}`);
    } else if (upper === 'SCALARS') {
      const [, , type, components = '1'] = found;
      // Old writers leave it out.
      if (bytes.toString('latin1', at, at + 12).toUpperCase() === 'LOOKUP_TABLE') needed();
      add(first ?? '', number(components), typeOf(type));
    } else if (fixed !== undefined) add(first ?? '', fixed, typeOf(second));
    else if (upper === 'FIELD') {
      for (let left = number(second); left > 0; left--) {
        let head = needed();
        while (head[0] === 'METADATA') {
          skipMetadata();
          head = needed();
        }
        const [name = '', components, count, type] = head;
        if (tuples === 0) {
          // Facts on the whole file, such as TIME.
          const { from, to } = skip(number(components) * number(count), typeOf(type));
          if (isTimeName(name))
            time = timeOf(
              binary
                ? readExactly(bytes.subarray(from, to), typeOf(type), false)[0]
                : Number.parseFloat(bytes.toString('latin1', from, to)),
            );
          continue;
        }
        if (number(count) !== tuples) throw new CodecError(`${name} has ${count ?? ''} of ${tuples} values`);
        add(name, number(components), typeOf(type));
      }
    } else if (upper === 'METADATA') skipMetadata();
    else if (!['ORIGIN', 'SPACING', 'ASPECT_RATIO'].includes(upper))
      throw new CodecError(`"${keyword.slice(0, 20)}" in it is not known`);
  }
  if (points === undefined || arrays.length === 0) throw new CodecError('it holds no field yet');
  return { binary, points, cells, arrays, ...(time && { time }) };
};

/** VTK writes spaces in names as %20. */
const decodeURIComponentOrNot = (name: string): string => {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
};
