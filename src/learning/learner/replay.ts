import type { FrameShape } from '../../pipeline/frame.js';
import type { Normalisation } from '../../pipeline/forecast.js';
import type { ParameterValues } from '../../pipeline/parameters.js';

/** Frames that are kept from learning, to judge by: a share of the newest of each series, and bounds of their number. */
const HELD_OUT = { share: 0.125, least: 6, most: 24 } as const;

/** A series is going on if one of so many frames that came last was its own; of many series, of four times as many. */
const LATELY = 32;

/**
 * Strides of frames that a series keeps, where memory is full, before another gets any: a little of each of many series would
 * be too little of any to learn from.
 */
const ENOUGH_OF_ONE = 32;

/** Normalised frames [H, W, C] of a series without gaps, a stride apart. */
export interface Recording {
  readonly name: string;
  readonly shape: FrameShape;
  readonly normalisation: Normalisation;
  readonly parameters?: ParameterValues | undefined;
  readonly frames: readonly Float32Array[];
}

/** A stretch of a series without gaps. */
interface Stretch {
  readonly series: string;
  readonly shape: FrameShape;
  readonly normalisation: Normalisation;
  readonly parameters: ParameterValues | undefined;
  /** Place of its first frame. */
  readonly from: number;
  readonly frames: readonly Float32Array[];
}

/** The frames that a learner has seen, as many as fit. */
export interface Replay {
  /**
   * A normalised frame [H, W, C], and what is known of its run's scalars. Frames of a series come in order. `isEarlier`: it was
   * there before this process began.
   */
  add(
    series: string,
    position: number,
    shape: FrameShape,
    normalisation: Normalisation,
    frame: Float32Array,
    parameters?: ParameterValues,
    isEarlier?: boolean,
  ): void;
  /**
   * Stretches to learn from: without the newest frames of each series. One for each phase of the stride. `newer`: of the series
   * that are going on, this share of the frames, the newer ones, but no fewer than `least` where there are as many.
   */
  training(newer?: { readonly share: number; readonly least: number }): Recording[];
  /**
   * Stretches of the series that are going on to judge by, each with how many of its frames are new to all that has learned so
   * far: the newest ones, at the end. They begin with what a forecaster needs as context.
   */
  heldOut(context: number): readonly { readonly series: Recording; readonly unseen: number }[];
  /** Everything, in stretches. */
  all(): Recording[];
  /** Of the series that are going on. */
  live(): Recording[];
  readonly frames: number;
  /** There was no room for all that was added. */
  readonly isFull: boolean;
  /** Frames that were ever added. */
  readonly seen: number;
  /** Those that have come since this process began. */
  readonly fresh: number;
  /** The same of each series, in strides. */
  lengths(): ReadonlyMap<string, number>;
}

