import fs from 'node:fs';
import { parentPort } from 'node:worker_threads';
import { Dataset, File, Group, ready } from 'h5wasm/node';
import { codeOf, messageOf } from '../pipeline/errors.js';
import type { PhysicalTime, SampleType } from '../pipeline/frame.js';
import { MAX_PIXELS } from '../pipeline/images/raster.js';
import type { Dimensions, Hdf5Answer, Hdf5Request } from './hdf5.js';

/**
 * The thread in which HDF5 runs: a file that makes the library stray, hang or abort costs this thread and no more.
 * Answers requests one by one.
 */

/** Objects that are looked at in search of fields, and how deep: files may hold circles. */
const [MOST, DEEPEST] = [2000, 12];
/** Filters that are part of the library: deflate, shuffle, fletcher32, szip, nbit, scaleoffset. */
const LAST_FILTER = 6;
/** A chunk is decompressed as a whole. */
const LARGEST_CHUNK = 2 ** 30;
const [INTEGER, FLOAT] = [0, 1];

const isField = (dataset: Dataset): boolean => {
  const { type, size, shape } = dataset.metadata;
  const isNumber =
    (type === INTEGER && [1, 2, 4, 8].includes(size)) || (type === FLOAT && [4, 8].includes(size));
  return isNumber && (shape?.length ?? 0) >= 2;
};

/**
 * A path with the links on it followed by hand: the library follows one into another file wherever that file is there, and
 * nobody has looked whether it is whole. @throws Error for such a link, and for links to each other
 */
const resolved = (file: File, name: string, depth = 0): string =>
  name
    .split('/')
    .filter((step) => step !== '' && step !== '.')
    .reduce((path, step) => {
      const here = `${path}/${step}`;
      const { filename }: { readonly filename?: string } = file.get_external_link(here);
      if (filename !== undefined)
        throw new Error(`"${name}" in it is a link into another file: name that file`);
      const target = file.get_link(here) as string | null;
      if (target === null) return here;
      if (depth >= DEEPEST) throw new Error(`"${name}" in it is a link to a link to a link`);
      return resolved(file, target.startsWith('/') ? target : `${path}/${target}`, depth + 1);
    }, '');
const find = (file: File, name: string): unknown => file.get(resolved(file, name) || '/');
/** The same, and nothing for a link that leads nowhere. */
const findHere = (file: File, name: string): unknown => {
  try {
    return find(file, name);
  } catch {
    return null;
  }
};

const fieldsOf = (file: File): string[] => {
  const names: string[] = [];
  let seen = 0;
  const walk = (inside: Group, path: string, depth: number): void => {
    for (const name of inside.keys()) {
      if (seen++ > MOST) return;
      const item = findHere(file, `${path}${name}`);
      if (item instanceof Dataset && isField(item)) names.push(`${path}${name}`);
      if (item instanceof Group && depth < DEEPEST) walk(item, `${path}${name}/`, depth + 1);
    }
  };
  walk(file, '', 0);
  return names;
};

/** What a NeXus file shows first (https://manual.nexusformat.org, "default" and "signal"). */
const nexusDefault = (file: File): string | undefined => {
  let [group, path]: [Group, string] = [file, ''];
  for (let depth = 0; depth < DEEPEST; depth++) {
    const { attrs } = group;
    const signal = attrs.signal?.value;
    if (typeof signal === 'string') return `${path}${signal}`;
    const next = attrs.default?.value;
    if (typeof next !== 'string') return undefined;
    const inside = findHere(file, `${path}${next}`);
    if (!(inside instanceof Group)) return undefined;
    group = inside;
    path += `${next}/`;
  }
  return undefined;
};

const openDataset = (file: File, name: string): Dataset => {
  const item = find(file, name);
  if (!(item instanceof Dataset)) {
    const fields = fieldsOf(file);
    throw new Error(`it holds no field "${name}", but ${fields.join(', ') || 'none'}`);
  }
  if (!isField(item)) throw new Error(`"${name}" in it holds no numbers of two dimensions or more`);
  const filter = item.filters.find(({ id }) => id > LAST_FILTER);
  if (filter !== undefined)
    throw new Error(
      `"${name}" in it is compressed by ${filter.name || `filter ${filter.id}`}: write it with gzip`,
    );
  const { chunks, size, virtual_sources: sources } = item.metadata;
  if ((sources?.length ?? 0) > 0)
    throw new Error(`"${name}" in it is a view of other files: name one of them`);
  if ((chunks ?? []).reduce((product, n) => product * n, size) > LARGEST_CHUNK)
    throw new Error(`"${name}" in it has chunks of more than ${LARGEST_CHUNK} bytes`);
  return item;
};

const namesOf = (file: File, wanted: readonly string[] | undefined): readonly string[] => {
  if (wanted !== undefined) return wanted;
  const shown = nexusDefault(file);
  if (shown !== undefined) return [shown];
  const fields = fieldsOf(file);
  if (fields.length === 1) return fields;
  throw new Error(
    fields.length === 0
      ? 'it holds no dataset of numbers with two dimensions or more'
      : `it holds several fields: ${fields.join(', ')}: name one with hdf5.field`,
  );
};

