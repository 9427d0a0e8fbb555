import type { ByteSource, Incomplete } from '../pipeline/plugins/plugin.js';

const TAGS = {
  subfile: 254,
  bits: 258,
  description: 270,
  samples: 277,
  extra: 338,
  sampleFormat: 339,
} as const;
/**
 * Tags that say how an image is to be decoded. Others stay behind when a page is taken out of its file: libvips refuses a whole
 * image for a text that it does not like.
 */
const DECODING = new Set([
  ...[256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 284, 292, 293, 317, 320, 322, 323, 324, 325],
  ...[338, 339, 347, 529, 530, 531, 532],
]);
/** Offsets and byte counts of the strips, or of the tiles. */
const DATA_TAGS = [
  { what: 'strip', offsets: 273, counts: 279 },
  { what: 'tile', offsets: 324, counts: 325 },
] as const;
/** Bytes per value of each field type. */
const TYPE_SIZES: Readonly<Partial<Record<number, number>>> = {
  1: 1,
  2: 1,
  3: 2,
  4: 4,
  5: 8,
  6: 1,
  7: 1,
  8: 2,
  9: 4,
  10: 8,
  11: 4,
  12: 8,
  13: 4,
  16: 8,
  17: 8,
  18: 8,
};
/** Those that hold unsigned integers: byte, short, long, ifd, long8, ifd8. */
const UNSIGNED = new Set([1, 3, 4, 13, 16, 18]);

/** What one image file directory says of its image. */
export interface TiffImage {
  /** A thumbnail or pyramid level of another image. */
  readonly reduced: boolean;
  readonly bits: number;
  readonly sampleFormat: number;
  /** Values of a pixel. */
  readonly samples: number;
  /** What those beyond grey or RGB are: 0 is not said, 1 and 2 are alpha. */
  readonly extra: readonly number[];
  /** As the file has them, by tag. */
  readonly entries: ReadonlyMap<number, Buffer>;
}

/** The directories of a file, as far as they and what they point to are there. */
export interface TiffStructure {
  readonly images: readonly TiffImage[];
  /** Why there are no more; undefined when the file is whole. */
  readonly incomplete: Incomplete;
  readonly dialect: Dialect;
}

/** A header's conventions: byte order, and 4-byte or 8-byte offsets. */
interface Dialect {
  readonly little: boolean;
  readonly big: boolean;
  u16(bytes: Buffer, at: number): number;
  /** An offset, count or value of this many bytes. */
  uint(bytes: Buffer, at: number, size: number): number;
}

const dialectOf = (little: boolean, big: boolean): Dialect => ({
  little,
  big,
  u16: (bytes, at) => (little ? bytes.readUInt16LE(at) : bytes.readUInt16BE(at)),
  uint: (bytes, at, size) => {
    if (size === 8) return Number(little ? bytes.readBigUInt64LE(at) : bytes.readBigUInt64BE(at));
    return little ? bytes.readUIntLE(at, size) : bytes.readUIntBE(at, size);
  },
});

/** Follows the chain of directories and checks that all that they point to lies in the file. */
export const readDirectories = async (bytes: ByteSource): Promise<TiffStructure> => {
  const head = await bytes.read(0, 16);
  const order = head.toString('latin1', 0, 2);
  const little = order === 'II';
  const classic = dialectOf(little, false);
  const none = (incomplete: string): TiffStructure => ({ images: [], incomplete, dialect: classic });
  if (bytes.size === 0) return none('the file is empty');
  if (!'II'.startsWith(order) && !'MM'.startsWith(order)) return none('it does not begin like a TIFF');
  if (head.length < 8) return none(cut(bytes, 'its header'));
  const version = classic.u16(head, 2);
  if (version !== 42 && version !== 43) return none('it does not begin like a TIFF');
  const dialect = dialectOf(little, version === 43);
  if (dialect.big && head.length < 16) return none(cut(bytes, 'its header'));
  const images: TiffImage[] = [];
  const visited = new Set<number>();
  let offset = dialect.big ? dialect.uint(head, 8, 8) : dialect.uint(head, 4, 4);
  while (offset !== 0) {
    if (visited.has(offset))
      return { images, incomplete: 'its chain of directories runs in a circle', dialect };
    visited.add(offset);
    const directory = await readDirectory(bytes, dialect, offset);
    if (typeof directory === 'string') return { images, incomplete: directory, dialect };
    images.push(directory.image);
    offset = directory.next;
  }
  const incomplete = images.length > 0 ? undefined : 'it holds no image yet: its header points nowhere';
  return { images, incomplete, dialect };
};

