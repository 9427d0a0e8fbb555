import { readdir, readFile } from 'node:fs/promises';
import { basename, extname, join, relative, resolve } from 'node:path';
import { CodecError, messageOf, StartupError, UsageError } from '../pipeline/errors.js';
import type { Normalisation } from '../pipeline/forecast.js';
import { describeShape, sameShape, type Field, type FrameShape } from '../pipeline/frame.js';
import { frameNumber } from '../pipeline/intake/frame-number.js';
import {
  fixNormalisation,
  normalise,
  toChannels,
  type KnownRanges,
} from '../pipeline/intake/normalisation.js';
import { codecExtensions, codecForExtension, createPlugin } from '../pipeline/plugins/registry.js';

/** A whole sequence in memory, normalised. */
export interface Series {
  readonly name: string;
  readonly shape: FrameShape;
  /** [H, W, C] each, values about 0..1. */
  readonly frames: readonly Float32Array[];
  readonly normalisation: Normalisation;
}

export interface SeriesOptions extends KnownRanges {
  /** Channels that the network takes; frames of colour become grey for 1. */
  readonly channels: number;
  /** Frames that fix the normalisation. */
  readonly context: number;
}

/** Every `stride`-th frame, from each of the places to begin: as many series. */
export const strided = (series: Series, stride: number): Series[] =>
  stride === 1
    ? [series]
    : Array.from({ length: stride }, (_, phase) => ({
        ...series,
        frames: series.frames.filter((_frame, k) => k % stride === phase),
      }));

const fromFields = (
  name: string,
  fields: readonly Field[],
  { channels, context, ...ranges }: SeriesOptions,
): Series => {
  const same = fields.map((field) => toChannels(field, channels));
  const [first] = same as [Field];
  const normalisation = fixNormalisation(
    same.slice(0, context).map((f) => f.data),
    ranges,
  );
  return {
    name,
    shape: first.shape,
    normalisation,
    frames: same.map((field) => normalise(field.data, normalisation)),
  };
};

/** Frame files of one folder in order of their numbers. */
const frameFiles = async (folder: string): Promise<string[]> => {
  const names = (await readdir(folder, { withFileTypes: true })).filter(
    (entry) => entry.isFile() && !entry.name.startsWith('.'),
  );
  const extensions = await codecExtensions();
  const known: { name: string; index: number }[] = [];
  for (const { name } of names) {
    const index = frameNumber(name);
    if (index !== undefined && extensions.includes(extname(name).toLowerCase())) known.push({ name, index });
  }
  known.sort((a, b) => a.index - b.index);
  const twice = known.findIndex(({ index }, k) => index === known[k - 1]?.index);
  if (twice > 0)
    throw new StartupError(
      `${join(folder, known[twice - 1]?.name ?? '')} and ${known[twice]?.name ?? ''} both have number ${known[twice]?.index ?? ''}`,
      { hint: 'keep frames of one series in a folder of their own' },
    );
  return known.map(({ name }) => join(folder, name));
};

/** The folder and all folders below it that hold frames, by name: which series are kept apart must not depend on the disk. */
const frameFolders = async (root: string): Promise<{ folder: string; files: string[] }[]> => {
  const below = (await readdir(root, { withFileTypes: true })).filter(
    (entry) => entry.isDirectory() && !entry.name.startsWith('.'),
  );
  below.sort((a, b) => (a.name < b.name ? -1 : 1));
  const files = await frameFiles(root);
  const deeper = await Promise.all(below.map((entry) => frameFolders(join(root, entry.name))));
  return [...(files.length === 0 ? [] : [{ folder: root, files }]), ...deeper.flat()];
};

const readFields = async (files: readonly string[], channels: number): Promise<Field[]> => {
  const fields: Field[] = [];
  for (const file of files) {
    const codec = await codecForExtension(extname(file).toLowerCase());
    let field: Field;
    try {
      field = toChannels(await codec.decode(await readFile(file)), channels);
    } catch (cause) {
      throw new CodecError(`${file}: ${messageOf(cause)}`, { cause, hint: 'remove it, or write it again' });
    }
    const first = fields[0];
    if (first !== undefined && !sameShape(first.shape, field.shape)) {
      throw new CodecError(
        `${file} is ${describeShape(field.shape)}, the frames before it are ${describeShape(first.shape)}`,
      );
    }
    if (!field.data.every(Number.isFinite)) throw new CodecError(`${file} holds NaN or infinite values`);
    fields.push(field);
  }
  return fields;
};

/**
 * Series from folders of frames: each folder with frames, at any depth, is one.
 * @throws StartupError for a folder that does not exist or holds no frames, CodecError for a frame that cannot be read
 */
export const loadSeries = async (roots: readonly string[], options: SeriesOptions): Promise<Series[]> => {
  const all: Series[] = [];
  for (const root of roots) {
    const found = await frameFolders(root).catch((cause: unknown) => {
      if (cause instanceof StartupError) throw cause;
      throw new StartupError(`${root} cannot be read: ${messageOf(cause)}`, { cause });
    });
    if (found.length === 0)
      throw new StartupError(`there are no frames in ${root} or below it`, {
        hint: 'frames are files like frame_0001.png, .tif or .npy',
      });
    for (const { folder, files } of found) {
      const name = join(basename(resolve(root)), relative(root, folder));
      all.push(fromFields(name, await readFields(files, options.channels), options));
    }
  }
  return all;
};

/**
 * Series from a simulation by name, one for each seed.
 * @throws PluginError for an unknown simulation or option
 */
export const simulateSeries = async (
  name: string,
  simulation: Readonly<Record<string, unknown>>,
  seeds: readonly number[],
  frames: number,
  options: SeriesOptions,
  progress: (done: number) => void = () => undefined,
): Promise<Series[]> => {
  if (frames < 2) throw new UsageError('a series needs at least 2 frames');
  const all: Series[] = [];
  for (const seed of seeds) {
    const run = await createPlugin('simulation', name, { ...simulation, seed }, undefined);
    const fields = Array.from({ length: frames }, (): Field => ({
      shape: run.shape,
      data: run.next(),
      sampleType: 'float32',
    }));
    all.push(fromFields(`${name}-${seed}`, fields, options));
    progress(all.length);
    await new Promise((resume) => setImmediate(resume)); // long simulations must not keep signals waiting
  }
  return all;
};
