import { CodecError } from '../pipeline/errors.js';
import type { PhysicalTime } from '../pipeline/frame.js';
import type { Chosen, NamedArray } from './fields.js';
import { MAX_PIXELS } from '../pipeline/images/raster.js';

/** @throws CodecError when so many values are no frame: what claims them must not cost memory */
export const requireSize = (count: number): void => {
  if (!(count > 0 && count <= MAX_PIXELS))
    throw new CodecError(`it claims ${count} values, at most ${MAX_PIXELS} are read`);
};

/** Field data of this name are the file's time: VTK and ParaView write TimeValue, deal.II and VisIt TIME. */
export const isTimeName = (name: string): boolean => /^time(value)?$/i.test(name);

/** A time if it is a number; VTK files have no units. */
export const timeOf = (value: number | undefined): PhysicalTime | undefined =>
  value !== undefined && Number.isFinite(value) ? { value } : undefined;

/**
 * Exactly `count` numbers in text.
 * @throws CodecError when there are fewer or more, or something else
 */
export const parseNumbers = (text: string, count: number, name: string): Float32Array => {
  // The shortest number is a digit and a space.
  if (text.length < 2 * count - 1)
    throw new CodecError(`the text of ${name} is too short for ${count} numbers`);
  const values = new Float32Array(count);
  let found = 0;
  for (const [word] of text.matchAll(/\S+/g)) {
    const value = Number(word);
    if (Number.isNaN(value) && !/^[+-]?(nan|inf(inity)?)$/i.test(word))
      throw new CodecError(`${name} has "${word.slice(0, 20)}" where a number should be`);
    if (found === count) throw new CodecError(`${name} has more than ${count} numbers`);
    values[found++] =
      Number.isNaN(value) && /inf/i.test(word) ? (word.startsWith('-') ? -Infinity : Infinity) : value;
  }
  if (found < count) throw new CodecError(`${name} has ${found} of ${count} numbers`);
  return values;
};

/** Rows and columns of a grid of which one axis is a single layer: x runs fastest, so its order is the frame's. */
export const planeOf = ([x, y, z]: readonly [number, number, number]): readonly [
  height: number,
  width: number,
] => {
  if (z === 1) return [y, x];
  if (y === 1) return [z, x];
  if (x === 1) return [z, y];
  throw new CodecError(`it is a volume of ${x}x${y}x${z}`, {
    hint: 'write a slice of it: frames have two dimensions',
  });
};

/** Where an array has its values. */
export type Place = 'points' | 'cells';

/** Where the chosen fields are. @throws CodecError when some are at points and some at cells */
export const commonPlace = (chosen: readonly Chosen<NamedArray & { readonly at: Place }>[]): Place => {
  const at = chosen[0]?.array.at ?? 'points';
  if (chosen.some(({ array }) => array.at !== at))
    throw new CodecError('its fields are some at points, some at cells: choose of one kind');
  return at;
};

/** VTK's own array that says which points or cells are hidden, or copies of another piece's (vtkDataSetAttributes.h). */
export const GHOSTS = 'vtkGhostType';
const HIDDEN = { points: 2, cells: 32 } as const;

/** Values of a field with NaN where VTK says that its point or cell is hidden. */
export const blanked = (
  values: Float32Array,
  components: number,
  ghosts: Float32Array | undefined,
  at: Place,
): Float32Array =>
  ghosts === undefined
    ? values
    : values.map((value, i) => ((ghosts[Math.floor(i / components)]! & HIDDEN[at]) === 0 ? value : NaN));

/** Fields at points come before those of cells with the same name. */
export const byName = <A extends NamedArray & { readonly at: Place }>(arrays: readonly A[]): A[] => {
  const known = new Map<string, A>();
  for (const array of [...arrays].sort((a, b) => (a.at === b.at ? 0 : a.at === 'points' ? -1 : 1)))
    if (!known.has(array.name)) known.set(array.name, array);
  return [...known.values()];
};
