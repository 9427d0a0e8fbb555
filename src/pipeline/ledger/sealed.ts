import { crc32 } from 'node:zlib';
import { StateError } from '../errors.js';

export type StoreKey = readonly (string | number)[];

/** The database gives a key of one part back as that part. */
type Key = StoreKey | string | number;
const checksumOf = (key: Key, text: Uint8Array): number => crc32(text, crc32(JSON.stringify([key].flat())));

/** A record as it lies on disk: a CRC-32 of key and value, then the value as JSON. */
export const seal = (key: StoreKey, value: unknown): Buffer => {
  const text = Buffer.from(JSON.stringify(value));
  const sealed = Buffer.allocUnsafe(4 + text.length);
  sealed.writeUInt32LE(checksumOf(key, text));
  text.copy(sealed, 4);
  return sealed;
};

/** False when a single bit of the key or the value is another one than was written. */
export const isIntact = (key: Key, sealed: Buffer): boolean =>
  sealed.length > 4 && sealed.readUInt32LE() === checksumOf(key, sealed.subarray(4));

/** @throws StateError for a damaged record: the next start sets the ledger aside */
export const unseal = (key: Key, sealed: Buffer): unknown => {
  if (!isIntact(key, sealed))
    throw new StateError(
      `the ledger is damaged: its record of ${JSON.stringify(key)} is not what was written`,
      {
        hint: 'start again: what can be rebuilt from the directory is rebuilt then',
      },
    );
  return JSON.parse(sealed.toString('utf8', 4));
};
