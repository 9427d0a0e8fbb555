import { resolve } from 'node:path';
import type { FilesOptions } from '../pipeline/config/root-options.js';
import { requireApart } from '../pipeline/config/roots.js';
import { CodecError, UsageError } from '../pipeline/errors.js';
import {
  describeShape,
  sameShape,
  sizeOf,
  type Field,
  type FrameShape,
  type PhysicalTime,
  type Region,
} from '../pipeline/frame.js';
import { frameTimes, type FrameTimes } from '../pipeline/intake/frame-times.js';
import { hasGaps } from '../pipeline/intake/gaps.js';
import { openCodecs, realPathOf, type Codecs } from '../pipeline/intake/input.js';
import { runParameters, type RunParameters } from '../pipeline/intake/run-parameters.js';
import { openPreparation } from '../pipeline/intake/preparation.js';
import {
  fixNormalisation,
  normalise,
  toChannels,
  type KnownRanges,
} from '../pipeline/intake/normalisation.js';
import {
  listRecorded,
  noFramesIn,
  readRecorded,
  type Recorded,
  type RecordedFrame,
} from '../pipeline/intake/recorded.js';
import type { Asked, ParameterValues } from '../pipeline/parameters.js';
import type { CodecOptions } from '../pipeline/plugins/registry.js';
import { evenInterval } from '../pipeline/state/series-clock.js';
import { startSimulation } from '../simulation/start.js';
import { frameCache, type FrameCache } from './frame-cache.js';
import { inMemory, longestStretch, stretchesOf, type Series } from './series.js';

export interface SeriesOptions extends KnownRanges {
  /** Channels that the network takes; frames of colour become grey for 1. */
  readonly channels: number;
  /** Frames that fix the normalisation. */
  readonly context: number;
  /** Most bytes of frames to keep in memory. */
  readonly memoryBytes: number;
  /** When it aborts, no more is read or simulated. */
  readonly signal?: AbortSignal | undefined;
}

/** Series on disk: which, and how they are read. */
export interface DataOptions extends SeriesOptions, FilesOptions {
  /** Folders, with what lies below them, and files of several frames. */
  readonly data: readonly string[];
  readonly codecs?: CodecOptions | undefined;
  /** The part of the frames that counts, and how many pixels are averaged into one, as `attach` has it. */
  readonly region?: Region | undefined;
  readonly downsample?: number | undefined;
  /** Time from one frame to the next, as the user says it. */
  readonly frameInterval?: PhysicalTime | undefined;
  /** Scalars of all series, as the user says them. */
  readonly parameters?: ParameterValues | undefined;
  /** Scalars that have to be known of each series. */
  readonly asked?: readonly Asked[] | undefined;
  readonly notice: (message: string) => void;
}

const BYTES_PER_VALUE = 4;
const bytesOf = (series: readonly Series[]): number =>
  series.reduce(
    (sum, { shape, stretches }) =>
      sum + stretches.reduce((n, { from, to }) => n + to - from, 0) * sizeOf(shape) * BYTES_PER_VALUE,
    0,
  );

const shapeError = (path: string, field: Field, before: FrameShape): CodecError =>
  new CodecError(
    `${path} is ${describeShape(field.shape)}, the frames before it are ${describeShape(before)}`,
  );

/** A frame all of which is known. @throws CodecError naming the file */
const readWhole = async (entry: RecordedFrame, codecs: Codecs): Promise<Field> => {
  const { field } = await readRecorded(entry, codecs);
  if (hasGaps(field.data))
    throw new CodecError(`${entry.path} has values that are not known (NaN)`, {
      hint: 'give --region a part of the frames that is known, or leave such files out with --ignore',
    });
  return field;
};

/** When the frames of a series were, as they are read: the time from place to place, where it is even. */
const clock = (timeOf: FrameTimes) => {
  const times = new Map<number, PhysicalTime>();
  return {
    see: async (entry: RecordedFrame, field: Field): Promise<void> => {
      const time = await timeOf(entry, entry.place, field);
      if (time !== undefined) times.set(entry.place, time);
    },
    interval: (): PhysicalTime | undefined => {
      const ticks = [...times].map(([position, { value }]) => ({ position, time: value }));
      const value = evenInterval(ticks.sort((a, b) => a.position - b.position));
      const unit = [...times.values()][0]?.unit;
      return value === undefined ? undefined : { value, ...(unit !== undefined && { unit }) };
    },
  };
};

