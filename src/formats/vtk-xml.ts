import { promisify } from 'node:util';
import { inflate } from 'node:zlib';
import { CodecError, messageOf } from '../pipeline/errors.js';
import type { NamedArray } from './fields.js';
import type { NumberType } from './numbers.js';
import { numberType, readExactly, readNumbers } from './numbers.js';
import type { PhysicalTime } from '../pipeline/frame.js';
import { isTimeName, parseNumbers, requireSize, timeOf } from './vtk-values.js';

/** One DataArray of a file. */
export interface XmlArray extends NamedArray {
  /** Undefined for types that hold no numbers. */
  readonly type: NumberType | undefined;
  /** `appended` points into the appended data; the others stand between `from` and `to`. */
  readonly format: string;
  readonly offset: number;
  readonly from: number;
  to: number;
}

export interface XmlPiece {
  readonly attributes: Attributes;
  /** Arrays by the element that they stand in: PointData, CellData, Points, ... */
  readonly sections: Map<string, XmlArray[]>;
}

/** A parsed file: where everything is, nothing decoded. */
export interface VtkXml {
  readonly little: boolean;
  /** Bytes of the numbers that stand before blocks of data. */
  readonly word: 4 | 8;
  readonly compressor: string | undefined;
  /** Of those that were asked for. */
  readonly type: string;
  /** Attributes of the grid's own element, such as WholeExtent. */
  readonly grid: Attributes;
  readonly pieces: readonly XmlPiece[];
  /** Facts on the whole file, such as TimeValue. */
  readonly facts: readonly XmlArray[];
  /** Where appended data begin and end, and whether they are base64. */
  readonly appended: { readonly from: number; readonly to: number; readonly base64: boolean } | undefined;
}

type Attributes = ReadonlyMap<string, string>;

const TYPES: Readonly<Partial<Record<string, string>>> = {
  Int8: 'i1',
  UInt8: 'u1',
  Int16: 'i2',
  UInt16: 'u2',
  Int32: 'i4',
  UInt32: 'u4',
  Int64: 'i8',
  UInt64: 'u8',
  Float32: 'f4',
  Float64: 'f8',
};

const ENTITIES: Readonly<Partial<Record<string, string>>> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  apos: "'",
};
/** Text with its character references: &amp; &#966; &#x3c6; */
const decoded = (text: string): string =>
  text.replace(
    /&(?:#(\d{1,7})|#x([\da-f]{1,6})|(\w+));/gi,
    (all, decimal?: string, hex?: string, entity = '') => {
      if (decimal === undefined && hex === undefined) return ENTITIES[entity as string] ?? all;
      const code = Number(decimal ?? `0x${hex}`);
      return code <= 0x10ffff ? String.fromCodePoint(code) : all;
    },
  );

const attributesOf = (tag: string): Attributes =>
  new Map(
    [...tag.matchAll(/([\w.:-]+)\s*=\s*(?:"([^"]*)"|'([^']*)')/g)].map(([, name = '', double, single]) => [
      name,
      decoded(double ?? single ?? ''),
    ]),
  );

/** Longer is no tag of VTK's. */
const MAX_TAG = 65_536;

/**
 * Finds the arrays of a VTK XML file of one of these types (ImageData, RectilinearGrid, UnstructuredGrid) without
 * decoding them. Only what such files have is understood: no DTDs, no entities of one's own.
 * @throws CodecError when the file is not whole, or another one
 */
