import { normalise } from '../../pipeline/intake/normalisation.js';
import type { Codecs } from '../../pipeline/intake/input.js';
import { readAgain } from '../../pipeline/state/recall.js';
import type { FrameFile, ToLearner } from './messages.js';
import type { Replay } from './replay.js';

export interface IntakeOptions {
  readonly codecs: Codecs;
  readonly replay: Pick<Replay, 'add'>;
  readonly notice: (message: string) => void;
}

/**
 * Reads frames from their files into the memory that is learned from. Left out: a frame that went away or has changed since
 * it was accepted, as the daemon says what is wrong with frames; and one with unknown values, of which the first one of a
 * series is told.
 */
export const createIntake = ({
  codecs,
  replay,
  notice,
}: IntakeOptions): ((message: Extract<ToLearner, { type: 'frames' }>) => Promise<void>) => {
  const gappy = new Set<string>();
  return async ({ series, normalisation, parameters, earlier, frames }) => {
    const read = async (
      { position, path, item, contentHash }: FrameFile,
      isEarlier: boolean,
    ): Promise<void> => {
      const codec = codecs.for(path);
      if (codec === undefined) return;
      const { hash, decode } = await readAgain({ path, ...(item !== undefined && { item }) }, codec);
      if (contentHash !== undefined && hash !== contentHash) return;
      const { shape, data } = await decode();
      if (data.every(Number.isFinite))
        replay.add(
          series,
          position,
          shape,
          normalisation,
          normalise(data, normalisation),
          parameters,
          isEarlier,
        );
      else if (!gappy.has(series)) {
        // Where something is not known there is nothing to compare with.
        gappy.add(series);
        notice(`${series}: frames with unknown values, such as ${path}, are not learned from`);
      }
    };
    for (const file of earlier) await read(file, true).catch(() => undefined);
    for (const file of frames) await read(file, false).catch(() => undefined);
  };
};
