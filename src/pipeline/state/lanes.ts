import type { StateHandles } from '../../forecaster/programs.js';

/** Missing frames that are bridged by interpolation; after a longer gap the series warms up anew. */
export const LONGEST_BRIDGE = 3;
/** The state over one stretch of one lane, with the last two frames it took in. */
export interface Segment {
  state: StateHandles | undefined;
  last: Float32Array | undefined;
  before: Float32Array | undefined;
}

/** A frame at a step of its lane. */
export interface Step {
  readonly step: number;
  readonly data: Float32Array;
}

/** The frames of a series that are `stride` apart from each other: one recurrent state walks along each lane. */
export interface Lane {
  /** Position that its steps are counted from. */
  readonly origin: number;
  /** Last step taken in. */
  step: number;
  readonly segments: Map<number, Segment>;
  /** The last frame that came, normalised, and in physical values for the trend and the baselines of `verify`. */
  lastFrame: Float32Array | undefined;
  lastRaw: Step | undefined;
}

const BYTES_PER_VALUE = 4;
/** What a lane holds, on the device and here. */
export const bytesOf = ({ segments, lastFrame, lastRaw }: Lane): number => {
  const frames = [
    lastFrame,
    lastRaw?.data,
    ...[...segments.values()].flatMap(({ last, before }) => [last, before]),
  ];
  const states = [...segments.values()].flatMap(({ state = [] }) =>
    state.map(({ shape }) => shape.reduce((a, b) => a * b, 1)),
  );
  return (
    BYTES_PER_VALUE * [...frames.map((frame) => frame?.length ?? 0), ...states].reduce((a, b) => a + b, 0)
  );
};

/** One owner less of a state. */
export const release = (state: StateHandles | undefined): void =>
  state?.forEach((handle) => handle.release());

export const between = (a: Float32Array, b: Float32Array, share: number): Float32Array =>
  a.map((value, k) => value + share * ((b[k] as number) - value));

/** Frames by step, missing ones interpolated between their neighbours. */
export const bridged = (known: readonly Step[]): Step[] =>
  known.flatMap((frame, k) => {
    const last = known[k - 1];
    const gap = last === undefined ? 0 : frame.step - last.step - 1;
    const filled = Array.from({ length: gap }, (_, i) => ({
      step: frame.step - gap + i,
      data: between((last as Step).data, frame.data, (i + 1) / (gap + 1)),
    }));
    return [...filled, frame];
  });

/** No gap from step `from` on is longer than can be bridged. */
export const isUnbroken = (known: readonly Step[], from: number): boolean =>
  known.every(({ step }, k) => step - (known[k - 1]?.step ?? from - 1) - 1 <= LONGEST_BRIDGE);

/** The last frames, back to the last gap that is too long to be bridged. Empty only where `known` is. */
export const lastStretch = <S extends Step>(known: readonly S[]): S[] => {
  const parted = known.findLastIndex(
    ({ step }, k) => step - (known[k - 1]?.step ?? step) - 1 > LONGEST_BRIDGE,
  );
  return known.slice(Math.max(0, parted));
};
