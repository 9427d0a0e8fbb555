import { bytesOf } from '../pipeline/bytes.js';
import { CodecError } from '../pipeline/errors.js';
import type { ByteSource, Codec, StackCodec } from '../pipeline/plugins/plugin.js';

/** Gives bytes, in memory as they may be, a place where they can be asked for several times. */
export type Placing = <T>(bytes: ByteSource, use: (bytes: ByteSource) => Promise<T>) => Promise<T>;

/** Validating and decoding a file as one frame, for formats that may hold several. */
export const oneOf = (
  stack: StackCodec,
  placed: Placing = (bytes, use) => use(bytes),
): Pick<Codec, 'validate' | 'decode' | 'stack'> => ({
  stack,
  validate: async (bytes) => (await stack.count(bytes)).incomplete,
  decode: async (buffer, signal) => {
    signal?.throwIfAborted();
    return placed(bytesOf(buffer), async (bytes) => {
      const { count, incomplete } = await stack.count(bytes);
      if (incomplete !== undefined) throw new CodecError(incomplete);
      if (count !== 1)
        throw new CodecError(`it holds ${count} frames: a file with several is a series of its own`);
      return stack.decode(bytes, 0, signal);
    });
  },
});

/** @throws CodecError when there is no such frame */
export const requireItem = (item: number, count: number): void => {
  if (!(Number.isInteger(item) && item >= 0 && item < count))
    throw new CodecError(`it holds ${count} frames, there is no frame ${item}`);
};

/** `encode` of a codec that only reads. */
export const onlyReads =
  (name: string): Codec['encode'] =>
  () =>
    Promise.reject(new CodecError(`the ${name} codec only reads`, { hint: 'write png, tiff, npy or vti' }));
