import { readdir, readFile, stat } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { basename, dirname, extname, join, resolve } from 'node:path';
import { lastValueFrom, of } from 'rxjs';
import { openEngine } from '../engine/index.js';
import { decode } from '../stages/decode.js';
import { encode, type SeriesMemory } from '../stages/encode.js';
import { predict } from '../stages/predict.js';
import { intervalOf, loadForecasterSet } from '../uncertainty/forecaster-set.js';
import type { AttachConfig } from './config/config.js';
import { closeSinks, deliverTo, openSinks } from './delivery/delivery.js';
import { CodecError, codeOf, FrameError, messageOf, StartupError } from './errors.js';
import type { Forecast } from './forecast.js';
import { frameNumber } from './intake/frame-number.js';
import { describeShape, sameShape, type Frame } from './frame.js';
import { requireKnown } from './intake/gaps.js';
import { openPreparation, type Preparation } from './intake/preparation.js';
import { toChannels } from './intake/normalisation.js';
import { codecExtensions, codecForExtension } from './plugins/registry.js';
import { createSinks } from './delivery/sinks.js';

export type ForecastOnceOptions = Pick<
  AttachConfig,
  'forecaster' | 'out' | 'horizon' | 'context' | 'stride' | 'device' | 'threads' | 'range' | 'sinks'
> &
  Partial<
    Pick<
      AttachConfig,
      'ensemble' | 'interval' | 'frameInterval' | 'region' | 'downsample' | 'missingValue' | 'mask'
    >
  > & {
    /** A folder of frames, or the last frame to use. */
    readonly path: string;
    /** Hears what people should know, a line each. */
    readonly notice?: ((message: string) => void) | undefined;
  };

interface Numbered {
  readonly path: string;
  readonly index: number;
  /** Place among the files, missing numbers counted, from 0. */
  readonly position: number;
}

/** Places by number where the numbers count up evenly (a few may be missing), else by order. */
const placed = (files: readonly { readonly path: string; readonly index: number }[]): Numbered[] => {
  const first = files[0]?.index ?? 0;
  const steps = files.slice(1).map(({ index }, k) => index - (files[k]?.index ?? 0));
  const increment = Math.min(...steps);
  const even = files.every(({ index }) => Number.isInteger((index - first) / increment));
  return files.map((file, k) => ({ ...file, position: even ? (file.index - first) / increment : k }));
};

/** The last `count` frame files of a folder, or up to a file. */
const chooseFiles = async (path: string, count: number): Promise<Numbered[]> => {
  const found = await stat(path).catch((cause: unknown) => {
    throw new StartupError(
      codeOf(cause) === 'ENOENT' ? `there is no ${path}` : `cannot read ${path}: ${messageOf(cause)}`,
      { cause },
    );
  });
  const folder = found.isDirectory() ? path : dirname(path);
  const extensions = await codecExtensions();
  const files = (await readdir(folder))
    .filter((name) => !name.startsWith('.') && extensions.includes(extname(name).toLowerCase()))
    .flatMap((name) => {
      const index = frameNumber(name);
      return index === undefined ? [] : [{ name, index }];
    })
    .sort((a, b) => a.index - b.index);
  const last = found.isDirectory()
    ? files.length - 1
    : files.findIndex(({ name }) => name === basename(path));
  if (files.length > 0 && last < 0)
    throw new StartupError(`${path} is not a numbered PNG, TIFF or NPY file`, {
      hint: `one of the frames beside it, such as ${files[0]?.name ?? ''}`,
    });
  if (files.length === 0)
    throw new StartupError(`there are no frames in ${folder}`, {
      hint: 'frames are numbered files like frame_0001.png, .tif or .npy',
    });
  const chosen = files.slice(Math.max(0, last + 1 - count), last + 1);
  if (chosen.length < count)
    throw new StartupError(
      `a forecast stands on ${count} frames, but ${path} has only ${chosen.length} up to the last one`,
      { hint: 'wait for more, or give a smaller --context' },
    );
  const twice = chosen.findIndex(({ index }, k) => index === chosen[k - 1]?.index);
  if (twice > 0)
    throw new StartupError(
      `${chosen[twice - 1]?.name ?? ''} and ${chosen[twice]?.name ?? ''} both have number ${chosen[twice]?.index ?? ''}`,
      { hint: 'keep frames of one series in a folder of their own' },
    );
  return placed(chosen.map(({ name, index }) => ({ path: join(folder, name), index })));
};

