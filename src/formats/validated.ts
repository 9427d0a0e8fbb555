import { bytesOf } from '../pipeline/bytes.js';
import { CodecError, isSystems, messageOf } from '../pipeline/errors.js';
import type { Codec, Incomplete } from '../pipeline/plugins/plugin.js';

/** A codec that decodes what its validator finds whole, and refuses the rest in the validator's words. */
export const validated = (
  validate: Codec['validate'],
  decode: (bytes: Buffer) => ReturnType<Codec['decode']>,
): Pick<Codec, 'validate' | 'decode'> => ({
  validate,
  decode: async (bytes, signal) => {
    signal?.throwIfAborted();
    const incomplete = await validate(bytesOf(bytes));
    if (incomplete !== undefined) throw new CodecError(incomplete);
    return decode(bytes);
  },
});

/**
 * What is wrong with a file, by the error with which reading it ended.
 * @throws the error itself when it is the system's: it says nothing of what is in the file
 */
export const verdictOf = (error: unknown): NonNullable<Incomplete> => {
  if (isSystems(error)) throw error;
  return messageOf(error);
};