export const parseVtkXml = (bytes: Buffer, types: readonly string[]): VtkXml => {
  if (bytes.length === 0) throw new CodecError('the file is empty');
  const cut = new CodecError(`it ends at byte ${bytes.length}, before the end of the VTK file`);
  const open: string[] = [];
  const pieces: XmlPiece[] = [];
  const facts: XmlArray[] = [];
  let file: Attributes | undefined;
  let grid: Attributes | undefined;
  let appended: VtkXml['appended'];
  let array: XmlArray | undefined;
  for (let at = 0; ;) {
    const start = bytes.indexOf('<', at);
    if (
      file === undefined &&
      (start < 0 ? bytes : bytes.subarray(at, start)).toString('latin1').trim() !== ''
    )
      throw new CodecError('it does not begin like a VTK XML file');
    if (start < 0) throw cut;
    const isComment = bytes.toString('latin1', start, start + 4) === '<!--';
    const end = isComment ? bytes.indexOf('-->', start) : bytes.indexOf('>', start);
    if (end < 0) throw cut;
    at = end + (isComment ? 3 : 1);
    if (isComment || bytes[start + 1] === 0x3f) continue; // <?xml ...?>
    if (end - start > MAX_TAG) throw new CodecError(`byte ${start} begins a tag that is too long`);
    const tag = bytes.toString('utf8', start + 1, end);
    const name = /^\/?[\w]+/.exec(tag)?.[0] ?? '';
    if (file === undefined && name !== 'VTKFile')
      throw new CodecError('it does not begin like a VTK XML file');
    if (name.startsWith('/')) {
      if (open.pop() !== name.slice(1))
        throw new CodecError(`byte ${start} closes <${name}>, which is not open`);
      if (name === '/DataArray' && array?.to === array?.from && array !== undefined) array.to = start;
      if (open.length === 0) break;
      continue;
    }
    // Information on an array may stand in it, behind its values.
    if (open.at(-1) === 'DataArray' && array?.to === array?.from && array !== undefined) array.to = start;
    const attributes = attributesOf(tag);
    if (name === 'VTKFile') {
      file = attributes;
      if (!types.includes(file.get('type') ?? ''))
        throw new CodecError(`it is of type ${file.get('type') ?? 'unknown'}, not ${types.join(' or ')}`);
    } else if (name === file?.get('type')) grid = attributes;
    else if (name === 'Piece') pieces.push({ attributes, sections: new Map() });
    else if (name === 'DataArray') {
      const sections = pieces.at(-1)?.sections;
      const section = open.at(-1) ?? '';
      array = arrayOf(attributes, at);
      if (section === 'FieldData') facts.push(array);
      else sections?.set(section, [...(sections.get(section) ?? []), array]);
    } else if (name === 'AppendedData') {
      const from = bytes.indexOf('_', at) + 1;
      const to = bytes.lastIndexOf('</AppendedData>');
      if (from === 0 || to < from) throw cut;
      appended = { from, to, base64: attributes.get('encoding') === 'base64' };
      at = to;
    }
    if (!tag.endsWith('/')) open.push(name);
  }
  if (grid === undefined || pieces.length === 0) throw new CodecError('it holds no piece of a grid');
  return {
    little: file?.get('byte_order') !== 'BigEndian',
    word: file?.get('header_type') === 'UInt64' ? 8 : 4,
    compressor: file?.get('compressor'),
    type: file?.get('type') ?? '',
    grid,
    pieces,
    facts,
    appended,
  };
};

const arrayOf = (attributes: Attributes, from: number): XmlArray => {
  const type = TYPES[attributes.get('type') ?? ''];
  return {
    name: attributes.get('Name') ?? '',
    components: Math.max(1, Number(attributes.get('NumberOfComponents') ?? 1) || 1),
    type: type === undefined ? undefined : numberType(type),
    format: attributes.get('format') ?? 'ascii',
    offset: Number(attributes.get('offset') ?? 0),
    from,
    to: from,
  };
};

/** The encoded bytes of an array: `at(position, n)` decodes n bytes, `length(n)` is how long they are encoded. */
interface Encoded {
  at(position: number, count: number): Buffer;
  length(count: number): number;
}

const encodedOf = (bytes: Buffer, { appended }: VtkXml, array: XmlArray): Encoded => {
  const isAppended = array.format === 'appended';
  if (isAppended && appended === undefined) throw new CodecError(`the data of ${array.name} are not in it`);
  const from = isAppended ? (appended?.from ?? 0) + array.offset : array.from;
  const data = bytes.subarray(from, isAppended ? appended?.to : array.to);
  const short = new CodecError(`the data of ${array.name} are cut short`);
  if (isAppended && appended?.base64 !== true)
    return {
      length: (count) => count,
      at: (position, count) => {
        if (position + count > data.length) throw short;
        return data.subarray(position, position + count);
      },
    };
  const text = isAppended ? data : Buffer.from(data.toString('latin1').replace(/\s+/g, ''), 'latin1');
  const length = (count: number): number => 4 * Math.ceil(count / 3);
  return {
    length,
    at: (position, count) => {
      const end = position + length(count);
      // Of what follows the bytes that are wanted, all may be in the same block of base64.
      const decoded =
        end > text.length ? Buffer.alloc(0) : Buffer.from(text.toString('latin1', position, end), 'base64');
      if (decoded.length < count) throw short;
      return decoded.subarray(0, count);
    },
  };
};

