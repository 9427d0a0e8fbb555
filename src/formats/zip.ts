import { promisify } from 'node:util';
import { constants, crc32, createInflateRaw, inflateRaw } from 'node:zlib';
import { CodecError, messageOf } from '../pipeline/errors.js';
import type { ByteSource } from '../pipeline/plugins/plugin.js';

/** One file of an archive, as the central directory has it. */
export interface ZipMember {
  readonly name: string;
  /** 0 stored, 8 deflate. */
  readonly method: number;
  readonly crc: number;
  readonly compressed: number;
  readonly size: number;
  /** Where its local header is. */
  readonly header: number;
}

const LOCAL = 0x04034b50;
const CENTRAL = 0x02014b50;
const END = 0x06054b50;
const END64 = 0x06064b50;
const LOCATOR64 = 0x07064b50;
/** More is no archive of arrays; bounds what a damaged directory can cost. */
const MAX_DIRECTORY = 2 ** 24;

/** The central directory (PKWARE APPNOTE 6.3, with ZIP64); text says what is missing or wrong. Reads no contents. */
export const readZip = async (bytes: ByteSource): Promise<readonly ZipMember[] | string> => {
  if (bytes.size === 0) return 'the file is empty';
  const start = await bytes.read(0, 4);
  if (!start.equals(Buffer.from('PK\x03\x04', 'latin1').subarray(0, start.length)))
    return 'it does not begin like a ZIP archive';
  const cut = `it ends at byte ${bytes.size}, before the end of the archive`;
  const tailAt = Math.max(0, bytes.size - 22 - 65_535);
  const tail = await bytes.read(tailAt, bytes.size - tailAt);
  let at = tail.length - 22;
  while (at >= 0 && !(tail.readUInt32LE(at) === END && at + 22 + tail.readUInt16LE(at + 20) === tail.length))
    at--;
  if (at < 0) return cut;
  let [count, length, offset] = [
    tail.readUInt16LE(at + 10),
    tail.readUInt32LE(at + 12),
    tail.readUInt32LE(at + 16),
  ];
  if (at >= 20 && tail.readUInt32LE(at - 20) === LOCATOR64) {
    const end = await bytes.read(Number(tail.readBigUInt64LE(at - 12)), 56);
    if (end.length < 56 || end.readUInt32LE(0) !== END64) return cut;
    count = Number(end.readBigUInt64LE(32));
    length = Number(end.readBigUInt64LE(40));
    offset = Number(end.readBigUInt64LE(48));
  }
  if (length > MAX_DIRECTORY) return `its directory claims ${length} bytes: this is no archive of arrays`;
  if (offset + length > tailAt + at) return cut;
  const directory = await bytes.read(offset, length);
  if (directory.length < length) return cut;
  return readMembers(directory, count, offset) ?? 'its directory is damaged';
};

const readMembers = (directory: Buffer, count: number, end: number): ZipMember[] | undefined => {
  const members: ZipMember[] = [];
  for (let at = 0; members.length < count;) {
    if (at + 46 > directory.length || directory.readUInt32LE(at) !== CENTRAL) return undefined;
    const nameEnd = at + 46 + directory.readUInt16LE(at + 28);
    const extraEnd = nameEnd + directory.readUInt16LE(at + 30);
    if (extraEnd > directory.length) return undefined;
    const wide = wideValues(directory.subarray(nameEnd, extraEnd));
    const value = (where: number): number | undefined => {
      const small = directory.readUInt32LE(at + where);
      return small === 0xffffffff ? wide.shift() : small;
    };
    // ZIP64 has them in this order, those alone that do not fit.
    const [size, compressed, header] = [value(24), value(20), value(42)];
    if (size === undefined || compressed === undefined || header === undefined) return undefined;
    if (header + 30 + compressed > end) return undefined;
    members.push({
      name: directory.toString('utf8', at + 46, nameEnd),
      method: directory.readUInt16LE(at + 10),
      crc: directory.readUInt32LE(at + 16),
      compressed,
      size,
      header,
    });
    at = extraEnd + directory.readUInt16LE(at + 32);
  }
  return members;
};

/** The numbers of the ZIP64 extra field. */
const wideValues = (extra: Buffer): number[] => {
  for (let at = 0; at + 4 <= extra.length; at += 4 + extra.readUInt16LE(at + 2)) {
    if (extra.readUInt16LE(at) !== 1) continue;
    const end = Math.min(extra.length, at + 4 + extra.readUInt16LE(at + 2));
    const values: number[] = [];
    for (let from = at + 4; from + 8 <= end; from += 8) values.push(Number(extra.readBigUInt64LE(from)));
    return values;
  }
  return [];
};

/**
 * The contents of a member, or their first `limit` bytes.
 * @throws CodecError when it is damaged: size and checksum are those of the directory, where all was read
 */
export const readMember = async (
  bytes: ByteSource,
  { name, method, crc, compressed, size, header }: ZipMember,
  limit = Infinity,
): Promise<Buffer> => {
  const refuse = (why: string, cause?: unknown): never => {
    throw new CodecError(`${name} in it ${why}`, { cause });
  };
  if (method !== 0 && method !== 8) refuse(`is compressed by method ${method}, not deflate`);
  const local = await bytes.read(header, 30);
  if (local.length < 30 || local.readUInt32LE(0) !== LOCAL) refuse('has no header');
  const at = header + 30 + local.readUInt16LE(26) + local.readUInt16LE(28);
  const part = limit < size;
  if (method === 0 && part) return bytes.read(at, limit);
  // Deflate expands 1,032 times at most: what claims more is a lie.
  if (method === 8 && size > 1032 * (compressed + 16)) refuse(`claims ${size} bytes out of ${compressed}`);
  const stored = await bytes.read(at, part ? Math.min(compressed, limit * 2 + 4096) : compressed);
  const data =
    method === 0
      ? stored
      : await (
          part ? inflateStart(stored, limit) : promisify(inflateRaw)(stored, { maxOutputLength: size })
        ).catch((error: unknown) => refuse(`does not decompress: ${messageOf(error)}`, error));
  if (part) return data;
  if (data.length !== size) refuse(`has ${data.length} of ${size} bytes`);
  if (crc32(data) !== crc) refuse('is damaged: its checksum is another one');
  return data;
};

/** What the beginning of a deflate stream gives, without waiting for its end. */
const inflateStart = (stored: Buffer, limit: number): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    let length = 0;
    const stream = createInflateRaw({ finishFlush: constants.Z_SYNC_FLUSH });
    const done = (): void => {
      stream.destroy();
      resolve(Buffer.concat(parts).subarray(0, limit));
    };
    stream.on('data', (part: Buffer) => {
      parts.push(part);
      if ((length += part.length) >= limit) done();
    });
    stream.on('end', done);
    stream.on('error', reject);
    stream.end(stored);
  });
