import { resolve } from 'node:path';
import { z } from 'zod';
import { settingsSchema, type Settings } from '../forecaster/forecaster.js';
import { SYMMETRIES } from '../forecaster/symmetries.js';
import { attachSchema, rangeSchema } from '../pipeline/config/config.js';
import { filesShape } from '../pipeline/config/root-options.js';
import type { Parameter } from '../pipeline/parameters.js';
import { isPath } from '../pipeline/plugins/registry.js';

/** What remains of a part of a frame without its margins is a picture yet: see clips.ts. */
const SMALLEST_CROP = 64;

const count = z.number().int().positive();
const { codecs, region, downsample } = attachSchema.shape;

/** A scalar that the network is to be told, with its range if that is not to be measured. */
const toldSchema = z.strictObject({
  name: z.string().min(1),
  low: z.number().optional(),
  high: z.number().optional(),
});

/** What `mesocast train` can be told, with its defaults. */
export const trainSchema = z.strictObject({
  data: z
    .array(z.string())
    .default([])
    .describe(
      'folders of frames, or files of several; each folder with frames, at any depth, is a series, and each such file',
    ),
  ...filesShape,
  codecs,
  region,
  downsample,
  memoryBytes: count
    .default(2 * 2 ** 30)
    .describe('most bytes of frames to keep in memory; what does not fit is read as it is needed'),
  simulation: z.string().optional().describe('train on this simulation instead of folders'),
  simulationOptions: z.record(z.string(), z.unknown()).default({}).describe('options of the simulation'),
  series: count.default(64).describe('series to simulate'),
  frames: count.default(70).describe('frames of each simulated series'),
  firstSeed: z
    .number()
    .int()
    .nonnegative()
    .default(1000)
    .describe('seed of the first simulated series; the others follow'),
  validation: count.default(4).describe('series kept apart to judge by; the last ones'),
  out: z.string().describe('folder of the forecaster'),
  name: settingsSchema.shape.name.default('forecaster').describe('what the forecaster is called'),
  encoder: z.string().default('conv').describe('encoder plugin'),
  predictor: z.string().default('conv_lstm').describe('predictor plugin'),
  decoder: z.string().default('conv').describe('decoder plugin'),
  encoderOptions: z.record(z.string(), z.unknown()).default({}),
  predictorOptions: z.record(z.string(), z.unknown()).default({}),
  decoderOptions: z.record(z.string(), z.unknown()).default({}),
  channels: count.default(1).describe('channels of a frame: 1 for grey, 3 for colour'),
  boundary: z
    .enum(['periodic', 'replicate', 'zero'])
    .default('replicate')
    .describe('what lies beyond the edge of a frame'),
  symmetries: z
    .enum(SYMMETRIES)
    .optional()
    .describe(
      'what frames are flipped and turned by while it learns: what the physics does not change under; default: all, or those of --from',
    ),
  channelRanges: z
    .enum(['each', 'shared'])
    .default('each')
    .describe('whether each of several channels is normalised by a range of its own, or all by one'),
  range: rangeSchema
    .optional()
    .describe(
      'values that normalise to 0 and 1, or such a pair for each channel, also when it forecasts; default: measured for each series',
    ),
  parameters: z
    .array(toldSchema)
    .default([])
    .describe(
      'scalars of a run that the network is told; each series has a parameters.json with their values',
    ),
  context: z.number().int().min(2).default(10).describe('frames a forecast stands on'),
  stride: count.default(1).describe('frames per step of the network: it learns from every n-th frame'),
  leads: count.default(20).describe('leads that the last part of training rolls out to'),
  rollIn: z
    .number()
    .int()
    .nonnegative()
    .default(0)
    .describe(
      'leads that it forecasts in half of the steps, so many or half as many, before those that it learns from, which are compared over blocks of pixels then',
    ),
  horizon: count.default(50).describe('leads that validation looks at'),
  iterations: count.default(2000).describe('training steps'),
  batch: count.default(4).describe('clips per step'),
  crop: count
    .min(SMALLEST_CROP)
    .default(256)
    .describe('most pixels a side of what a step learns from: of larger frames a part, another each time'),
  rate: z
    .number()
    .positive()
    .default(1e-3)
    .describe('highest learning rate; it rises over the first 5 % and falls as a cosine'),
  noise: z
    .number()
    .nonnegative()
    .default(0)
    .describe('standard deviation of noise on the frames that are given, where a frame has values 0 to 1'),
  sampling: z
    .enum(['free', 'scheduled', 'reverse'])
    .default('free')
    .describe(
      'what the network sees next: its own forecasts after the context; scheduled: the truth, less and less often; reverse: in the context too its own forecasts, less and less often',
    ),
  patience: count
    .optional()
    .describe(
      'stop when so many validations in a row gave no better skill at the later leads; the best is kept',
    ),
  from: z
    .string()
    .optional()
    .describe(
      'forecaster to go on from, by name or folder: it brings its stages, context and boundary; options of its stages that leave its weights their shapes can be given anew',
    ),
  seed: z.number().int().default(1).describe('of the first weights and of the clips'),
  validateEvery: count.default(200).describe('steps between validations and checkpoints'),
  fresh: z.boolean().default(false).describe('begin anew even if OUT has a checkpoint'),
  device: z
    .string()
    .default('auto')
    .describe(
      'auto, cpu, cuda, webgpu, tensorflow, ... (see `mesocast doctor`), or several in order of preference: webgpu,cpu',
    ),
  threads: count.optional().describe('CPU threads for the engine; default: all cores'),
});
export type TrainOptions = z.output<typeof trainSchema>;

