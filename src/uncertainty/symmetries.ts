import { movesOf, type Moves } from '../forecaster/symmetries.js';
import type { FrameShape } from '../pipeline/frame.js';

/**
 * A rigid motion of the plane that takes frames to frames of the same physics: a transposition (square frames only),
 * flips of rows and columns, then a shift around the edges (periodic frames only).
 */
export interface Symmetry extends Moves {
  /** Rows and columns, as parts of the frame's size, 0 .. 1. */
  readonly shift: readonly [rows: number, columns: number];
}

/** The eight symmetries of the square, such that the first 2 and the first 4 differ as much as they can. */
const SQUARE = [
  [false, false, false],
  [true, true, false],
  [false, true, true],
  [true, false, true],
  [false, true, false],
  [true, false, false],
  [false, false, true],
  [true, true, true],
] as const;

/** Steps of a sequence that fills the square evenly (M. Roberts' R2, powers of the plastic number). */
const SPREAD = [0.7548776662466927, 0.5698402909980532] as const;

/**
 * The first `count` symmetries of frames of this shape that are made of these moves, the identity first. Where nothing is
 * periodic there are eight of all moves (square frames) or four, and no more are given.
 */
export const symmetriesOf = (
  count: number,
  [height, width]: FrameShape,
  periodic: boolean,
  moves: Moves = movesOf('all'),
): readonly Symmetry[] => {
  const turns = SQUARE.filter(
    ([transpose, flipRows, flipColumns]) =>
      (!transpose || (moves.transpose && height === width)) &&
      (!flipRows || moves.flipRows) &&
      (!flipColumns || moves.flipColumns),
  );
  return Array.from({ length: periodic ? count : Math.min(count, turns.length) }, (_, k) => {
    const [transpose, flipRows, flipColumns] = turns[k % turns.length]!;
    const shift = periodic ? ([(k * SPREAD[0]) % 1, (k * SPREAD[1]) % 1] as const) : ([0, 0] as const);
    return { transpose, flipRows, flipColumns, shift };
  });
};

/** For each pixel of the moved frame, the pixel that it comes from. */
const sources = (symmetry: Symmetry, [height, width]: FrameShape): Int32Array => {
  const { transpose, flipRows, flipColumns, shift } = symmetry;
  const [down, right] = [Math.round(shift[0] * height), Math.round(shift[1] * width)];
  const from = new Int32Array(height * width);
  for (let row = 0, k = 0; row < height; row++) {
    for (let column = 0; column < width; column++, k++) {
      let [r, c] = [(row + height - down) % height, (column + width - right) % width];
      if (flipRows) r = height - 1 - r;
      if (flipColumns) c = width - 1 - c;
      if (transpose) [r, c] = [c, r];
      from[k] = r * width + c;
    }
  }
  return from;
};

/** Moves frames of one shape there and back. */
export interface Motion {
  /** [H, W, C] -> [H, W, C] */
  readonly there: (frame: Float32Array) => Float32Array;
  /** The inverse of `there`. */
  readonly back: (frame: Float32Array) => Float32Array;
}

/** @throws RangeError for a transposition of frames that are not square */
export const motionOf = (symmetry: Symmetry, shape: FrameShape): Motion => {
  const [height, width, channels] = shape;
  if (symmetry.transpose && height !== width) throw new RangeError('only square frames can be transposed');
  const from = sources(symmetry, shape);
  const moved = (frame: Float32Array, copy: (to: Float32Array, pixel: number, source: number) => void) => {
    const result = new Float32Array(frame.length);
    for (let pixel = 0; pixel < from.length; pixel++) copy(result, pixel * channels, from[pixel]! * channels);
    return result;
  };
  return {
    there: (frame) =>
      moved(frame, (to, pixel, source) => {
        for (let c = 0; c < channels; c++) to[pixel + c] = frame[source + c]!;
      }),
    back: (frame) =>
      moved(frame, (to, pixel, source) => {
        for (let c = 0; c < channels; c++) to[source + c] = frame[pixel + c]!;
      }),
  };
};