export const createReplay = ({
  bytes,
  stride,
}: {
  readonly bytes: number;
  readonly stride: number;
}): Replay => {
  const stretches: {
    series: string;
    shape: FrameShape;
    normalisation: Normalisation;
    parameters: ParameterValues | undefined;
    from: number;
    frames: Float32Array[];
  }[] = [];
  let [held, isFull] = [0, false];
  let [count, seen] = [0, 0];
  const added = new Map<string, number>();
  /** Series of the frames that came last, the newest at the end. */
  const lately: string[] = [];
  const isLive = ({ series }: Pick<Stretch, 'series'>): boolean => lately.includes(series);
  /** First place of each series that nothing has learned from: it never goes back. */
  const frontiers = new Map<string, number>();

  /** Of series that are over, the first ones first; then from the longest stretch, or if that is none too long the shortest. */
  const victimNow = () => {
    const over = stretches.find((stretch) => !isLive(stretch));
    if (over !== undefined) return over;
    const longest = stretches.reduce((a, b) => (b.frames.length > a.frames.length ? b : a));
    if (longest.frames.length > ENOUGH_OF_ONE * stride) return longest;
    return stretches.reduce((a, b) => (b.frames.length < a.frames.length ? b : a));
  };
  const forgetOldest = (): void => {
    while (held > bytes && stretches.length > 0) {
      isFull = true;
      const victim = victimNow();
      held -= victim.frames.shift()!.byteLength;
      victim.from++;
      count--;
      if (victim.frames.length === 0) stretches.splice(stretches.indexOf(victim), 1);
    }
  };
  const lastOf = (series: string): number => {
    const stretch = stretches.findLast((known) => known.series === series);
    return stretch === undefined ? -1 : stretch.from + stretch.frames.length - 1;
  };
  const frontierOf = (series: string): number => {
    const total = stretches.reduce(
      (sum, known) => sum + (known.series === series ? known.frames.length : 0),
      0,
    );
    const { share, least, most } = HELD_OUT;
    // One frame more keeps no fewer of the others: what begins later, with all of them at once, has the same frontier.
    const kept = Math.min(most * stride, Math.max(least * stride, Math.round(share * total)));
    const frontier = Math.max(frontiers.get(series) ?? 0, lastOf(series) + 1 - kept);
    frontiers.set(series, frontier);
    return frontier;
  };
  const asSeries = ({ series: name, frames, ...facts }: Omit<Stretch, 'from'>): Recording[] =>
    Array.from({ length: stride }, (_, phase) => ({
      ...{ name, shape: facts.shape, normalisation: facts.normalisation, parameters: facts.parameters },
      frames: frames.filter((_frame, k) => k % stride === phase),
    }));

  return {
    add: (series, position, shape, normalisation, frame, parameters, isEarlier = false) => {
      const last = stretches.findLast((known) => known.series === series);
      if (last !== undefined && position === last.from + last.frames.length) last.frames.push(frame);
      else if (last === undefined || position > lastOf(series))
        stretches.push({ series, shape, normalisation, parameters, from: position, frames: [frame] });
      else return;
      seen++;
      held += frame.byteLength;
      count++;
      if (!isEarlier) {
        added.set(series, (added.get(series) ?? 0) + 1);
        lately.push(series);
        while (lately.length > Math.max(LATELY, 4 * new Set(lately).size)) lately.shift();
      } else if (!isLive({ series })) lately.push(series); // its next frame is what it was told for
      forgetOldest();
    },
    training: (newer) =>
      (newer === undefined ? stretches : stretches.filter(isLive)).flatMap((stretch) => {
        const until = frontierOf(stretch.series) - stretch.from;
        if (until <= 0) return [];
        return asSeries({ ...stretch, frames: stretch.frames.slice(0, until) }).map((recording) => {
          const { frames } = recording;
          if (newer === undefined) return recording;
          const some = Math.max(newer.least, Math.ceil(newer.share * frames.length));
          return { ...recording, frames: frames.slice(-some) };
        });
      }),
    heldOut: (context) =>
      [...new Set(stretches.filter(isLive).map(({ series }) => series))].flatMap((name) => {
        const stretch = stretches.findLast(({ series }) => series === name)!;
        const unseen = stretch.from + stretch.frames.length - Math.max(frontierOf(name), stretch.from);
        const from = stretch.frames.length - unseen - context * stride;
        if (from < 0) return [];
        return asSeries({ ...stretch, frames: stretch.frames.slice(from) }).map((series) => ({
          series,
          unseen: Math.max(0, series.frames.length - context),
        }));
      }),
    all: () => stretches.flatMap(asSeries),
    live: () => stretches.filter(isLive).flatMap(asSeries),
    get frames() {
      return count;
    },
    get isFull() {
      return isFull;
    },
    get seen() {
      return seen;
    },
    get fresh() {
      return [...added.values()].reduce((sum, of) => sum + of, 0);
    },
    lengths: () => new Map([...added].map(([series, frames]) => [series, Math.floor(frames / stride)])),
  };
};
