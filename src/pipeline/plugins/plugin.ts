import type { Observable } from 'rxjs';
import type { z } from 'zod';
import type { Decoder, Encoder, Predictor } from '../../forecaster/network.js';
import type { Forecast, Score } from '../forecast.js';
import type { Entry, Field, FrameShape } from '../frame.js';
import type { ParameterValues } from '../parameters.js';

/** Bytes of a file at any offset, so that a validator need not read all of it. */
export interface ByteSource {
  readonly size: number;
  /** Absolute path, where the bytes are a file's: for libraries that open files themselves. */
  readonly path?: string;
  /** Exactly `length` bytes from `offset`; fewer only where the file ends. */
  read(offset: number, length: number): Promise<Buffer>;
}

/** A validator's verdict: `undefined` when the file is whole, else what is missing or wrong, in words. */
export type Incomplete = string | undefined;

/** What lies in a file that may hold several frames. */
export interface Stack {
  /** Whole frames, from the first on. */
  readonly count: number;
  /** What is torn, or still to be written, behind them; `undefined` when the file is whole. */
  readonly incomplete: Incomplete;
}

/** How a format that may hold several frames in one file hands them out, one by one. */
export interface StackCodec {
  /** Counts frames without decoding them. A file that grows has more at the next call. Never throws for bad bytes. */
  count(bytes: ByteSource): Promise<Stack>;
  /**
   * Frame `item`, from 0; reads little more than its own bytes.
   * @throws CodecError when it is not there, not whole, or not supported
   */
  decode(bytes: ByteSource, item: number, signal?: AbortSignal): Promise<Field>;
}

/** Reads and writes one file format. */
export interface Codec {
  /** Lower-case file name endings with the dot, or a slash and the whole name of files that have none. */
  readonly extensions: readonly string[];
  /** Cheap check of the structure: is the file whole? Never decodes pixels, never throws for bad bytes. */
  validate(bytes: ByteSource): Promise<Incomplete>;
  /** @throws CodecError when the bytes are not a whole, supported file of this format with one frame */
  decode(bytes: Buffer, signal?: AbortSignal): Promise<Field>;
  /**
   * Values outside what the sample type can hold are clamped, fractions rounded to nearest.
   * @throws CodecError when the format cannot hold the sample type or the channels (a PNG holds no floats), or is only read
   */
  encode(field: Field): Promise<Buffer>;
  /** Formats that hold more than an image: float32 values of any shape, row-major, such as [horizon, H, W, C]. */
  encodeStack?(shape: readonly number[], data: Float32Array): Promise<Buffer>;
  /** Formats that may hold several frames in one file: such a file is a series of its own. */
  readonly stack?: StackCodec;
}

/** Absolute paths of files that may have changed; undefined: anything may have. */
export type Hint = readonly string[] | undefined;

/** Where frames come from. A scan is the truth; hints only make looks happen sooner. */
export interface Source {
  /** @throws StartupError when what it attaches to does not exist */
  open(signal: AbortSignal): Promise<void>;
  /**
   * All frames that are there now, in no particular order, whole or not. Those that were dealt with, as `isDone` says of
   * them at the revision that they have, may be left out; a source need not look at each of these every time. Rejects
   * where nobody can say what is there: then nothing is lost.
   */
  scan(signal: AbortSignal, isDone?: (entry: Entry) => boolean): Promise<readonly Entry[]>;
  /** Frames that these files are, as a scan would find them now; undefined when only a scan can tell. */
  readonly look?: (paths: readonly string[], signal: AbortSignal) => Promise<readonly Entry[] | undefined>;
  /** A frame with this path is there, as a scan would find it now. */
  isThere(path: string): Promise<boolean>;
  /** The last scan could not look where this path is: that it did not find it says nothing. Default: it could. */
  readonly unseen?: (path: string) => boolean;
  /** Fires when something may have changed. May be lossy or silent. */
  readonly hints: Observable<Hint>;
  close(): Promise<void>;
}

/** Takes forecasts and scores somewhere. Each call resolves when the thing is delivered: only then is it acknowledged. */
export interface Sink {
  /** May be called again after `close`. */
  open(signal: AbortSignal): Promise<void>;
  /**
   * The signal aborts when the run ends at once, or the sink is to be replaced: nothing is delivered after. There is no other
   * limit to how long it may take. One that rejects is made again, as SinkError says.
   */
  forecast(forecast: Forecast, signal: AbortSignal): Promise<void>;
  /** Left out by a sink that takes no scores. */
  score?(score: Score, signal: AbortSignal): Promise<void>;
  /** Idempotent, and legal before `open`. */
  close(): Promise<void>;
}

/** A seeded simulation that makes frames one after the other. */
export interface Simulation {
  readonly shape: FrameShape;
  /** The range that written images map to their full scale. */
  readonly range: readonly [low: number, high: number];
  /** Scalars of this run by the names of its options, those drawn by seed included: what a network may be told. */
  readonly parameters?: ParameterValues;
  /** The next frame, physical values [H, W, C]; the first call gives the initial state. */
  next(): Float32Array;
}

/** What a sink is handed besides its options. */
export interface SinkContext {
  /** The output folder of the run, absolute. */
  readonly out: string;
  /** A codec by built-in name, file path or package. */
  readonly codec: (name: string) => Promise<Codec>;
  /** Reports something that people should know, once a line. */
  readonly log: (message: string) => void;
}

/** What a source is handed besides its options. */
export interface SourceContext {
  log(message: string): void;
  /** Lower-case file name endings that some codec reads. */
  readonly extensions: readonly string[];
  /** Those of formats that may hold several frames: such a file is a series even without a number in its name. */
  readonly stackExtensions?: readonly string[];
}

export interface PluginKinds {
  source: { context: SourceContext; instance: Source };
  codec: { context: undefined; instance: Codec };
  encoder: { context: undefined; instance: Encoder };
  predictor: { context: undefined; instance: Predictor };
  decoder: { context: undefined; instance: Decoder };
  sink: { context: SinkContext; instance: Sink };
  simulation: { context: undefined; instance: Simulation };
}
export type PluginKind = keyof PluginKinds;

/** Bumped when a contract in this file changes in a way that breaks plugins. */
export const PLUGIN_API = 1;

/** A plugin: a name, a schema for its options, and a factory from valid options to an object literal. */
export interface Plugin<K extends PluginKind = PluginKind, S extends z.ZodObject = z.ZodObject> {
  readonly api: typeof PLUGIN_API;
  readonly kind: K;
  /** lower_snake_case; sources, codecs, sinks and simulations are nouns. */
  readonly name: string;
  /** One line for `mesocast plugins`. */
  readonly summary: string;
  readonly options: S;
  create(options: z.output<S>, context: PluginKinds[K]['context']): PluginKinds[K]['instance'];
}

type Definition<K extends PluginKind, S extends z.ZodObject> = Omit<Plugin<K, S>, 'kind' | 'api'>;
const define =
  <K extends PluginKind>(kind: K) =>
  <S extends z.ZodObject>(definition: Definition<K, S>): Plugin<K, S> => ({
    api: PLUGIN_API,
    kind,
    ...definition,
  });

export const defineSource = define('source');
export const defineCodec = define('codec');
export const defineEncoder = define('encoder');
export const definePredictor = define('predictor');
export const defineDecoder = define('decoder');
export const defineSink = define('sink');
export const defineSimulation = define('simulation');
