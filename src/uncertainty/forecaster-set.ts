import { tiled } from '../forecaster/tiles.js';
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { access, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import type { Engine } from '../engine/types.js';
import { ENSEMBLE, loadForecaster, locateForecaster } from '../forecaster/folder.js';
import type { Forecaster } from '../forecaster/forecaster.js';
import type { Runner } from '../forecaster/programs.js';
import { writeAtomically } from '../pipeline/atomic.js';
import { codeOf, ForecasterError, messageOf, UsageError } from '../pipeline/errors.js';
import type { ForecasterId } from '../pipeline/forecast.js';
import { describeShape } from '../pipeline/frame.js';
import { requireRange, type GivenRange, type KnownRanges } from '../pipeline/intake/normalisation.js';
import { requireAsked, type ParameterValues } from '../pipeline/parameters.js';
import { explain } from '../pipeline/config/options.js';
import { calibrationSchema, FORMAT, LEVELS, type Calibration } from './calibration.js';
import { createEnsembleRunner } from './ensemble.js';
import { lagged } from './lagged.js';

const CALIBRATION = 'calibration.json';

/** ensemble.json: several forecasters under one name, in a folder of their own. */
const ensembleSchema = z.strictObject({
  format: z.literal(1).describe('version of this file'),
  name: z.string().regex(/^[\w.-]+$/, 'letters, digits, ".", "_" and "-" only'),
  forecasters: z
    .array(z.string())
    .min(1)
    .describe('forecaster folders, relative to this one (./a, ../b), or names of those that ship'),
});

/** A JSON file of a forecaster folder; undefined if it is not there. @throws ForecasterError */
const readJson = async <S extends z.ZodType>(
  folder: string,
  file: string,
  schema: S,
): Promise<z.output<S> | undefined> => {
  const damaged = (what: string, cause?: unknown): ForecasterError =>
    new ForecasterError(`forecaster folder ${folder}: ${file}: ${what}`, { cause });
  const text = await readFile(join(folder, file), 'utf8').catch((cause: unknown) => {
    if (codeOf(cause) === 'ENOENT') return undefined;
    throw damaged(messageOf(cause), cause);
  });
  if (text === undefined) return undefined;
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw damaged(`not JSON: ${messageOf(cause)}`, cause);
  }
  const parsed = schema.safeParse(json);
  if (!parsed.success) throw damaged(explain(parsed.error.issues, schema, json).join('; '));
  return parsed.data;
};

/** What a run asks of a forecaster's uncertainty. */
export interface UncertaintyOptions {
  /** Members; default: as many as it is calibrated for when there are to be intervals, else one for each forecaster. */
  readonly ensemble?: number | undefined;
  /** Whether the spread is the distance from the forecast a frame earlier; default: as it is calibrated, when there are to be intervals. */
  readonly lagged?: boolean | undefined;
  /** Level of the intervals; none without. */
  readonly interval?: number | undefined;
  /** Frames that a forecast stands on, at the least. */
  readonly context: number;
  readonly horizon: number;
  readonly stride: number;
}

/** One or several forecasters that make forecasts together. */
export interface ForecasterSet {
  /** Of everything that the forecast frames depend on. */
  readonly id: ForecasterId;
  readonly forecasters: readonly Forecaster[];
  /** Where it was loaded from; its calibration is in there. */
  readonly folder: string;
  /** Members of the ensemble, where frames have so many symmetries; the runner knows how many they are. */
  readonly members: number;
  /** Whether the spread is the distance from the forecast a frame earlier (lagged.ts), not the deviation of members. */
  readonly lagged: boolean;
  /** Set when there is one for this number of members, lagged or not, this stride and at least this horizon. */
  readonly calibration: Calibration | undefined;
  readonly channels: number;
  /** True when all of them were trained on periodic frames. */
  readonly periodic: boolean;
  /** Values that were 0 and 1 when all of them were trained, if that was declared; frames are tried on them in this order. */
  readonly usual: readonly GivenRange[];
  /** Channels, where each is normalised by a range of its own. */
  readonly ownRanges: number | undefined;
  /** Frame pixels per latent pixel: frames are enlarged to multiples of it. */
  readonly latentStride: number;
  /**
   * Frames with a side of more than `tile` pixels go through the network in overlapping tiles of that size. `notice` hears of
   * shapes that have fewer members than asked for.
   */
  run(engine: Engine, tile?: number, notice?: (message: string) => void): Runner;
}

