import { createHash } from 'node:crypto';
import { resolve } from 'node:path';
import { z } from 'zod';
import type { Named } from '../engine/types.js';
import { ForecasterError, MesocastError, messageOf } from '../pipeline/errors.js';
import type { ForecasterId } from '../pipeline/forecast.js';
import { normalNumbers, uniformNumbers } from '../pipeline/random.js';
import { parameterSchema } from '../pipeline/parameters.js';
import { createPlugin } from '../pipeline/plugins/registry.js';
import { networkParams, type Network } from './network-functions.js';
import { onnxDecoder, onnxEncoder, onnxPredictor } from './onnx-stages.js';
import { writeSafetensors, type Weight } from './safetensors.js';
import { SYMMETRIES } from './symmetries.js';

const stage = z.strictObject({ name: z.string(), options: z.record(z.string(), z.unknown()).default({}) });

/** forecaster.json: all that is needed to build the network that the weights belong to. */
export const settingsSchema = z.strictObject({
  format: z.literal(1).describe('version of this file'),
  name: z.string().regex(/^[\w.-]+$/, 'letters, digits, ".", "_" and "-" only'),
  encoder: stage,
  predictor: stage,
  decoder: stage,
  channels: z.number().int().positive().default(1),
  boundary: z.enum(['periodic', 'replicate', 'zero']).default('replicate'),
  feedback: z.enum(['frame', 'latent']).default('frame'),
  context: z.number().int().min(2).default(10).describe('frames that it was trained to stand on'),
  range: z
    .tuple([z.number(), z.number()], z.number())
    .optional()
    .describe(
      'values that were 0 and 1 in training, of all channels or of each; without it, each series has its own',
    ),
  channelRanges: z
    .literal('each')
    .optional()
    .describe('each channel is normalised by a range of its own; without it they share one'),
  parameters: z
    .array(parameterSchema)
    .min(1)
    .refine(
      (all) => new Set(all.map(({ name }) => name)).size === all.length,
      'each parameter has a name of its own',
    )
    .optional()
    .describe('scalars of a run that it is told, with the values that were 0 and 1 in training'),
  symmetries: z
    .enum(SYMMETRIES)
    .exclude(['all'])
    .optional()
    .describe('what its frames were flipped by in training; without it they were flipped and turned'),
  training: z.record(z.string(), z.unknown()).default({}).describe('how it was made; for people'),
});
export type Settings = z.output<typeof settingsSchema>;

/** A network with its weights. */
export interface Forecaster {
  readonly settings: Settings;
  readonly network: Network;
  readonly weights: Named<Weight>;
  readonly id: ForecasterId;
}

/** The file of a stage that is one: `"name": "encoder.onnx"`. */
const onnxFile = ({ name, options }: z.output<typeof stage>, folder: string): string | undefined => {
  if (!name.endsWith('.onnx')) return undefined;
  if (Object.keys(options).length > 0) throw new ForecasterError(`${name}: an .onnx file takes no options`);
  return resolve(folder, name);
};

/**
 * The network that settings describe; paths of .onnx files are relative to `folder`.
 * @throws PluginError for a stage that does not exist or is set wrongly, ForecasterError for stages that do not fit
 */
export const buildNetwork = async (settings: Settings, folder = process.cwd()): Promise<Network> => {
  const { channels, boundary, feedback, parameters = [] } = settings;
  const shape = { channels, boundary };
  const told = parameters.length;
  const seen = { channels: channels + told, told, boundary };
  const files = {
    encoder: onnxFile(settings.encoder, folder),
    predictor: onnxFile(settings.predictor, folder),
    decoder: onnxFile(settings.decoder, folder),
  };
  const plugin = <K extends 'encoder' | 'predictor' | 'decoder'>(kind: K) =>
    createPlugin(kind, settings[kind].name, settings[kind].options, undefined);
  try {
    const encoder = await (files.encoder === undefined
      ? plugin('encoder')
      : onnxEncoder(files.encoder, seen));
    const predictor = await (files.predictor === undefined
      ? plugin('predictor')
      : onnxPredictor(files.predictor, seen, encoder));
    const decoder = await (files.decoder === undefined
      ? plugin('decoder')
      : onnxDecoder(files.decoder, shape, encoder, predictor));
    const network = { encoder, predictor, decoder, shape, seen, feedback };
    networkParams(network); // stages that do not fit say so
    if (feedback === 'latent' && predictor.latentChannels !== encoder.latentChannels(seen))
      throw new ForecasterError(
        `its latents cannot be fed back: the predictor gives ${predictor.latentChannels} channels, and takes the ${encoder.latentChannels(seen)} of the encoder`,
      );
    return network;
  } catch (cause) {
    if (cause instanceof MesocastError) throw cause;
    throw new ForecasterError(messageOf(cause), { cause });
  }
};

/** Hashes of the stages that bring their own weights, which cannot be trained. */
export const sealedStages = ({ encoder, predictor, decoder }: Network): string[] =>
  [encoder, predictor, decoder].flatMap(({ sealed }) => sealed ?? []);

/** Fresh weights, the same for the same seed. */
export const initialWeights = (network: Network, seed: number): Record<string, Weight> => {
  const normal = normalNumbers(uniformNumbers(seed));
  return Object.fromEntries(
    Object.entries(networkParams(network)).map(([name, { shape, std, constant = 0 }]) => {
      const length = shape.reduce((a, b) => a * b, 1);
      return [
        name,
        { shape, data: Float32Array.from({ length }, () => constant + (std === 0 ? 0 : std * normal())) },
      ];
    }),
  );
};

/** What the hash covers: everything that a forecast depends on. */
const hashOf = (
  { training: _training, ...settings }: Settings,
  network: Network,
  weights: Named<Weight>,
): string =>
  createHash('sha256')
    .update(JSON.stringify(settings))
    .update(writeSafetensors(weights))
    .update(sealedStages(network).join())
    .digest('hex');

/**
 * Puts settings and weights together.
 * @throws ForecasterError for a missing, superfluous or misshapen weight, or one with NaN
 */
export const assemble = async (settings: Settings, weights: Named<Weight>): Promise<Forecaster> => {
  const network = await buildNetwork(settings).catch((cause: unknown) => {
    throw new ForecasterError(`forecaster "${settings.name}": ${messageOf(cause)}`, { cause });
  });
  return withWeights(settings, network, weights);
};

/** The same with a network that was built already. */
export const withWeights = (settings: Settings, network: Network, weights: Named<Weight>): Forecaster => {
  const specs = networkParams(network);
  for (const [name, { shape }] of Object.entries(specs)) {
    const weight = weights[name];
    if (weight === undefined)
      throw new ForecasterError(`forecaster "${settings.name}": weight "${name}" is missing`);
    if (weight.shape.join() !== shape.join()) {
      throw new ForecasterError(
        `forecaster "${settings.name}": weight "${name}" is [${weight.shape.join(', ')}], its settings want [${shape.join(', ')}]`,
      );
    }
    if (!weight.data.every(Number.isFinite))
      throw new ForecasterError(`forecaster "${settings.name}": weight "${name}" holds NaN or infinity`);
  }
  const extra = Object.keys(weights).find((name) => !(name in specs));
  if (extra !== undefined)
    throw new ForecasterError(`forecaster "${settings.name}": weight "${extra}" belongs to no stage`);
  return {
    settings,
    network,
    weights,
    id: { name: settings.name, hash: hashOf(settings, network, weights) },
  };
};
