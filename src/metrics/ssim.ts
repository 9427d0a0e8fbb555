import type { FrameShape } from '../pipeline/frame.js';

const WINDOW = 7;
/** (0.01 R)^2 and (0.03 R)^2 for the data range R = 1. */
const C1 = 0.01 ** 2;
const C2 = 0.03 ** 2;

/**
 * Mean structural similarity (Wang et al. 2004) of two normalised frames [H, W, C], data range 1, averaged over
 * channels; 1 for equal frames. The numbers are those of scikit-image's `structural_similarity(a, b, data_range=1)`:
 * uniform 7x7 windows that lie inside the frame, sample covariance. For frames with an axis shorter than 7 the window
 * is the largest odd size that fits; a 1x1 window has no variance, so only the mean values are compared.
 *
 * Costs O(H W C) whatever the window: sums run down the columns and along the rows, in double precision.
 * With `known` (0 where a value is not, as many as there are), the mean is over the windows in which all values are; NaN
 * where there is none.
 * @throws RangeError when a length does not fit the shape
 */
export const ssim = (a: Float32Array, b: Float32Array, shape: FrameShape, known?: Uint8Array): number => {
  const [height, width, channels] = shape;
  const size = height * width * channels;
  if (a.length !== size || b.length !== size)
    throw new RangeError(`ssim of ${a.length} and ${b.length} values, shape ${shape.join('x')}`);
  if (size === 0) return 1;
  const least = Math.min(height, width, WINDOW);
  const window = least % 2 === 1 ? least : least - 1;
  let [sum, windows] = [0, 0];
  for (let channel = 0; channel < channels; channel++) {
    const part = channelSsim(a, b, shape, channel, window, known);
    sum += part.total;
    windows += part.windows;
  }
  return sum / windows;
};

/** Sums over the windows' columns of x, y, xx, yy, xy and of unknown values, kept for every column of the frame. */
const channelSsim = (
  a: Float32Array,
  b: Float32Array,
  shape: FrameShape,
  channel: number,
  window: number,
  known: Uint8Array | undefined,
): { readonly total: number; readonly windows: number } => {
  const [height, width, channels] = shape;
  const columns = {
    x: new Float64Array(width),
    y: new Float64Array(width),
    xx: new Float64Array(width),
    yy: new Float64Array(width),
    xy: new Float64Array(width),
    gaps: new Float64Array(width),
  };
  const addRow = (row: number, sign: 1 | -1): void => {
    for (let column = 0; column < width; column++) {
      const at = (row * width + column) * channels + channel;
      const isGap = known?.[at] === 0;
      if (isGap) columns.gaps[column]! += sign;
      const x = isGap ? 0 : a[at]!;
      const y = isGap ? 0 : b[at]!;
      columns.x[column]! += sign * x;
      columns.y[column]! += sign * y;
      columns.xx[column]! += sign * x * x;
      columns.yy[column]! += sign * y * y;
      columns.xy[column]! += sign * x * y;
    }
  };
  const count = window * window;
  const unbias = count > 1 ? count / (count - 1) : 0;
  let [total, windows] = [0, 0];
  for (let row = 0; row < height; row++) {
    addRow(row, 1);
    if (row >= window) addRow(row - window, -1);
    if (row < window - 1) continue;
    let [x, y, xx, yy, xy, gaps] = [0, 0, 0, 0, 0, 0];
    for (let column = 0; column < width; column++) {
      x += columns.x[column]!;
      y += columns.y[column]!;
      xx += columns.xx[column]!;
      yy += columns.yy[column]!;
      xy += columns.xy[column]!;
      gaps += columns.gaps[column]!;
      if (column >= window) {
        x -= columns.x[column - window]!;
        y -= columns.y[column - window]!;
        xx -= columns.xx[column - window]!;
        yy -= columns.yy[column - window]!;
        xy -= columns.xy[column - window]!;
        gaps -= columns.gaps[column - window]!;
      }
      if (column < window - 1 || gaps > 0) continue;
      windows++;
      const meanX = x / count;
      const meanY = y / count;
      const varianceX = unbias * (xx / count - meanX * meanX);
      const varianceY = unbias * (yy / count - meanY * meanY);
      const covariance = unbias * (xy / count - meanX * meanY);
      total +=
        ((2 * meanX * meanY + C1) * (2 * covariance + C2)) /
        ((meanX * meanX + meanY * meanY + C1) * (varianceX + varianceY + C2));
    }
  }
  return { total, windows };
};