/** A series of which the first `context` frames are read, to know their range. */
const open = async (
  { name, frames }: Recorded,
  codecs: Codecs,
  cache: FrameCache,
  { context, ...ranges }: SeriesOptions,
  parametersOf: RunParameters,
  timeOf: FrameTimes,
  number: number,
): Promise<Series> => {
  const { see, interval } = clock(timeOf);
  const fields: Field[] = [];
  for (const entry of frames.slice(0, context)) {
    const field = await readWhole(entry, codecs);
    await see(entry, field);
    const [first = field] = fields;
    if (!sameShape(first.shape, field.shape)) throw shapeError(entry.path, field, first.shape);
    fields.push(field);
  }
  // No more of the first frame than its shape is kept.
  const [{ shape }] = fields as [Field];
  const normalisation = fixNormalisation(fields, ranges);
  const load = async (entry: RecordedFrame): Promise<Float32Array> => {
    const field = await readWhole(entry, codecs);
    if (!sameShape(shape, field.shape)) throw shapeError(entry.path, field, shape);
    await see(entry, field);
    return normalise(field.data, normalisation);
  };
  const parameters = await parametersOf(frames[0] as RecordedFrame);
  const byPlace = new Map(frames.map((entry) => [entry.place, entry]));
  return {
    name,
    shape,
    normalisation,
    parameters,
    interval,
    stretches: stretchesOf(frames.map(({ place }) => place)),
    frame: (place) => {
      const entry = byPlace.get(place);
      if (entry === undefined) throw new RangeError(`${name} has no frame at place ${place}`);
      return cache.frame(`${number}:${place}`, () => load(entry));
    },
  };
};

/** Reads everything once: what cannot be read is told before any time is spent, and nothing waits for the disk later. */
const readAll = async (series: readonly Series[], signal: AbortSignal | undefined): Promise<void> => {
  for (const one of series)
    for (const { from, to } of one.stretches)
      for (let place = from; place < to; place++) {
        signal?.throwIfAborted();
        await one.frame(place);
      }
};

/**
 * Series from folders of frames and files of several. Where all fit into `memoryBytes` they are read at once, else as
 * they are needed.
 * @throws StartupError for what does not exist or holds no frames, CodecError for a frame that cannot be read
 */
export const loadSeries = async (options: DataOptions): Promise<Series[]> => {
  const { data, channels, memoryBytes, notice } = options;
  const { apply } = await openPreparation(options);
  const codecs = await openCodecs(channels, options.codecs, apply);
  const cache = frameCache(memoryBytes);
  const parametersOf = runParameters({ given: options.parameters, asked: options.asked, notice });
  const timeOf = frameTimes(options.frameInterval);
  // What is learned from is not to be judged by as well.
  requireApart(await Promise.all(data.map((where) => realPathOf(resolve(where)))));
  const all: Series[] = [];
  for (const where of data) {
    const found = await listRecorded(where, { ...options, codecs });
    if (found.length === 0) throw noFramesIn(where);
    for (const recorded of found) {
      options.signal?.throwIfAborted();
      all.push(await open(recorded, codecs, cache, options, parametersOf, timeOf, all.length));
    }
  }
  const bytes = bytesOf(all);
  if (bytes <= memoryBytes) await readAll(all, options.signal);
  else
    notice(
      `${Math.ceil(bytes / 2 ** 20)} MiB of frames are read as they are needed: ${Math.floor(memoryBytes / 2 ** 20)} MiB of them stay in memory`,
    );
  return all;
};

/** How long the longest stretch is, and whether frames are missing around it: for messages. */
export const describeLongest = (all: readonly Series[]): string => {
  const longest = Math.max(0, ...all.map(longestStretch));
  const gaps = all.some(({ stretches }) => stretches.length > 1);
  return gaps ? `${longest} without a gap` : String(longest);
};

/**
 * Series from a simulation by name, one for each seed, all in memory.
 * @throws PluginError for an unknown simulation or option, UsageError for more frames than memory is to hold
 */
export const simulateSeries = async (
  name: string,
  simulation: Readonly<Record<string, unknown>>,
  seeds: readonly number[],
  frames: number,
  { channels, context, memoryBytes, signal, ...ranges }: SeriesOptions,
): Promise<Series[]> => {
  if (frames < 2) throw new UsageError('a series needs at least 2 frames');
  const all: Series[] = [];
  for (const seed of seeds) {
    signal?.throwIfAborted();
    const run = await startSimulation(name, { ...simulation, seed });
    const bytes = seeds.length * frames * sizeOf(run.shape) * BYTES_PER_VALUE;
    if (bytes > memoryBytes)
      throw new UsageError(
        `${seeds.length} simulated series of ${frames} frames take ${Math.ceil(bytes / 2 ** 20)} MiB, more than --memory-bytes allows`,
        {
          hint: 'write them with `mesocast simulate` and train on the folder: frames on disk are read as needed',
        },
      );
    const fields = Array.from({ length: frames }, () =>
      toChannels({ shape: run.shape, data: run.next(), sampleType: 'float32' }, channels),
    );
    const normalisation = fixNormalisation(fields.slice(0, context), ranges);
    all.push(
      inMemory(
        {
          name: `${name}-${seed}`,
          shape: (fields[0] as Field).shape,
          normalisation,
          parameters: run.parameters,
        },
        fields.map(({ data }) => normalise(data, normalisation)),
      ),
    );
    await new Promise((resume) => setImmediate(resume)); // long simulations must not keep signals waiting
  }
  return all;
};