/** Pixels that tiles lose at their edges; docs/performance.md has what that does to forecasts. */
const HALO = 64;

const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b));

/** Loads the forecasters that a folder names: itself, or those of its ensemble.json. */
const loadAll = async (where: string) => {
  const folder = await locateForecaster(where);
  const ensemble = await readJson(folder, ENSEMBLE, ensembleSchema);
  if (ensemble === undefined) {
    const forecaster = await loadForecaster(where);
    return { folder, name: forecaster.id.name, forecasters: [forecaster] };
  }
  const from = (path: string): string => (/^\.{0,2}[/\\]/.test(path) ? resolve(folder, path) : path);
  const forecasters: Forecaster[] = [];
  for (const path of ensemble.forecasters) forecasters.push(await loadForecaster(from(path)));
  const channels = new Set(forecasters.map(({ network }) => network.shape.channels));
  if (channels.size > 1)
    throw new ForecasterError(
      `forecaster folder ${folder}: its forecasters take ${[...channels].join(' and ')} channels`,
      { hint: 'those of one ensemble take the same frames' },
    );
  if (new Set(forecasters.map(({ settings }) => settings.channelRanges)).size > 1)
    throw new ForecasterError(
      `forecaster folder ${folder}: some of its forecasters have a range for each channel, others share one`,
      { hint: 'train them with the same --channel-ranges' },
    );
  return { folder, name: ensemble.name, forecasters };
};

/** Why a calibration cannot be used, or undefined. */
const unfit = (
  calibration: Calibration,
  hash: string,
  { context, horizon, stride, lagged: wanted }: UncertaintyOptions,
): string | undefined => {
  if (calibration.format !== FORMAT) return 'its calibration was made by an earlier mesocast';
  if (calibration.forecaster !== hash) return 'its calibration belongs to other weights, or another ensemble';
  if ((calibration.lagged ?? false) !== wanted)
    return `it is calibrated ${wanted === true ? 'without' : 'for'} the lagged spread`;
  if (calibration.stride !== stride) return `it is calibrated for a stride of ${calibration.stride}`;
  if (calibration.context > context) return `it is calibrated for a context of ${calibration.context} frames`;
  if (calibration.horizon < horizon) return `it is calibrated for ${calibration.horizon} leads`;
  return undefined;
};

/**
 * Loads a forecaster folder, an ensemble's folder, or a forecaster that ships, with its calibration.
 * @throws ForecasterError as `loadForecaster` does, and when intervals are asked for that it is not calibrated for;
 * UsageError for a level that calibrations do not have, and for an ensemble of what has no symmetries
 */