const cut = (bytes: ByteSource, what: string): string =>
  `it ends at byte ${bytes.size}, before the end of ${what}`;

const readDirectory = async (
  bytes: ByteSource,
  dialect: Dialect,
  offset: number,
): Promise<{ image: TiffImage; next: number } | string> => {
  const [countSize, entrySize, offsetSize] = dialect.big ? [8, 20, 8] : [2, 12, 4];
  const what = `the directory at byte ${offset}`;
  const head = await bytes.read(offset, countSize);
  if (head.length < countSize) return cut(bytes, what);
  const count = dialect.uint(head, 0, countSize);
  const length = count * entrySize + offsetSize;
  if (offset + countSize + length > bytes.size) return cut(bytes, what);
  const body = await bytes.read(offset + countSize, length);
  if (body.length < length) return cut(bytes, what);

  const entries = new Map<number, Buffer>();
  for (let i = 0; i < count; i++) {
    const entry = body.subarray(i * entrySize, (i + 1) * entrySize);
    entries.set(dialect.u16(entry, 0), entry);
  }
  for (const entry of entries.values())
    if (endOf(dialect, entry) > bytes.size) return cut(bytes, 'a table of the TIFF');
  const values = async (tag: number): Promise<readonly number[] | string> => {
    const entry = entries.get(tag);
    return entry === undefined ? [] : readValues(bytes, dialect, entry);
  };
  const complaint = await checkData(bytes, values);
  if (complaint !== undefined) return complaint;
  const [subfile, bits, samples, extra, sampleFormat] = [
    await values(TAGS.subfile),
    await values(TAGS.bits),
    await values(TAGS.samples),
    await values(TAGS.extra),
    await values(TAGS.sampleFormat),
  ];
  if (typeof subfile === 'string' || typeof bits === 'string' || typeof sampleFormat === 'string')
    return cut(bytes, what);
  if (typeof samples === 'string' || typeof extra === 'string') return cut(bytes, what);
  return {
    image: {
      reduced: ((subfile[0] ?? 0) & 1) === 1,
      bits: bits[0] ?? 1,
      sampleFormat: sampleFormat[0] ?? 1,
      samples: samples[0] ?? 1,
      extra,
      entries,
    },
    next: dialect.uint(body, count * entrySize, offsetSize),
  };
};

/** Where an entry keeps its values, in bytes: in itself where they fit, else where it points. */
const placeOf = (dialect: Dialect, entry: Buffer): { start: number; length: number; inside: boolean } => {
  const [at, room] = dialect.big ? [12, 8] : [8, 4];
  const length = dialect.uint(entry, 4, room) * (TYPE_SIZES[dialect.u16(entry, 2)] ?? 0);
  const inside = length <= room;
  return { start: inside ? at : dialect.uint(entry, at, room), length, inside };
};

/** The byte of the file after an entry's values; 0 where they are in the entry. */
const endOf = (dialect: Dialect, entry: Buffer): number => {
  const { start, length, inside } = placeOf(dialect, entry);
  return inside ? 0 : start + length;
};

const readValues = async (
  bytes: ByteSource,
  dialect: Dialect,
  entry: Buffer,
): Promise<readonly number[] | string> => {
  const type = dialect.u16(entry, 2);
  const size = TYPE_SIZES[type];
  if (size === undefined || !UNSIGNED.has(type))
    return 'a directory of the TIFF has a field of an unexpected type';
  const { start, length, inside } = placeOf(dialect, entry);
  const data = inside ? entry.subarray(start, start + length) : await bytes.read(start, length);
  if (data.length < length) return cut(bytes, 'a table of the TIFF');
  return Array.from({ length: length / size }, (_, i) => dialect.uint(data, i * size, size));
};