export type TrainEvent =
  | { readonly type: 'notice'; readonly message: string }
  | {
      readonly type: 'step';
      readonly iteration: number;
      readonly iterations: number;
      readonly leads: number;
      readonly loss: number;
      readonly stepsPerSecond: number;
      readonly secondsLeft: number;
    }
  | {
      readonly type: 'validation';
      readonly iteration: number;
      readonly skill: readonly number[];
      readonly meanSkill: number;
    };

export interface TrainResult {
  readonly out: string;
  readonly iterations: number;
  readonly seconds: number;
  /** Last validation: skill per lead, and its mean. */
  readonly skill: readonly number[];
  readonly meanSkill: number;
  /** True when the signal stopped it before the last step; the checkpoint has what was done. */
  readonly interrupted: boolean;
  /** Frames that it learned to stand on, each so many frames of the series from the one before. */
  readonly context: number;
  readonly stride: number;
}

/** What a forecaster that is gone on from brings: not to be given beside it. */
export const FROM_BRINGS = [
  'encoder',
  'predictor',
  'decoder',
  'channels',
  'channelRanges',
  'boundary',
  'context',
  'parameters',
] as const satisfies readonly (keyof TrainOptions)[];

/** Settings of the forecaster that is gone on from, with the options of its stages that are given beside it. */
export const refined = (
  settings: Settings,
  { encoderOptions, predictorOptions, decoderOptions }: TrainOptions,
): Settings => {
  const { encoder, predictor, decoder } = settings;
  return {
    ...settings,
    encoder: { ...encoder, options: { ...encoder.options, ...encoderOptions } },
    predictor: { ...predictor, options: { ...predictor.options, ...predictorOptions } },
    decoder: { ...decoder, options: { ...decoder.options, ...decoderOptions } },
  };
};

/** Parsed options as they can be parsed again. */
const again = ({ region, ...rest }: Readonly<Record<string, unknown>>): Record<string, unknown> => ({
  ...rest,
  ...(Array.isArray(region) && { region: region.join(',') }),
});

/** The options with what `base`, the forecaster that is gone on from, brings; in the schema's order, which identities have. */
export const withBase = (
  options: TrainOptions,
  {
    encoder,
    predictor,
    decoder,
    channels,
    channelRanges,
    boundary,
    context,
    range,
    symmetries,
    parameters = [],
  }: Settings,
): TrainOptions =>
  trainSchema.parse({
    ...again(options),
    encoder: encoder.name,
    encoderOptions: encoder.options,
    predictor: predictor.name,
    predictorOptions: predictor.options,
    decoder: decoder.name,
    decoderOptions: decoder.options,
    channels,
    channelRanges: channelRanges ?? 'shared',
    boundary,
    context,
    parameters,
    range: options.range ?? range,
    symmetries: options.symmetries ?? symmetries,
  });

/** The scalars that the network is told, with their ranges; 0 to 1 for those that are still to be measured. */
export const rangedParameters = ({ parameters }: Pick<TrainOptions, 'parameters'>): Parameter[] =>
  parameters.map(({ name, low = 0, high = 1 }) => ({ name, low, high }));

/** Channels, where each is normalised by a range of its own. */
export const ownRanges = ({ channels, channelRanges }: TrainOptions): number | undefined =>
  channels > 1 && channelRanges === 'each' ? channels : undefined;

/** Stages that are files by their whole path, so that the forecaster works from every folder. */
export const anchored = (options: TrainOptions): TrainOptions => {
  const whole = (name: string): string => (isPath(name) && !name.startsWith('file:') ? resolve(name) : name);
  const { encoder, predictor, decoder } = options;
  return { ...options, encoder: whole(encoder), predictor: whole(predictor), decoder: whole(decoder) };
};

/** forecaster.json of what these options make. `training` is for people. */
export const settingsOf = (options: TrainOptions, training: Record<string, unknown>): Settings =>
  settingsSchema.parse({
    format: 1,
    name: options.name,
    encoder: { name: options.encoder, options: options.encoderOptions },
    predictor: { name: options.predictor, options: options.predictorOptions },
    decoder: { name: options.decoder, options: options.decoderOptions },
    channels: options.channels,
    boundary: options.boundary,
    context: options.context,
    ...(ownRanges(options) !== undefined && { channelRanges: 'each' }),
    ...(options.range !== undefined && { range: options.range }),
    ...(options.parameters.length > 0 && { parameters: rangedParameters(options) }),
    ...(options.symmetries !== undefined &&
      options.symmetries !== 'all' && { symmetries: options.symmetries }),
    training,
  });

/** What must be the same for a checkpoint to be gone on from: everything that decides the steps. */
export const identityOf = ({
  out: _o,
  fresh: _f,
  device: _d,
  threads: _t,
  validateEvery: _v,
  horizon: _h,
  memoryBytes: _m,
  ...rest
}: TrainOptions): string =>
  // All of them is what none given means, once what is gone on from has been asked.
  JSON.stringify({ ...rest, symmetries: rest.symmetries === 'all' ? undefined : rest.symmetries });

/** Settings of a checkpoint as this version writes them: options that it did not know have their defaults. */
export const identityAgain = (settings: string): string => {
  const before = JSON.parse(settings) as Record<string, unknown>;
  const shared = before['channels'] !== 1 && { channelRanges: 'shared' }; // as it was before there was a choice
  const known = trainSchema.safeParse({ ...shared, ...again(before), out: '' });
  return known.success ? identityOf(known.data) : settings;
};