export const loadForecasterSet = async (
  where: string,
  options: UncertaintyOptions,
): Promise<ForecasterSet> => {
  const { interval } = options;
  if (interval !== undefined && !LEVELS.some((level) => level === interval))
    throw new UsageError(`interval is ${interval}`, { hint: `there are intervals of ${LEVELS.join(', ')}` });
  const { folder, name, forecasters } = await loadAll(where);
  const found = await readJson(folder, CALIBRATION, calibrationSchema);
  const members = Math.max(
    forecasters.length,
    options.ensemble ?? (interval === undefined ? 1 : (found?.members ?? 1)),
  );
  const isLagged = options.lagged ?? (interval !== undefined && (found?.lagged ?? false));
  const [first] = forecasters as [Forecaster];
  const periodic = forecasters.every(({ network }) => network.shape.boundary === 'periodic');
  const hasOneMember = forecasters.length === 1 && first.settings.symmetries === 'none' && !periodic;
  if (hasOneMember && members > 1 && !isLagged)
    throw new UsageError(
      `--ensemble ${members}: ${name} was trained with no symmetries, so it has one member`,
      {
        hint: '--lagged tells the spread from the forecast a frame earlier',
      },
    );
  const alone = members === 1 && forecasters.length === 1;
  const ranges = new Set(forecasters.map(({ settings }) => settings.range?.join()));
  const hashes = forecasters.map(({ id }) => id.hash);
  const hash = alone
    ? first.id.hash
    : createHash('sha256').update(JSON.stringify({ members, hashes })).digest('hex');
  const problem =
    found === undefined ? 'it is not calibrated' : unfit(found, hash, { ...options, lagged: isLagged });
  if (interval !== undefined && problem !== undefined)
    throw new ForecasterError(`forecaster ${where} has no intervals: ${problem}`, {
      hint: `mesocast calibrate ${where} FOLDERS${options.ensemble === undefined ? '' : ` --ensemble ${members}`}${isLagged ? ' --lagged' : ''}`,
    });
  const latentStride = forecasters
    .map(({ network }) => network.encoder.stride)
    .reduce((a, b) => (a * b) / gcd(a, b));
  return {
    id: { name, hash },
    forecasters,
    folder,
    members,
    lagged: isLagged,
    calibration: problem === undefined ? found : undefined,
    channels: first.network.shape.channels,
    periodic,
    usual: ranges.size === 1 && first.settings.range !== undefined ? [first.settings.range] : [],
    ownRanges: first.settings.channelRanges === 'each' ? first.settings.channels : undefined,
    latentStride,
    run: (engine, tile, notice = () => undefined) => {
      const ensemble = createEnsembleRunner(forecasters, engine, members, (shape, fewer) =>
        notice(
          `${describeShape(shape)} frames and their forecaster have no more symmetries: forecasts are of ${fewer} members, not ${members}${problem === undefined ? '; intervals are calibrated for those, and may cover more or less than they say' : ''}`,
        ),
      );
      const runner = isLagged ? lagged(ensemble) : ensemble;
      if (tile === undefined) return runner;
      return tiled(runner, { tile: tile - (tile % latentStride), halo: HALO, periodic, latentStride });
    },
  };
};

/** How its frames are normalised. @throws UsageError for a declared range that does not fit its channels */
export const rangesFor = (
  { channels, usual, ownRanges }: ForecasterSet,
  range: GivenRange | undefined,
): KnownRanges => {
  requireRange(range, channels, ownRanges);
  return { range, usual, ownRanges };
};

/** Scalars that the user says and those that it is told. @throws UsageError for one that is given and not told */
export const parametersFor = ({ forecasters }: ForecasterSet, given: ParameterValues = {}) => {
  const asked = forecasters.flatMap(({ settings }) => settings.parameters ?? []);
  // Without a forecaster it is not known yet who will want them.
  if (forecasters.length > 0)
    requireAsked(
      given,
      asked.map(({ name }) => name),
    );
  return { given, asked };
};

/** Tells of forecasts that are to stand on fewer frames than their maker learned to stand on. */
export const noticeContext = (
  { id, forecasters }: ForecasterSet,
  context: number,
  notice: (message: string) => void,
): void => {
  const learned = Math.max(0, ...forecasters.map(({ settings }) => settings.context));
  if (context < learned)
    notice(
      `${id.name} was trained to stand on ${learned} frames, and is given ${context}: --context ${learned} gives it as many`,
    );
};

/** The intervals that `decode` is to give forecasts, if a level was asked for. */
export const intervalOf = ({ calibration, periodic }: ForecasterSet, level: number | undefined) =>
  level === undefined || calibration === undefined ? {} : { interval: { level, calibration, periodic } };

const notWritten = (path: string, cause: unknown): ForecasterError =>
  new ForecasterError(`${path} cannot be written: ${messageOf(cause)}`, {
    cause,
    hint: 'copy the forecaster to a folder of your own, and calibrate that',
  });

/** @throws ForecasterError where no calibration.json could be written into the folder */
export const requireCalibratable = async (folder: string): Promise<void> => {
  await access(folder, constants.W_OK).catch((cause: unknown) => {
    throw notWritten(join(folder, CALIBRATION), cause);
  });
};

/** Writes calibration.json into the folder. @throws ForecasterError when it cannot be written */
export const saveCalibration = async (folder: string, calibration: Calibration): Promise<string> => {
  const path = join(folder, CALIBRATION);
  try {
    await writeAtomically(path, Buffer.from(`${JSON.stringify(calibration)}\n`));
  } catch (cause) {
    throw notWritten(path, cause);
  }
  return path;
};