const wordAt = (bytes: Buffer, index: number, { little, word }: VtkXml): number => {
  const at = index * word;
  if (word === 4) return little ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at);
  return Number(little ? bytes.readBigUInt64LE(at) : bytes.readBigUInt64BE(at));
};

/** The size of an array's decoded data in bytes, as the block before them says; checks that the encoded ones are there. */
const blocksOf = (
  encoded: Encoded,
  file: VtkXml,
  name: string,
  expected: number,
): { size: number; position: number }[] => {
  const { word } = file;
  const count = wordAt(encoded.at(0, 3 * word), 0, file);
  if (count > expected) throw new CodecError(`${name} claims ${count} blocks of data`);
  const header = encoded.at(0, (3 + count) * word);
  const [size, last] = [wordAt(header, 1, file), wordAt(header, 2, file)];
  const total = last === 0 ? count * size : (count - 1) * size + last;
  if (total !== expected) throw new CodecError(`${name} has ${total} of ${expected} bytes`);
  const sizes = Array.from({ length: count }, (_, i) => wordAt(header, 3 + i, file));
  let position = 0;
  return sizes.map((compressed) => {
    const block = { size: compressed, position };
    position += compressed;
    return block;
  });
};

/**
 * The numbers of an array with so many tuples.
 * @throws CodecError when they are not there, damaged, or not those that the file speaks of
 */
export const readXmlArray = async (
  bytes: Buffer,
  file: VtkXml,
  array: XmlArray,
  tuples: number,
): Promise<Float32Array> => {
  const { name, components, type, format } = array;
  const count = tuples * components;
  requireSize(count);
  if (type !== undefined && format === 'ascii')
    return parseNumbers(bytes.toString('latin1', array.from, array.to), count, name);
  const [data, known] = await decodedBytes(bytes, file, array, count);
  return readNumbers(data, known, file.little);
};

/** What a file says of its time: VTK and ParaView write TimeValue, deal.II and VisIt TIME; undefined where there is none. */
export const readXmlTime = async (bytes: Buffer, file: VtkXml): Promise<PhysicalTime | undefined> => {
  const array = file.facts.find(({ name }) => isTimeName(name));
  if (array === undefined) return undefined;
  try {
    if (array.format === 'ascii')
      return timeOf(Number.parseFloat(bytes.toString('latin1', array.from, array.to)));
    const [data, type] = await decodedBytes(bytes, file, array, 1);
    return timeOf(readExactly(data, type, file.little)[0]);
  } catch {
    return undefined; // a frame is not refused for a time that nobody can read
  }
};

/** So many numbers of an array as bytes, and their type. */
const decodedBytes = async (
  bytes: Buffer,
  file: VtkXml,
  array: XmlArray,
  count: number,
): Promise<[Buffer, NumberType]> => {
  const { name, type } = array;
  if (type === undefined) throw new CodecError(`${name} holds no numbers of a type that VTK knows`);
  const encoded = encodedOf(bytes, file, array);
  const expected = count * type.bytes;
  if (file.compressor === undefined) {
    const size = wordAt(encoded.at(0, file.word), 0, file);
    if (size !== expected) throw new CodecError(`${name} has ${size} of ${expected} bytes`);
    return [encoded.at(0, file.word + size).subarray(file.word), type];
  }
  if (file.compressor !== 'vtkZLibDataCompressor')
    throw new CodecError(`data by ${file.compressor} are not supported`, {
      hint: 'write with zlib, or uncompressed',
    });
  const blocks = blocksOf(encoded, file, name, expected);
  const header = encoded.length((3 + blocks.length) * file.word);
  const packed = encoded.at(
    header,
    blocks.reduce((sum, { size }) => sum + size, 0),
  );
  const parts: Buffer[] = [];
  for (const { position, size } of blocks)
    parts.push(
      await promisify(inflate)(packed.subarray(position, position + size), {
        maxOutputLength: expected,
      }).catch((cause: unknown) => {
        throw new CodecError(`${name} does not decompress: ${messageOf(cause)}`, { cause });
      }),
    );
  const data = Buffer.concat(parts);
  if (data.length !== expected) throw new CodecError(`${name} has ${data.length} of ${expected} bytes`);
  return [data, type];
};
