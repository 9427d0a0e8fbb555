import type { Normalisation } from '../forecast.js';
import type { Frame } from '../frame.js';
import { declared, fixNormalisation, type KnownRanges } from '../intake/normalisation.js';
import type { tellOnce } from '../tell-once.js';
import type { SeriesMemory } from './series-memory.js';

/** "0 .. 1", or that of each channel. */
export const describeRange = (normalisation: Normalisation): string =>
  (normalisation.channels ?? [normalisation]).map(({ low, high }) => `${low} .. ${high}`).join(', ');

export interface WarmUpOptions extends KnownRanges {
  readonly memory: Pick<SeriesMemory, 'normalisation' | 'fixNormalisation' | 'recall'>;
  /** Frames that fix a normalisation. */
  readonly context: number;
  /** False where nothing is to be changed that others share. */
  readonly isInUse: () => boolean;
  readonly tell: ReturnType<typeof tellOnce>;
}

/** What is known of a series when a frame has come. */
interface Warmed {
  readonly normalisation?: Normalisation;
  /** With the frame that fixes it: those before. */
  readonly before?: readonly Frame[];
}

const bytesOfAll = (frames: readonly Frame[]): number =>
  frames.reduce((sum, { data }) => sum + data.byteLength, 0);

/** The first `context` frames of each series, which fix its normalisation. */
export const createWarmUp = ({ memory, context, isInUse, tell, ...ranges }: WarmUpOptions) => {
  const warming = new Map<string, Frame[]>();

  /** The series' normalisation, once there are enough frames to fix it; then with the frames that fixed it. */
  const of = async (frame: Frame): Promise<Warmed> => {
    const { series, position } = frame;
    const known = memory.normalisation(series, position);
    if (known !== undefined) {
      const { range } = ranges;
      if (range !== undefined && describeRange(declared(range)) !== describeRange(known))
        tell(
          series,
          () =>
            `${series}: its values stay normalised from ${describeRange(known)}, as they were when it began; begin anew with another state folder to have ${describeRange(declared(range))}`,
        );
      return { normalisation: known };
    }
    const held = warming.get(series) ?? [];
    const next = (held.at(-1)?.position ?? -1) + 1;
    const before = next < position ? [...held, ...(await memory.recall(series, next, position - 1))] : held;
    const frames = [...before, frame];
    warming.delete(series);
    warming.set(series, frames); // the last: it was used last
    if (frames.length < context) return {};
    const normalisation = fixNormalisation(frames, ranges);
    if (isInUse()) memory.fixNormalisation(series, normalisation, position);
    warming.delete(series);
    return { normalisation, before };
  };

  return {
    of,
    /** Forgets frames until what is left fits into `room` bytes, if it can, those first that were not used for longest; gives its bytes. */
    forget: (room: number): number => {
      let bytes = 0;
      for (const frames of warming.values()) bytes += bytesOfAll(frames);
      for (const [series, frames] of warming) {
        if (bytes <= room) break;
        bytes -= bytesOfAll(frames);
        warming.delete(series);
      }
      return bytes;
    },
    clear: () => warming.clear(),
  };
};
