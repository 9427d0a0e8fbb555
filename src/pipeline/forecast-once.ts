import { existsSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { lastValueFrom, of } from 'rxjs';
import { openEngine } from '../engine/index.js';
import { shippedFolder } from '../forecaster/folder.js';
import { decode } from '../stages/decode.js';
import { encode } from '../stages/encode.js';
import { predict } from '../stages/predict.js';
import {
  intervalOf,
  loadForecasterSet,
  noticeContext,
  parametersFor,
  rangesFor,
} from '../uncertainty/forecaster-set.js';
import type { AttachConfig } from './config/config.js';
import { filesOf, type FilesOptions } from './config/root-options.js';
import { closeSinks, deliverTo, openSinks } from './delivery/delivery.js';
import { codeOf, FrameError, messageOf, StartupError, UsageError } from './errors.js';
import type { Forecast } from './forecast.js';
import { describeShape, sameShape, type Frame } from './frame.js';
import { openCodecs, ownOutput, type Codecs } from './intake/input.js';
import { frameTimes, type FrameTimes } from './intake/frame-times.js';
import { runParameters } from './intake/run-parameters.js';
import { createSeriesClock } from './state/series-clock.js';
import type { SeriesMemory } from './state/series-memory.js';
import { holderOf } from './state/state-folder.js';
import { openPreparation, type PreparationOptions } from './intake/preparation.js';
import {
  listRecorded,
  noFramesIn,
  readRecorded,
  type Recorded,
  type RecordedOptions,
} from './intake/recorded.js';
import type { ParameterValues } from './parameters.js';
import type { CodecOptions } from './plugins/registry.js';
import { createSinks } from './delivery/sinks.js';

export type ForecastOnceOptions = Pick<
  AttachConfig,
  'forecaster' | 'out' | 'horizon' | 'context' | 'stride' | 'device' | 'threads' | 'range' | 'sinks'
> &
  Partial<Pick<AttachConfig, 'ensemble' | 'lagged' | 'interval' | 'frameInterval' | 'tile'>> &
  PreparationOptions &
  FilesOptions & {
    /** A folder of frames, the last frame to use, or a file of several frames. */
    readonly path: string;
    /** Scalars of the run, for a forecaster that is told some. */
    readonly parameters?: ParameterValues | undefined;
    readonly codecs?: CodecOptions | undefined;
    /** Hears what people should know, a line each. */
    readonly notice?: ((message: string) => void) | undefined;
  };

/** A single forecast has nothing to choose by. */
const DEFAULT_FORECASTER = shippedFolder('dendrite');

/** The series that a path means: the folder's own, or the only one below it; a file's, up to that file. */
const chosenSeries = async (
  path: string,
  codecs: Codecs,
  { out, notice = () => undefined, ...options }: ForecastOnceOptions,
): Promise<Recorded> => {
  const list = async (where: string, only: Partial<RecordedOptions> = {}): Promise<Recorded[]> =>
    listRecorded(where, {
      codecs,
      ...filesOf(options),
      ignore: [...(options.ignore ?? []), ...(await ownOutput(where, [resolve(out)]))],
      notice,
      ...only,
    });
  const found = await stat(path).catch((cause: unknown) => {
    throw new StartupError(
      codeOf(cause) === 'ENOENT' ? `there is no ${path}` : `cannot read ${path}: ${messageOf(cause)}`,
      { cause },
    );
  });
  if (found.isDirectory()) {
    const all = await list(path);
    const [only, ...others] = all;
    const own = all.find(({ name }) => name === basename(path)) ?? (others.length === 0 ? only : undefined);
    if (own !== undefined) return own;
    if (only === undefined) throw noFramesIn(path);
    throw new UsageError(`${path} holds ${all.length} series: ${all.map(({ name }) => name).join(', ')}`, {
      hint: 'name the folder or the file of one of them',
    });
  }
  const [alone] = await list(path, { include: undefined, ignore: undefined });
  if (alone === undefined)
    throw new StartupError(
      `${path} is not a numbered file of a format that is read, nor one of several frames`,
      {
        hint: 'formats are in docs/formats.md',
      },
    );
  if (alone.frames.some(({ item }) => item !== undefined)) return alone;
  const folder = (await list(dirname(path))).find(({ name }) => name === alone.name);
  const last = folder?.frames.findIndex((frame) => frame.path === path) ?? -1;
  if (folder === undefined || last < 0)
    throw new StartupError(`${path} is not among the frames of its folder`, {
      hint: 'see --include and --ignore',
    });
  return { ...folder, frames: folder.frames.slice(0, last + 1) };
};

/** The last frames of a series, at places from 0 on. */
const lastFrames = async (
  { name, frames }: Recorded,
  path: string,
  count: number,
  codecs: Codecs,
  timeOf: FrameTimes,
): Promise<Frame[]> => {
  const chosen = frames.slice(-count);
  if (chosen.length < count)
    throw new StartupError(
      `a forecast stands on ${count} frames, but ${path} has only ${chosen.length} up to the last one`,
      { hint: 'wait for more, or give a smaller --context' },
    );
  const origin = chosen[0]?.place ?? 0;
  const read: Frame[] = [];
  for (const { place, ...source } of chosen) {
    const { field: found, contentHash } = await readRecorded(source, codecs);
    const { time: _, ...field } = found;
    const time = await timeOf(source, place, found);
    const first = read[0];
    if (first !== undefined && !sameShape(first.shape, field.shape))
      throw new FrameError(
        `${source.path} is ${describeShape(field.shape)}, the frames before it are ${describeShape(first.shape)}`,
      );
    const position = place - origin;
    read.push({
      ...field,
      ...(time && { time }),
      series: name,
      index: source.index,
      position,
      contentHash,
      source,
    });
  }
  return read;
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

/** Sinks of two processes on one folder, each with a quota of its own, would remove each other's files. @throws StartupError */
const requireFree = (out: string): void => {
  const state = join(out, 'state');
  const holder = existsSync(state) ? holderOf(state) : undefined;
  if (holder === undefined) return;
  throw new StartupError(`${out} is the output folder of a run that goes on, process ${holder.pid}`, {
    hint: 'give another --out',
  });
};

/**
 * One forecast from the last `context` frames (times `stride`) of a folder, or from those up to a file, delivered to
 * the sinks. No truth is needed, and no state is kept.
 * @throws UsageError, PluginError, StartupError, ForecasterError, CodecError, FrameError, EngineError, and what a sink throws
 */
export const forecastOnce = async (options: ForecastOnceOptions): Promise<Forecast> => {
  const { context, stride, horizon } = options;
  requireFree(resolve(options.out));
  const forecaster = await loadForecasterSet(options.forecaster ?? DEFAULT_FORECASTER, options);
  const path = resolve(options.path);
  const { apply, view } = await openPreparation(options);
  const codecs = await openCodecs(forecaster.channels, options.codecs, apply);
  const series = await chosenSeries(path, codecs, options);
  const { notice: log = () => undefined } = options;
  noticeContext(forecaster, context, log);
  const parametersOf = runParameters({ ...parametersFor(forecaster, options.parameters), notice: log });
  const read = await lastFrames(series, path, context * stride, codecs, frameTimes(options.frameInterval));
  const parameters = await parametersOf((read.at(-1) as Frame).source);
  const frames = read.map((frame): Frame => ({ ...frame, parameters }));
  const abort = new AbortController();
  const sinks = await createSinks(options.sinks, resolve(options.out), log);
  const engine = await openEngine(options.device, options.threads, log);
  try {
    const runner = forecaster.run(engine, options.tile, log);
    const { latentStride } = forecaster;
    const last = frames.at(-1) as Frame;
    const clock = createSeriesClock({
      window: context,
      stride,
      history: () =>
        frames.slice(0, -1).flatMap(({ position, time }) => (time ? [{ position, time: time.value }] : [])),
      notice: log,
    });
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
          ...rangesFor(forecaster, options.range),
          stateBytes: Infinity,
        }),
        predict({ runner, horizon, latentStride }),
        decode({
          runner,
          horizon,
          stride,
          latentStride,
          forecaster: forecaster.id,
          ...intervalOf(forecaster, options.interval),
          now: () => new Date(),
          view,
          clock,
          notice: log,
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
