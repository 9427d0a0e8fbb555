import { z } from 'zod';
import type { FrameShape } from '../pipeline/frame.js';
import { MAX_CHANNELS } from './fields.js';

/** How frames lie in an array: `count` of them one after the other, each [H, W, C]. */
export interface Frames {
  readonly count: number;
  readonly shape: FrameShape;
}

/** The option of every codec of bare arrays. */
export const axesOption = z
  .enum(['auto', 'HW', 'HWC', 'NHW', 'NHWC'])
  .default('auto')
  .describe(
    'what the axes of the array are: N frames, Height, Width, Channels; auto: told from their lengths',
  );

/** What the option says, or text: why this array is no frame. The last axis of [a, b, c] is channels when it is short. */
export const framesOf = (
  dimensions: readonly number[],
  axes: z.output<typeof axesOption> = 'auto',
): Frames | string => {
  const is = `its array is [${dimensions.join(', ')}]`;
  if (dimensions.some((n) => !(n > 0 && n < 2 ** 31))) return `${is}: an axis is empty or too long`;
  const [a, b, c, d] = dimensions;
  if (axes !== 'auto' && axes.length !== dimensions.length)
    return `${is}: it has ${dimensions.length} axes, not the ${axes.length} of "${axes}"`;
  if (a === undefined || b === undefined || dimensions.length > 4)
    return `${is}: a frame is [H, W] or [H, W, C], several are [N, H, W] or [N, H, W, C]`;
  const channels = d ?? (axes === 'HWC' ? c : undefined);
  if (channels !== undefined && channels > MAX_CHANNELS) return `${is}: more than ${MAX_CHANNELS} channels`;
  if (c === undefined) return { count: 1, shape: [a, b, 1] };
  if (d !== undefined) return { count: a, shape: [b, c, d] };
  if (axes === 'HWC') return { count: 1, shape: [a, b, c] };
  if (axes === 'NHW' || c > MAX_CHANNELS) return { count: a, shape: [b, c, 1] };
  if (a === 1 && b > 1) return `${is}, which may be [1, H, W] or [H, W, C]: say which with the option axes`;
  return { count: 1, shape: [a, b, c] };
};
