import { fit, fittedShape } from '../pipeline/fit.js';
import type { Normalisation } from '../pipeline/forecast.js';
import type { FrameShape, PhysicalTime } from '../pipeline/frame.js';
import type { ParameterValues } from '../pipeline/parameters.js';

/** Places `from` .. `to - 1`, each of which has a frame. */
export interface Stretch {
  readonly from: number;
  readonly to: number;
}

/** A sequence of frames, normalised; they may lie on disk until they are asked for. */
export interface Series {
  readonly name: string;
  readonly shape: FrameShape;
  readonly normalisation: Normalisation;
  /** What is known of the scalars of its run. */
  readonly parameters?: ParameterValues | undefined;
  /** Time from each place to the next, told from the frames that were read so far; undefined where that is not known, or uneven. */
  readonly interval?: () => PhysicalTime | undefined;
  /** Between them frames are missing: a clip or window lies in one of them. */
  readonly stretches: readonly Stretch[];
  /** [H, W, C], values about 0..1; not to be written to. @throws CodecError for one that cannot be read */
  frame(place: number): Promise<Float32Array>;
}

/** Stretches of these places, which ascend. */
export const stretchesOf = (places: readonly number[]): Stretch[] => {
  const stretches: { from: number; to: number }[] = [];
  for (const place of places) {
    const last = stretches.at(-1);
    if (last?.to === place) last.to++;
    else stretches.push({ from: place, to: place + 1 });
  }
  return stretches;
};

const placesOf = ({ stretches }: Series): number[] =>
  stretches.flatMap(({ from, to }) => Array.from({ length: to - from }, (_, k) => from + k));

/** The most frames in a row. */
export const longestStretch = ({ stretches }: Pick<Series, 'stretches'>): number =>
  Math.max(0, ...stretches.map(({ from, to }) => to - from));

/** Where `length` frames in a row can begin: how many such places there are, and the n-th. */
export const startsIn = ({ stretches }: Pick<Series, 'stretches'>, length: number) => {
  const room = stretches.map(({ from, to }) => Math.max(0, to - from - length + 1));
  return {
    count: room.reduce((a, b) => a + b, 0),
    at: (n: number): number => {
      let left = n;
      for (const [k, { from }] of stretches.entries()) {
        const here = room[k] ?? 0;
        if (left < here) return from + left;
        left -= here;
      }
      throw new RangeError(`there is no start ${n}`);
    },
  };
};

/** Every `stride`-th place, from each of the places to begin: as many series. */
export const strided = (series: Series, stride: number): Series[] =>
  stride === 1
    ? [series]
    : Array.from({ length: stride }, (_, phase) => ({
        ...series,
        stretches: stretchesOf(
          placesOf(series)
            .filter((place) => place % stride === phase)
            .map((place) => (place - phase) / stride),
        ),
        frame: (place) => series.frame(phase + place * stride),
      }));

/** A series whose frames are in memory, without a gap. */
export const inMemory = (
  series: Pick<Series, 'name' | 'shape' | 'normalisation' | 'parameters'>,
  frames: readonly Float32Array[],
): Series => ({
  ...series,
  stretches: [{ from: 0, to: frames.length }],
  frame: (place) => Promise.resolve(frames[place] as Float32Array),
});

/** The series with frames enlarged to multiples of `latentStride`, as the network takes them. */
export const fitted = (series: Series, latentStride: number): Series => ({
  ...series,
  shape: fittedShape(series.shape, latentStride),
  frame: async (place) => fit(await series.frame(place), series.shape, latentStride),
});

/** `count` frames from a place on. */
export const framesFrom = async (series: Series, from: number, count: number): Promise<Float32Array[]> => {
  const frames: Float32Array[] = [];
  for (let place = from; place < from + count; place++) frames.push(await series.frame(place));
  return frames;
};
