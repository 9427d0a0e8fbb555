import type { Entry, Field, PhysicalTime } from '../frame.js';
import { sidecarTimes } from './sidecar-times.js';

/** When a frame was. Places count from the first frame of its series. */
export type FrameTimes = (
  entry: Pick<Entry, 'path' | 'index' | 'item'>,
  position: number,
  field: Pick<Field, 'time'>,
) => Promise<PhysicalTime | undefined>;

/** Times of frames: from the interval that the user says; else from a file beside the frames, else from the frame's own. */
export const frameTimes = (interval: PhysicalTime | undefined): FrameTimes => {
  if (interval !== undefined)
    return (_entry, position) => Promise.resolve({ ...interval, value: position * interval.value });
  const sidecar = sidecarTimes();
  return async (entry, _position, { time }) => (await sidecar(entry)) ?? time;
};
