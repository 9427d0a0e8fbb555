import type { ParameterValues } from './parameters.js';

/** Height, width and channels of one frame. */
export type FrameShape = readonly [height: number, width: number, channels: number];

/** A part of a frame, in pixels from its top left corner. */
export type Region = readonly [x: number, y: number, width: number, height: number];

/** What of the frames in the files a run looks at. */
export interface View {
  readonly region?: Region;
  /** Each pixel is the mean of so many in each direction. */
  readonly downsample?: number;
}

/** How the samples were stored in the file: what a codec needs to write a like file again. */
export type SampleType = 'uint8' | 'uint16' | 'float32';

/** A moment of the simulation or experiment, not of the clock on the wall. */
export interface PhysicalTime {
  readonly value: number;
  /** As the file or the user has it: "s". */
  readonly unit?: string;
}

/** The largest value that an integer image can hold; undefined for floats. */
export const FULL_SCALE: Readonly<Record<SampleType, number | undefined>> = {
  uint8: 255,
  uint16: 65535,
  float32: undefined,
};

/** An image as a codec reads and writes it: physical values, row-major [H, W, C]. */
export interface Field {
  readonly shape: FrameShape;
  /** H * W * C values as the file states them: 0..255 for 8-bit, 0..65535 for 16-bit, any for float, NaN where nothing is known. */
  readonly data: Float32Array;
  readonly sampleType: SampleType;
  /** When it was, where the file says so. */
  readonly time?: PhysicalTime;
}

/** What tells one state of a file from another. */
export interface Revision {
  readonly size: number;
  /** Modification time in nanoseconds since the epoch, as decimal text (it does not fit a double). */
  readonly mtimeNs: string;
}

/** One frame that a source knows of but nobody has read yet. Its key is (series, index). */
export interface Entry {
  readonly series: string;
  /**
   * The number in the file's name, of a decimal number without its point (12.50 is 1250); in a file of several frames its
   * place in the file, from 0.
   */
  readonly index: number;
  /** Absolute path of the file. */
  readonly path: string;
  /** Which frame of the file it is, from 0, where the file is a series of its own. */
  readonly item?: number;
  readonly revision: Revision;
}

/** One frame of a series, in the user's physical values. */
export interface Frame extends Field {
  readonly series: string;
  readonly index: number;
  /** Place in the series, counted from 0: leads count places, whatever the numbering's increment. */
  readonly position: number;
  /** SHA-256 of the file's bytes, hex: with path, size and mtime the frame's revision. */
  readonly contentHash: string;
  readonly source: Entry;
  /** What is known of the scalars of its run. */
  readonly parameters?: ParameterValues;
}

/** What tells one entry of a series from another: its file, and its place in it. */
export const entryKey = ({ path, item }: Pick<Entry, 'path' | 'item'>): string =>
  item === undefined ? path : `${path}#${item}`;

/** Entries by the series that they belong to, in the order in which they come. */
export const bySeries = (entries: readonly Entry[]): ReadonlyMap<string, readonly Entry[]> => {
  const groups = new Map<string, Entry[]>();
  for (const entry of entries) {
    const group = groups.get(entry.series);
    if (group === undefined) groups.set(entry.series, [entry]);
    else group.push(entry);
  }
  return groups;
};

/** Number of values in a frame of this shape. */
export const sizeOf = (shape: FrameShape): number => shape[0] * shape[1] * shape[2];

/** "64x48x1", as messages and compiled-program keys write it. */
export const describeShape = (shape: FrameShape): string => shape.join('x');

/** Two frames' shapes agree. */
export const sameShape = (a: FrameShape, b: FrameShape): boolean =>
  a[0] === b[0] && a[1] === b[1] && a[2] === b[2];

/** Two looks at a file found the same. */
export const sameRevision = (a: Revision, b: Revision): boolean =>
  a.size === b.size && a.mtimeNs === b.mtimeNs;
