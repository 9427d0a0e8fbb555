import type { Plane } from './plane.js';

/**
 * Length of the contour at `level`, in pixels: marching squares with linear interpolation (Lorensen and Cline 1987 in
 * two dimensions). Where a square could be cut in two ways, what lies above the level stays apart, as in scikit-image's
 * `find_contours`. Periodic frames have squares around their edges, too.
 */
export const interfaceLength = (
  { height, width, values }: Plane,
  level: number,
  periodic: boolean,
): number => {
  let length = 0;
  const [rows, columns] = periodic ? [height, width] : [height - 1, width - 1];
  for (let row = 0; row < rows; row++) {
    const [above, below] = [row * width, ((row + 1) % height) * width];
    for (let column = 0; column < columns; column++) {
      const next = (column + 1) % width;
      length += cut(
        values[above + column]!,
        values[above + next]!,
        values[below + column]!,
        values[below + next]!,
        level,
      );
    }
  }
  return length;
};

/** Contour length inside one square of four neighbours: upper left, upper right, lower left, lower right. */
const cut = (ul: number, ur: number, ll: number, lr: number, level: number): number => {
  const high = [ul > level, ur > level, ll > level, lr > level];
  const count = high.filter(Boolean).length;
  if (count === 0 || count === 4) return 0;
  /** Where the contour crosses from a to b, as part of the way. */
  const at = (a: number, b: number): number => (level - a) / (b - a);
  const [top, bottom, left, right] = [
    () => at(ul, ur),
    () => at(ll, lr),
    () => at(ul, ll),
    () => at(ur, lr),
  ] as const;
  const corners = [
    () => Math.hypot(top(), left()),
    () => Math.hypot(1 - top(), right()),
    () => Math.hypot(bottom(), 1 - left()),
    () => Math.hypot(1 - bottom(), 1 - right()),
  ] as const;
  if (count !== 2) return corners[high.indexOf(count === 1)]!();
  if (high[0] === high[1]) return Math.hypot(1, left() - right());
  if (high[0] === high[2]) return Math.hypot(1, top() - bottom());
  return high[0] === true ? corners[0]() + corners[3]() : corners[1]() + corners[2]();
};