const sampleTypeOf = ({ metadata: { type, size, signed } }: Dataset): SampleType =>
  type === INTEGER && !signed && size <= 2 ? (size === 1 ? 'uint8' : 'uint16') : 'float32';

const describe = (file: File, names: readonly string[]): Dimensions[] =>
  names.map((name) => {
    const dataset = openDataset(file, name);
    return { name, dimensions: dataset.shape ?? [], sampleType: sampleTypeOf(dataset) };
  });

const read = (file: File, name: string, item: number | undefined): Float32Array => {
  const dataset = openDataset(file, name);
  const shape = dataset.shape ?? [];
  const inner = item === undefined ? shape : shape.slice(1);
  if (inner.reduce((product, n) => product * n, 1) > MAX_PIXELS)
    throw new Error(`a frame of "${name}" in it has more than ${MAX_PIXELS} values`);
  const values: unknown = dataset.slice(
    shape.map((_n, axis) => (axis === 0 && item !== undefined ? [item, item + 1] : [])),
  );
  if (values instanceof BigInt64Array || values instanceof BigUint64Array)
    return Float32Array.from(values, Number);
  if (values instanceof Float32Array) return values;
  if (ArrayBuffer.isView(values) && !(values instanceof DataView))
    return Float32Array.from(values as Float64Array);
  throw new Error(`"${name}" in it cannot be read`);
};

/** Names that datasets of times have where nobody says another one. */
const TIMES = ['time', 'times', 't'];

/** When frame `item` of a field was, or the field as a whole: of a dataset of times, or an attribute `time` of the field. */
const timeOf = (
  file: File,
  name: string,
  item: number | undefined,
  times: string | undefined,
): PhysicalTime | undefined => {
  const numberIn = (value: unknown): number | undefined => {
    const [first] = ArrayBuffer.isView(value) ? (value as Float64Array) : [value];
    const number = typeof first === 'bigint' ? Number(first) : first;
    return typeof number === 'number' && Number.isFinite(number) ? number : undefined;
  };
  const known = (value: number | undefined, unit: unknown): PhysicalTime | undefined =>
    value === undefined ? undefined : { value, ...(typeof unit === 'string' && unit !== '' && { unit }) };
  if (times === undefined && item === undefined) {
    const { attrs } = openDataset(file, name);
    const own = known(numberIn(attrs.time?.value), attrs.time_units?.value);
    if (own !== undefined) return own;
  }
  const folder = name.slice(0, name.lastIndexOf('/') + 1);
  for (const path of times === undefined ? TIMES.map((own) => folder + own) : [times]) {
    const dataset = find(file, path);
    const isNumber =
      dataset instanceof Dataset &&
      [INTEGER, FLOAT].includes(dataset.metadata.type) &&
      (dataset.shape ?? []).length <= 1;
    if (times !== undefined && !isNumber) throw new Error(`it holds no list of times "${times}"`);
    if (!isNumber) continue;
    const at = item ?? 0;
    const [length] = dataset.shape ?? [];
    // One number for each frame: a list beside a single frame is of a run so far, and one number beside many of none.
    const isOfFrames = item === undefined ? (length ?? 1) === 1 : length !== undefined;
    if (times === undefined && !isOfFrames) continue;
    if (length !== undefined && at >= length) return undefined; // not written yet
    const value = numberIn(length === undefined ? dataset.value : dataset.slice([[at, at + 1]]));
    return known(value, dataset.attrs.units?.value);
  }
  return undefined;
};

const answer = ({ path, live, wanted, item, axes, times }: Hdf5Request): Hdf5Answer => {
  try {
    fs.closeSync(fs.openSync(path, 'r')); // what the system says of it, the library does not
  } catch (error) {
    return { error: messageOf(error), code: codeOf(error) };
  }
  // A file that cannot be opened does not throw here, but has no id.
  const file = new File(path, live ? 'Sr' : 'r');
  if (file.file_id < 0n) return { error: 'it does not open as HDF5: it is damaged, or not whole yet' };
  try {
    const fields = describe(file, namesOf(file, wanted));
    if (item === undefined) return { fields, data: [] };
    const own = axes.startsWith('N') ? item : undefined;
    return {
      fields,
      data: fields.map(({ name }) => read(file, name, own)),
      time: timeOf(file, fields[0]?.name ?? '', own, times),
    };
  } finally {
    file.close();
  }
};

// What the library prints about damaged files, straight to file 2, is said by our own errors.
process.stderr.write = () => true;
const { writeSync } = fs;
Object.assign(fs, {
  writeSync: (file: number, data: Uint8Array, ...rest: [offset?: number, length?: number]) =>
    file === 2 ? (rest[1] ?? data.length) : writeSync(file, data, ...rest),
});

parentPort?.on('message', (request: Hdf5Request) => {
  void ready.then(() => {
    let result: Hdf5Answer;
    try {
      result = answer(request);
    } catch (error) {
      result = { error: messageOf(error), fatal: error instanceof Error && error.name === 'RuntimeError' };
    }
    const memory = 'data' in result ? result.data.map(({ buffer }) => buffer as ArrayBuffer) : [];
    parentPort?.postMessage(result, [...new Set(memory)]);
  });
});
