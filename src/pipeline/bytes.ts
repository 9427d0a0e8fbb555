import type { FileHandle } from 'node:fs/promises';
import { open } from 'node:fs/promises';
import { endianness } from 'node:os';
import type { ByteSource, Codec, Incomplete } from './plugins/plugin.js';

/** Bytes that are in memory already, as a validator reads them. */
export const bytesOf = (buffer: Buffer): ByteSource => ({
  size: buffer.length,
  read: (offset, length) => Promise.resolve(buffer.subarray(offset, offset + length)),
});

/** Bytes that are read at once from a file whose headers are few and far between, and from one that is read through. */
const [LEAST_BLOCK, MOST_BLOCK] = [4096, 512 * 1024];

/** Exactly `length` bytes from `offset`; fewer only where the file ends. */
export const readFully = async (file: FileHandle, offset: number, length: number): Promise<Buffer> => {
  const buffer = Buffer.allocUnsafe(length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await file.read(buffer, filled, length - filled, offset + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return buffer.subarray(0, filled);
};

/** What of a file is read, some of it ahead: validators ask for many small pieces, one behind the other. */
const readAhead = (file: FileHandle, size: number): ByteSource['read'] => {
  let block: { readonly offset: number; readonly bytes: Buffer } = { offset: 0, bytes: Buffer.alloc(0) };
  let ahead = LEAST_BLOCK;
  return async (offset, length) => {
    const wanted = Math.max(0, Math.min(length, size - offset));
    if (wanted === 0) return Buffer.alloc(0); // also beyond the end, where torn files point to
    if (wanted > MOST_BLOCK) return readFully(file, offset, wanted);
    const at = offset - block.offset;
    if (at >= 0 && at + wanted <= block.bytes.length) return block.bytes.subarray(at, at + wanted);
    const follows = at >= 0 && at <= block.bytes.length + ahead;
    ahead = follows ? Math.min(MOST_BLOCK, 16 * ahead) : LEAST_BLOCK;
    block = {
      offset,
      bytes: await readFully(file, offset, Math.min(Math.max(wanted, ahead), size - offset)),
    };
    return block.bytes.subarray(0, wanted);
  };
};

/**
 * Opens a file for a validator and closes it when `use` is done. The size is the one at opening.
 * @throws the system's error when the file cannot be opened or read
 */
export const withFileBytes = async <T>(path: string, use: (bytes: ByteSource) => Promise<T>): Promise<T> => {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    return await use({ size, path, read: readAhead(file, size) });
  } finally {
    await file.close();
  }
};

/**
 * Asks the codec whether the file at `path` is whole.
 * @throws the system's error when the file cannot be opened or read
 */
export const validateFile = (path: string, codec: Codec): Promise<Incomplete> =>
  withFileBytes(path, (bytes) => codec.validate(bytes));

/** Finds the codec for a file name by its ending; the longest ending wins (".ome.tif" before ".tif"). */
export const codecsByName = (codecs: readonly Codec[]): ((path: string) => Codec | undefined) => {
  const endings = codecs
    .flatMap((codec) => codec.extensions.map((ending) => ({ ending, codec })))
    .sort((a, b) => b.ending.length - a.ending.length);
  return (path) => {
    const name = path.toLowerCase();
    return endings.find(({ ending }) => name.endsWith(ending))?.codec;
  };
};

/** The bytes of numbers as little-endian files hold them, whatever machine this is; a view where it is one itself. */
export const littleEndian = (values: Uint8ClampedArray | Uint8Array | Uint16Array | Float32Array): Buffer => {
  const bytes = Buffer.from(values.buffer, values.byteOffset, values.byteLength);
  if (endianness() === 'LE' || values.BYTES_PER_ELEMENT === 1) return bytes;
  return values.BYTES_PER_ELEMENT === 2 ? Buffer.from(bytes).swap16() : Buffer.from(bytes).swap32();
};

/** The float32 numbers of a little-endian file: a copy. */
export const floats = (bytes: Uint8Array): Float32Array => {
  const copy = Buffer.from(new ArrayBuffer(bytes.length));
  copy.set(bytes);
  if (endianness() !== 'LE') copy.swap32();
  return new Float32Array(copy.buffer, 0, bytes.length / 4);
};
