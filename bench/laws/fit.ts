import { mean } from '../table.js';

export interface Line {
  readonly slope: number;
  readonly intercept: number;
  /** Share of the variance that the line explains. */
  readonly r2: number;
}

/** Least squares. */
export const lineThrough = (xs: readonly number[], ys: readonly number[]): Line => {
  const [x0, y0] = [mean(xs), mean(ys)];
  const sum = (pick: (dx: number, dy: number) => number): number =>
    xs.reduce((total, x, i) => total + pick(x - x0, ys[i]! - y0), 0);
  const [xx, xy, yy] = [sum((dx) => dx * dx), sum((dx, dy) => dx * dy), sum((_, dy) => dy * dy)];
  return { slope: xy / xx, intercept: y0 - (xy / xx) * x0, r2: (xy * xy) / (xx * yy) };
};

/** n of y ~ x^n: the slope on logarithmic axes. */
export const exponentOf = (xs: readonly number[], ys: readonly number[]): number =>
  lineThrough(
    xs.map((x) => Math.log(x)),
    ys.map((y) => Math.log(y)),
  ).slope;
