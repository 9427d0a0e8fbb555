import { open } from 'node:fs/promises';
import type { ByteSource, Codec, Incomplete } from './plugins/plugin.js';

/** Bytes that are in memory already, as a validator reads them. */
export const bytesOf = (buffer: Buffer): ByteSource => ({
  size: buffer.length,
  read: (offset, length) => Promise.resolve(buffer.subarray(offset, offset + length)),
});

/**
 * Opens a file for a validator and closes it when `use` is done. The size is the one at opening.
 * @throws the system's error when the file cannot be opened or read
 */
export const withFileBytes = async <T>(path: string, use: (bytes: ByteSource) => Promise<T>): Promise<T> => {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    return await use({
      size,
      path,
      read: async (offset, length) => {
        const wanted = Math.max(0, Math.min(length, size - offset));
        const buffer = Buffer.alloc(wanted);
        let filled = 0;
        while (filled < wanted) {
          const { bytesRead } = await file.read(buffer, filled, wanted - filled, offset + filled);
          if (bytesRead === 0) break; // the file became shorter meanwhile
          filled += bytesRead;
        }
        return buffer.subarray(0, filled);
      },
    });
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

/** The codec for a file name, by its ending; the longest ending wins (".ome.tif" before ".tif"). */
export const codecFor = (codecs: readonly Codec[], path: string): Codec | undefined => {
  const name = path.toLowerCase();
  const length = (codec: Codec): number =>
    Math.max(0, ...codec.extensions.filter((ending) => name.endsWith(ending)).map((ending) => ending.length));
  return codecs.filter((codec) => length(codec) > 0).sort((a, b) => length(b) - length(a))[0];
};
