import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { extname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { codeOf, FrameError } from '../errors.js';
import type { Entry, Field, Revision } from '../frame.js';
import { sameRevision } from '../frame.js';
import type { Codec } from '../plugins/plugin.js';
import { requireKnown } from './gaps.js';
import { readItem } from './stacks.js';

/** A file that is being rewritten under our hands, or cannot be read, gets so many tries, so many milliseconds apart. */
const TRIES = 4;
const BETWEEN_TRIES = 250;

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
    const found = await readWhole(entry.path).catch((error: unknown) => {
      if (codeOf(error) === 'ENOENT' || attempt === TRIES - 1) throw error;
      return undefined; // a network file system that hiccups, too many open files: it may pass
    });
    if (found === undefined) continue;
    const { bytes, before, after } = found;
    if (sameRevision(before, expected) && sameRevision(after, expected)) {
      const field = await codec.decode(bytes);
      requireKnown(field);
      const contentHash = createHash('sha256').update(bytes).digest('hex');
      return { field, contentHash, revision: expected };
    }
    expected = after;
  }
  throw new FrameError('it was found whole, but keeps changing');
};

const readWhole = async (path: string): Promise<{ bytes: Buffer; before: Revision; after: Revision }> => {
  const file = await open(path, 'r');
  try {
    const revision = async (): Promise<Revision> => {
      const { size, mtimeNs } = await file.stat({ bigint: true });
      return { size: Number(size), mtimeNs: String(mtimeNs) };
    };
    const before = await revision();
    const bytes = await file.readFile();
    return { bytes, before, after: await revision() };
  } finally {
    await file.close();
  }
};
