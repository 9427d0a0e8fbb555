import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { extname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { readFully } from '../bytes.js';
import { codeOf, FrameError } from '../errors.js';
import type { Entry, Field, Revision } from '../frame.js';
import { sameRevision } from '../frame.js';
import type { Codec } from '../plugins/plugin.js';
import { requireKnown } from './gaps.js';
import { revisionOf } from './revisions.js';
import { readItem } from './stacks.js';

/** A file that is being rewritten under our hands, or cannot be read, gets so many tries, so many milliseconds apart. */
export const TRIES = 4;
export const BETWEEN_TRIES = 250;

/** What a frame's file may have, where it is read as a whole. */
const MOST_BYTES = 2 ** 31 - 1;

export interface ReadFrame {
  readonly field: Field;
  readonly contentHash: string;
  readonly revision: Revision;
}

/**
 * Reads, hashes and decodes. Where the file changed since it was found whole, two looks must agree again first.
 * @throws FrameError for infinite values, for frames of which nothing is known and for what keeps changing, CodecError, or the system's error when the
 * file cannot be opened
 */
export const readFrame = async (entry: Entry, codec: Codec | undefined): Promise<ReadFrame> => {
  if (codec === undefined) throw new FrameError(`no codec reads ${extname(entry.path)} files`);
  if (entry.item !== undefined) {
    const { field, contentHash } = await readItem(entry.path, entry.item, codec);
    requireKnown(field);
    return { field, contentHash, revision: entry.revision };
  }
  let expected = entry.revision;
  for (let attempt = 0; attempt < TRIES; attempt++) {
    if (attempt > 0) await delay(BETWEEN_TRIES);
    const found = await readWhole(entry.path, expected.size).catch((error: unknown) => {
      if (codeOf(error) === 'ENOENT' || error instanceof FrameError || attempt === TRIES - 1) throw error;
      return undefined; // a network file system that hiccups, too many open files: it may pass
    });
    if (found === undefined) continue;
    const { bytes, after } = found;
    if (sameRevision(after, expected)) {
      const field = await codec.decode(bytes);
      requireKnown(field);
      const contentHash = createHash('sha256').update(bytes).digest('hex');
      return { field, contentHash, revision: expected };
    }
    expected = after;
  }
  throw new FrameError('it was found whole, but keeps changing');
};

/** The bytes of a file that should have so many, and its revision after they were read. */
const readWhole = async (path: string, size: number): Promise<{ bytes: Buffer; after: Revision }> => {
  if (size > MOST_BYTES) throw new FrameError('it is larger than 2 GiB');
  const file = await open(path, 'r');
  try {
    const bytes = await readFully(file, 0, size);
    return { bytes, after: revisionOf(await file.stat({ bigint: true })) };
  } finally {
    await file.close();
  }
};
