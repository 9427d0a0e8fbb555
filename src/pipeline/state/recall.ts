import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { codeOf, isSystems, messageOf } from '../errors.js';
import type { Field, Frame } from '../frame.js';
import type { FrameRecord } from '../ledger/records.js';
import type { Ledger } from '../ledger/ledger.js';
import type { Codec } from '../plugins/plugin.js';
import { BETWEEN_TRIES, TRIES } from '../intake/read-frame.js';
import { readItem } from '../intake/stacks.js';

/** The hash by which a frame is known, and its values. */
export const readAgain = async (
  { path, item }: Pick<FrameRecord, 'path' | 'item'>,
  codec: Codec,
): Promise<{ hash: string; decode: () => Promise<Field> }> => {
  if (item !== undefined) {
    const { field, contentHash: hash } = await readItem(path, item, codec);
    return { hash, decode: () => Promise.resolve(field) };
  }
  const bytes = await readFile(path);
  const hash = createHash('sha256').update(bytes).digest('hex');
  return { hash, decode: () => codec.decode(bytes) };
};

export interface RecallContext {
  readonly ledger: Ledger;
  readonly codecFor: (path: string) => Codec | undefined;
  readonly notice: (message: string) => void;
}

/** What the system says of a file that is there: a network file system that hiccups, too many open files. */
const mayPass = (error: unknown): boolean => isSystems(error) && codeOf(error) !== 'ENOENT';

/**
 * Reads frames of a series again that were accepted before, by their places, each `every`-th from `from` on: for a state that
 * must be rebuilt after a restart. What cannot be read just now is tried again; frames whose file went away or changed are
 * left out, with one notice.
 */
export const createRecall =
  ({ ledger, codecFor, notice }: RecallContext) =>
  async (series: string, from: number, to: number, every = 1): Promise<readonly Frame[]> => {
    const record = ledger.series(series);
    if (record === undefined || to < from) return [];
    const failures: string[] = [];
    const indexOf = (position: number): number => record.first + position * record.increment;

    const load = async ({
      outcome: _,
      reason: _reason,
      kind: _kind,
      at: _at,
      contentHash,
      position = 0,
      ...entry
    }: FrameRecord): Promise<Frame | undefined> => {
      for (let tried = 1; ; tried++)
        try {
          const codec = codecFor(entry.path);
          if (codec === undefined) throw new Error('no codec reads it any more');
          const { hash, decode } = await readAgain(entry, codec);
          if (contentHash !== undefined && hash !== contentHash) throw new Error('it has changed');
          const field = await decode();
          return { ...field, series, index: entry.index, position, contentHash: hash, source: entry };
        } catch (error) {
          if (!mayPass(error) || tried >= TRIES) {
            failures.push(`${entry.path}: ${codeOf(error) === 'ENOENT' ? 'it is gone' : messageOf(error)}`);
            return undefined;
          }
          await delay(BETWEEN_TRIES);
        }
    };

    const frames: Frame[] = [];
    for (const known of ledger.frames(series, indexOf(from), indexOf(to))) {
      const { position, outcome } = known;
      if (position === undefined || outcome === 'rejected' || outcome === 'lost') continue;
      if ((position - from) % every !== 0) continue;
      const frame = await load(known);
      if (frame !== undefined) frames.push(frame);
    }
    if (failures.length > 0)
      notice(
        `${series}: ${failures.length} of its earlier frames cannot be read again, the first: ${failures[0]}`,
      );
    return frames;
  };
