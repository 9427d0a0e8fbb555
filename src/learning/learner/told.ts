import type { Ledger } from '../../pipeline/ledger/ledger.js';
import type { Observation } from '../../pipeline/run.js';
import type { FrameFile, ToLearner } from './messages.js';

const fileOf = ({
  position = 0,
  path,
  item,
  contentHash,
}: Partial<FrameFile> & { path: string }): FrameFile => ({
  position,
  path,
  ...(item !== undefined && { item }),
  ...(contentHash !== undefined && { contentHash }),
});

/** What a learner is told of frames: with the first of a series, of as many before it as fit into its memory. */
export interface Told {
  /** What it is to be told now; undefined where the frame has no values yet that it could be normalised by. */
  of(observation: Observation): Extract<ToLearner, { type: 'frames' }> | undefined;
  /** It began anew, and knows nothing. */
  clear(): void;
}

/** @param bytes of frames that the learner keeps */
export const createTold = (ledger: Pick<Ledger, 'series' | 'frames'>, bytes: number): Told => {
  const told = new Set<string>();
  return {
    of: ({ frame, normalisation }) => {
      if (normalisation === undefined) return undefined;
      const { series, position, source, contentHash } = frame;
      const earlier: FrameFile[] = [];
      if (!told.has(series)) {
        told.add(series);
        const fit = Math.ceil(bytes / frame.data.byteLength) * (ledger.series(series)?.increment ?? 1);
        for (const { outcome, ...record } of ledger.frames(series, frame.index - fit, frame.index - 1))
          if (record.position !== undefined && outcome !== 'rejected' && outcome !== 'lost')
            earlier.push(fileOf(record));
      }
      return {
        type: 'frames',
        series,
        normalisation,
        parameters: frame.parameters,
        earlier,
        frames: [fileOf({ ...source, position, contentHash })],
      };
    },
    clear: () => told.clear(),
  };
};
