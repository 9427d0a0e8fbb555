import { sep } from 'node:path';
import { SinkError } from '../errors.js';

/**
 * A series' name as folders below the output folder, with forward slashes.
 * @throws SinkError for a name that would lead out of it or that is no folder name
 */
export const seriesFolder = (series: string): string => {
  const parts = series.split('/');
  // A colon is common in names made of times; a backslash separates folders on Windows alone.
  const unfit = (part: string): boolean =>
    part === '' ||
    part === '.' ||
    part === '..' ||
    part.includes('\0') ||
    (sep === '\\' && part.includes(sep));
  if (parts.some(unfit))
    throw new SinkError(`series ${JSON.stringify(series)} cannot be a folder name`, {
      retryable: false,
      hint: 'rename the folder that its frames are in',
    });
  return parts.join('/');
};

/**
 * Where the forecast issued at a frame lies below the output folder: a folder of images under this name, and stacks
 * and animations with `.npy` and `.webp` appended.
 */
export const forecastPath = (series: string, index: number): string =>
  `forecasts/${seriesFolder(series)}/${String(index).padStart(8, '0')}`;

/** What a forecast has for each lead: the expected frame, and what it knows of its error. */
export type LayerName = 'lead' | 'spread' | 'lower' | 'upper';

/** File name of one lead's image, without its ending. */
export const leadName = (lead: number, layer: LayerName = 'lead'): string =>
  `${layer}_${String(lead).padStart(4, '0')}`;
