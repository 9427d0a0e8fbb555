import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { extname } from 'node:path';
import { codeOf, FrameError, messageOf, UsageError } from '../errors.js';
import type { Field, Region, View } from '../frame.js';
import { codecForExtension } from '../plugins/registry.js';

/** What is done to every frame when it is read, before anything else sees it. */
export interface PreparationOptions {
  /** The part of the frame that counts. */
  readonly region?: Region | undefined;
  /** Each pixel is the mean of so many in each direction. */
  readonly downsample?: number | undefined;
  /** The value that stands where nothing is known. */
  readonly missingValue?: number | undefined;
  /** An image of the size of the frames: nothing is known where it is 0. */
  readonly mask?: string | undefined;
}

/** @throws UsageError when it cannot be read */
const readMask = async (path: string): Promise<{ readonly field: Field; readonly hash: string }> => {
  try {
    const codec = await codecForExtension(extname(path));
    const bytes = await readFile(path);
    return { field: await codec.decode(bytes), hash: createHash('sha256').update(bytes).digest('hex') };
  } catch (cause) {
    throw new UsageError(
      `--mask ${path}: ${codeOf(cause) === 'ENOENT' ? 'there is no such file' : messageOf(cause)}`,
      {
        cause,
        hint: 'an image of the size of the frames, 0 where nothing is known',
      },
    );
  }
};

const withGaps = (field: Field, missing: number | undefined, mask: Field | undefined): Field => {
  const [height, width, channels] = field.shape;
  if (missing === undefined && mask === undefined) return field;
  if (mask !== undefined && (mask.shape[0] !== height || mask.shape[1] !== width))
    throw new FrameError(
      `it is ${height}x${width}, the mask ${mask.shape[0]}x${mask.shape[1]} (height x width)`,
    );
  // As the file has it, which may be a float32.
  const [exact, rounded] = [missing, missing === undefined ? undefined : Math.fround(missing)];
  const data = field.data.map((value, i) => {
    const pixel = Math.floor(i / channels);
    const masked = mask !== undefined && mask.data[pixel * mask.shape[2]] === 0;
    return masked || value === exact || value === rounded ? NaN : value;
  });
  return { ...field, data, sampleType: 'float32' }; // whole numbers have no gaps, and all frames of a series are alike
};

/** The mean over the known values of each block; rows and columns that fill no block are left out. */
const reduced = (field: Field, [left, top, width, height]: Region, factor: number): Field => {
  const [, whole, channels] = field.shape;
  const [h, w] = [Math.floor(height / factor), Math.floor(width / factor)];
  const data = new Float32Array(h * w * channels);
  for (let row = 0; row < h; row++)
    for (let column = 0; column < w; column++)
      for (let c = 0; c < channels; c++) {
        let [sum, count] = [0, 0];
        for (let y = top + row * factor; y < top + (row + 1) * factor; y++)
          for (let x = left + column * factor; x < left + (column + 1) * factor; x++) {
            const value = field.data[(y * whole + x) * channels + c]!;
            if (Number.isNaN(value)) continue;
            sum += value;
            count++;
          }
        data[(row * w + column) * channels + c] = count === 0 ? NaN : sum / count;
      }
  return { ...field, shape: [h, w, channels], data };
};

/** Frames as the run sees them: gaps marked, cut to the region, averaged down. */
export interface Preparation {
  /** @throws FrameError when the region or the mask does not fit the frame */
  readonly apply: (field: Field) => Field;
  /** What forecasts say of it; undefined where frames are seen whole. */
  readonly view: View | undefined;
  /** Everything that changes values, as text: a state stands for one of these. */
  readonly description: string;
}

/** @throws UsageError for a mask that cannot be read */
export const openPreparation = async ({
  region,
  downsample = 1,
  missingValue,
  mask: maskPath,
}: PreparationOptions = {}): Promise<Preparation> => {
  const mask = maskPath === undefined ? undefined : await readMask(maskPath);
  const view = {
    ...(region !== undefined && { region }),
    ...(downsample > 1 && { downsample }),
  };
  const said = [
    ...(region === undefined ? [] : [`region ${region.join()}`]),
    ...(downsample === 1 ? [] : [`downsample ${downsample}`]),
    ...(missingValue === undefined ? [] : [`missing value ${missingValue}`]),
    ...(mask === undefined ? [] : [`mask with SHA-256 ${mask.hash.slice(0, 16)}`]),
  ];
  return {
    view: region === undefined && downsample === 1 ? undefined : view,
    description: said.join(', ') || 'whole frames',
    apply: (given) => {
      const field = withGaps(given, missingValue, mask?.field);
      const [height, width] = field.shape;
      if (region === undefined && downsample === 1) return field;
      const [x, y, w, h] = region ?? [0, 0, width, height];
      if (x + w > width || y + h > height)
        throw new FrameError(
          `the region ${[x, y, w, h].join()} leaves the frame of ${width} x ${height} pixels`,
          {
            hint: 'a region is x,y,width,height, from the top left corner',
          },
        );
      if (downsample > Math.min(w, h))
        throw new FrameError(`${w} x ${h} pixels cannot be averaged by ${downsample}`);
      return reduced(field, [x, y, w, h], downsample);
    },
  };
};