const checkData = async (
  bytes: ByteSource,
  values: (tag: number) => Promise<readonly number[] | string>,
): Promise<string | undefined> => {
  let [found, total] = [0, 0];
  for (const { what, offsets: offsetsTag, counts: countsTag } of DATA_TAGS) {
    const offsets = await values(offsetsTag);
    const counts = await values(countsTag);
    if (typeof offsets === 'string') return offsets;
    if (typeof counts === 'string') return counts;
    if (offsets.length !== counts.length) return `its ${what}s are not all described yet`;
    for (const [i, offset] of offsets.entries()) {
      const count = counts[i] ?? 0;
      if (offset === 0 || count === 0) return `${what} ${i} of ${offsets.length} is not written yet`;
      if (offset + count > bytes.size) return cut(bytes, `${what} ${i} of ${offsets.length}`);
      total += count;
    }
    found += offsets.length;
  }
  if (total > bytes.size) return 'its strips overlap: they would take more than the whole file';
  return found > 0 ? undefined : 'its directory names no image data';
};

/** The text of an image's description; empty when there is none. */
export const readDescription = async (
  bytes: ByteSource,
  { entries }: TiffImage,
  { dialect }: TiffStructure,
): Promise<string> => {
  const entry = entries.get(TAGS.description);
  if (entry === undefined) return '';
  const { start, length, inside } = placeOf(dialect, entry);
  const data = inside ? entry.subarray(start, start + length) : await bytes.read(start, length);
  return data.toString('utf8').replace(/\0+$/, '');
};

/** A TIFF of one image of another one, in the same dialect; reads what belongs to that image alone. */
export const extractImage = async (
  bytes: ByteSource,
  { entries }: TiffImage,
  { dialect }: TiffStructure,
): Promise<Buffer> => {
  const [countSize, entrySize, offsetSize] = dialect.big ? [8, 20, 8] : [2, 12, 4];
  const room = dialect.big ? 8 : 4;
  const write = (to: Buffer, value: number, at: number, size: number): void => {
    const eight = Buffer.alloc(8);
    eight.writeBigUInt64LE(BigInt(value));
    const own = eight.subarray(0, size);
    (dialect.little ? own : own.reverse()).copy(to, at);
  };
  const kept = [...entries].filter(([tag]) => DECODING.has(tag)).sort(([a], [b]) => a - b);
  const headSize = dialect.big ? 16 : 8;
  const head = Buffer.alloc(headSize + countSize + kept.length * entrySize + offsetSize);
  (await bytes.read(0, headSize)).copy(head);
  write(head, headSize, headSize - room, room);
  write(head, kept.length, headSize, countSize);
  const parts: Buffer[] = [head];
  let end = head.length;
  const append = (data: Buffer): number => {
    const at = end;
    const padded = data.length % 8 === 0 ? data : Buffer.concat([data, Buffer.alloc(8 - (data.length % 8))]);
    parts.push(padded);
    end += padded.length;
    return at;
  };
  for (const [i, [tag, original]] of kept.entries()) {
    const entry = Buffer.from(original);
    const { start, length, inside } = placeOf(dialect, entry);
    const table = DATA_TAGS.find(({ offsets }) => offsets === tag);
    let data: Buffer = inside ? entry.subarray(start, start + length) : await bytes.read(start, length);
    if (table !== undefined) {
      const counts = entries.get(table.counts);
      const [from, sizes] = [
        await readValues(bytes, dialect, original),
        counts === undefined ? [] : await readValues(bytes, dialect, counts),
      ];
      const moved: number[] = [];
      if (typeof from !== 'string' && typeof sizes !== 'string')
        for (const [k, offset] of from.entries()) moved.push(append(await bytes.read(offset, sizes[k] ?? 0)));
      // Offsets in words of the file's own size, whatever they were: a small file may have had short ones.
      data = Buffer.alloc(moved.length * room);
      moved.forEach((offset, k) => {
        write(data, offset, k * room, room);
      });
      write(entry, dialect.big ? 16 : 4, 2, 2);
      write(entry, moved.length, 4, room);
    }
    const value = Buffer.alloc(room);
    if (data.length <= room) data.copy(value);
    else write(value, append(data), 0, room);
    value.copy(entry, 4 + room);
    entry.copy(head, headSize + countSize + i * entrySize);
  }
  return Buffer.concat(parts);
};
