/**
 * What frames of a run can be flipped and turned by such that they are frames of the same physics. `all`: flips and quarter
 * turns, where nothing has a direction; `flips`: a material with two axes, such as one that was rolled; `up-down` or
 * `left-right`: only that flip, where something goes across it (a temperature gradient from left to right leaves
 * `up-down`); `none`: a shear flow, components of a vector as channels.
 */
export const SYMMETRIES = ['all', 'flips', 'up-down', 'left-right', 'none'] as const;
export type Symmetries = (typeof SYMMETRIES)[number];

/** The same, move by move: a transposition (with the flips, quarter turns), a flip of the rows, and one of the columns. */
export interface Moves {
  readonly transpose: boolean;
  readonly flipRows: boolean;
  readonly flipColumns: boolean;
}

export const movesOf = (symmetries: Symmetries = 'all'): Moves => ({
  transpose: symmetries === 'all',
  flipRows: ['all', 'flips', 'up-down'].includes(symmetries),
  flipColumns: ['all', 'flips', 'left-right'].includes(symmetries),
});
