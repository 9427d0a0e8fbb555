import { crc32 } from 'node:zlib';
import { StateError } from '../errors.js';

export type StoreKey = readonly (string | number)[];

/** The database gives a key of one part back as that part. */
type Key = StoreKey | string | number;
const checksumOf = (key: Key, json: string): string =>
  crc32(json, crc32(JSON.stringify([key].flat())))
    .toString(16)
    .padStart(DIGITS, '0');
const DIGITS = 8;

/**
 * A record as it lies on disk: the CRC-32 of key and value in hexadecimal, then the value as JSON. It is text because
 * lmdb damages the heap when a commit that holds Buffers fails, on a full disk.
 */
export const seal = (key: StoreKey, value: unknown): string => {
  const json = JSON.stringify(value);
  return checksumOf(key, json) + json;
};

/** False when a single bit of the key or the value is another one than was written. */
export const isIntact = (key: Key, sealed: string): boolean =>
  sealed.length > DIGITS && sealed.slice(0, DIGITS) === checksumOf(key, sealed.slice(DIGITS));

/** @throws StateError for a damaged record: the next start sets the ledger aside */
export const unseal = (key: Key, sealed: string): unknown => {
  if (!isIntact(key, sealed))
    throw new StateError(
      `the ledger is damaged: its record of ${JSON.stringify(key)} is not what was written`,
      {
        hint: 'start again: what can be rebuilt from the directory is rebuilt then',
      },
    );
  return JSON.parse(sealed.slice(DIGITS));
};