const loadFrames = async (
  files: readonly Numbered[],
  series: string,
  channels: number,
  prepare: Preparation['apply'],
): Promise<Frame[]> => {
  const frames: Frame[] = [];
  for (const { path, index, position } of files) {
    const codec = await codecForExtension(extname(path));
    const bytes = await readFile(path);
    let field;
    try {
      field = toChannels(prepare(await codec.decode(bytes)), channels);
      requireKnown(field);
    } catch (cause) {
      throw new CodecError(`${path}: ${messageOf(cause)}`, { cause });
    }
    const first = frames[0];
    if (first !== undefined && !sameShape(first.shape, field.shape)) {
      throw new FrameError(
        `${path} is ${describeShape(field.shape)}, the frames before it are ${describeShape(first.shape)}`,
      );
    }
    const entry = { series, index, path, revision: { size: bytes.length, mtimeNs: '0' } };
    frames.push({
      ...field,
      series,
      index,
      position,
      contentHash: createHash('sha256').update(bytes).digest('hex'),
      source: entry,
    });
  }
  return frames;
};

/** What `encode` needs to know of a series that is all in memory. */
const memoryOf = (frames: readonly Frame[], notice: (message: string) => void): SeriesMemory => {
  let normalisation: ReturnType<SeriesMemory['normalisation']>;
  let origin = 0;
  return {
    normalisation: () => normalisation,
    fixNormalisation: (_series, fixed) => {
      normalisation = fixed;
    },
    origin: () => origin,
    setOrigin: (_series, position) => {
      origin = position;
    },
    recall: async (_series, from, to) => frames.filter(({ position }) => position >= from && position <= to),
    notice,
  };
};

/**
 * One forecast from the last `context` frames (times `stride`) of a folder, or from those up to a file, delivered to
 * the sinks. No truth is needed, and no state is kept.
 * @throws StartupError, ForecasterError, CodecError, FrameError, SinkError
 */
export const forecastOnce = async (options: ForecastOnceOptions): Promise<Forecast> => {
  const { context, stride, horizon, range } = options;
  const forecaster = await loadForecasterSet(options.forecaster, options);
  const path = resolve(options.path);
  const files = await chooseFiles(path, context * stride);
  const { apply, view } = await openPreparation(options);
  const name = basename(dirname((files[0] as Numbered).path));
  const frames = await loadFrames(files, name, forecaster.channels, apply);
  const { notice: log = () => undefined } = options;
  const abort = new AbortController();
  const sinks = await createSinks(options.sinks, resolve(options.out), log);
  const engine = await openEngine(options.device, options.threads, log);
  try {
    const runner = forecaster.run(engine);
    const { latentStride } = forecaster;
    const last = frames.at(-1) as Frame;
    const { forecast } = await lastValueFrom(
      of([{ item: last, newest: true }]).pipe(
        encode({
          runner,
          memory: memoryOf(frames, log),
          latentStride,
          context,
          stride,
          forecastEvery: 1,
          policy: 'every',
          range,
          usual: forecaster.range,
          stateBytes: Infinity,
        }),
        predict({ runner, horizon, latentStride }),
        decode({
          engine,
          horizon,
          stride,
          latentStride,
          forecaster: forecaster.id,
          members: forecaster.members,
          ...intervalOf(forecaster, options.interval),
          now: () => new Date(),
          view,
        }),
      ),
    );
    if (forecast === undefined)
      throw new FrameError(`too many frames are missing before ${last.source.path}`, {
        hint: 'a state cannot be carried over more than 3 missing frames',
      });
    await openSinks(sinks, abort.signal, log);
    try {
      for (const { sink } of sinks) await deliverTo(sink, { type: 'forecast', forecast }, abort.signal);
    } finally {
      await closeSinks(sinks, log);
    }
    await runner.dispose();
    return forecast;
  } finally {
    await engine.dispose();
  }
};
