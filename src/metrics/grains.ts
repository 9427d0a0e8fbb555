import type { Plane } from './plane.js';

export interface Grains {
  readonly count: number;
  /** Pixels; 0 when there are none. */
  readonly meanArea: number;
}

/**
 * Grains, crystals or droplets: regions of pixels above the threshold that hang together along rows and columns, around
 * the edges of periodic planes too. For grains, whose boundaries are dark, these are the interiors. Regions of fewer
 * than `leastArea` pixels are noise and not counted. A flood fill, as `scipy.ndimage.label`.
 */
export const grainsOf = (plane: Plane, threshold: number, periodic: boolean, leastArea = 4): Grains => {
  const { height, width, values } = plane;
  const open = Uint8Array.from(values, (value) => (value > threshold ? 1 : 0));
  const stack: number[] = [];
  const visit = (row: number, column: number): void => {
    const inside = row >= 0 && row < height && column >= 0 && column < width;
    if (!inside && !periodic) return;
    const at = ((row + height) % height) * width + ((column + width) % width);
    if (open[at] === 0) return;
    open[at] = 0;
    stack.push(at);
  };
  const areas: number[] = [];
  for (let start = 0; start < open.length; start++) {
    visit(Math.floor(start / width), start % width);
    let area = 0;
    for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
      area++;
      const [row, column] = [Math.floor(at / width), at % width];
      visit(row - 1, column);
      visit(row + 1, column);
      visit(row, column - 1);
      visit(row, column + 1);
    }
    if (area >= leastArea) areas.push(area);
  }
  return {
    count: areas.length,
    meanArea: areas.length === 0 ? 0 : areas.reduce((a, b) => a + b, 0) / areas.length,
  };
};
