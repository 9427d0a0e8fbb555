import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { ForecasterError, MesocastError, messageOf, UsageError } from '../pipeline/errors.js';
import { SYMMETRIES } from '../forecaster/symmetries.js';
import { rangeSchema } from '../pipeline/config/config.js';
import { explain, optionsOf } from '../pipeline/config/options.js';
import { requireRange } from '../pipeline/intake/normalisation.js';
import type { Args, Command } from './command.js';
import { declareOptions, given, parseFlags } from './command.js';
import { partOptions } from './part-options.js';

const loadSchema = async () => {
  const { settingsSchema } = await import('../forecaster/forecaster.js');
  const { name, channels, boundary, feedback, context } = settingsSchema.shape;
  const stage = z.string();
  const options = z.record(z.string(), z.unknown()).default({});
  return z.strictObject({
    weights: z.string(),
    out: z.string().describe('folder of the forecaster'),
    map: z
      .string()
      .optional()
      .describe('JSON or YAML file that says where weights with other names come from'),
    name: name.default('forecaster').describe('what the forecaster is called'),
    encoder: stage.default('conv').describe('encoder plugin'),
    predictor: stage.default('conv_lstm').describe('predictor plugin'),
    decoder: stage.default('conv').describe('decoder plugin'),
    ...{ encoderOptions: options, predictorOptions: options, decoderOptions: options },
    channels: channels.describe('channels of a frame: 1 for grey, 3 for colour'),
    boundary: boundary.describe('what lies beyond the edge of a frame'),
    feedback: feedback.describe('what a roll-out feeds itself: frames, encoded again, or latents'),
    context,
    range: rangeSchema
      .optional()
      .describe(
        'values that were 0 and 1 in training, or such a pair for each channel; default: each series has its own',
      ),
    channelRanges: z
      .enum(['each', 'shared'])
      .default('shared')
      .describe('whether each of several channels was normalised by a range of its own, or all by one'),
    symmetries: z
      .enum(SYMMETRIES)
      .default('all')
      .describe('what frames were flipped and turned by in training, or could have been; its ensembles are'),
  });
};

const readMap = async (path: string | undefined) => {
  const { weightMapSchema } = await import('../forecaster/weight-map.js');
  if (path === undefined) return { ignore: [], weights: {} };
  let json: unknown;
  try {
    json = parse(await readFile(path, 'utf8'));
  } catch (cause) {
    throw new UsageError(`--map ${path} cannot be read: ${messageOf(cause)}`, { cause });
  }
  const map = weightMapSchema.safeParse(json);
  if (!map.success)
    throw new UsageError(`--map ${path}: ${explain(map.error.issues, weightMapSchema, json).join('; ')}`);
  const { ignore, ...weights } = map.data;
  return { ignore, weights };
};

/** `--set` of the stages; it reads no frames. @throws UsageError for an option of a codec */
const onlyParts = (args: Args): Record<string, Record<string, unknown>> => {
  const { options, codecs } = partOptions(args, ['encoder', 'predictor', 'decoder']);
  const [codec] = Object.keys(codecs);
  if (codec !== undefined)
    throw new UsageError(`--set ${codec}: import reads no frames`, {
      hint: 'it sets options of the encoder, the predictor and the decoder',
    });
  return options;
};

export const importCommand: Command = {
  usage: 'import <weights>',
  summary: 'Make a forecaster of a safetensors file that PyTorch or another program wrote',
  examples: [
    [
      'mesocast import model.safetensors --map map.json --out my-forecaster --set predictor.hidden=32',
      'weights under the names that map.json gives; docs/onnx.md shows one',
    ],
    [
      'mesocast import model.safetensors --out my-forecaster',
      'without a map: lists what the names and shapes have to be',
    ],
  ],
  declare: async (yargs) => {
    yargs
      .positional('weights', { type: 'string', demandOption: true, describe: 'a .safetensors file' })
      .option('set', {
        type: 'array',
        string: true,
        requiresArg: true,
        describe:
          'an option of a part: --set encoder.NAME=VALUE (encoder, predictor, decoder); repeat for more',
      });
    return declareOptions(
      yargs,
      optionsOf(await loadSchema()).filter(({ name }) => name !== 'weights'),
    );
  },
  run: async (args, ui) => {
    const schema = await loadSchema();
    const flags = {
      ...given(args, optionsOf(schema)),
      ...onlyParts(args),
      weights: String(args['weights']),
    };
    const { weights: path, out, map: mapPath, ...rest } = parseFlags(schema, flags, ['weights']);
    const { encoder, encoderOptions, predictor, predictorOptions, decoder, decoderOptions, ...others } = rest;
    const { range, channelRanges, symmetries, ...facts } = others;
    requireRange(range, facts.channels, channelRanges === 'each' ? facts.channels : undefined);
    const folder = resolve(out);
    if (existsSync(join(folder, 'forecaster.json')))
      throw new UsageError(`${folder} has a forecaster already`, { hint: 'give another --out' });
    const map = await readMap(mapPath);
    const bytes = await readFile(path).catch((cause: unknown) => {
      throw new UsageError(`${path} cannot be read: ${messageOf(cause)}`, { cause });
    });
    const { importWeights } = await import('../forecaster/import.js');
    const { saveForecaster } = await import('../forecaster/folder.js');
    const { settingsSchema } = await import('../forecaster/forecaster.js');
    // In the order of the schema, as they are read again: the hash goes by it.
    const settings = settingsSchema.parse({
      ...{ format: 1, ...facts },
      encoder: { name: encoder, options: encoderOptions },
      predictor: { name: predictor, options: predictorOptions },
      decoder: { name: decoder, options: decoderOptions },
      ...(range !== undefined && { range }),
      ...(channelRanges === 'each' && { channelRanges }),
      ...(symmetries !== 'all' && { symmetries }),
    });
    const forecaster = await importWeights(bytes, settings, map).catch((cause: unknown) => {
      if (cause instanceof MesocastError && cause.tag !== 'forecaster') throw cause;
      const hint = cause instanceof MesocastError ? cause.hint : undefined;
      throw new ForecasterError(`${path}: ${messageOf(cause)}`, {
        cause,
        ...(hint !== undefined && { hint }),
      });
    });
    await saveForecaster(folder, forecaster);
    const count = Object.values(forecaster.weights).reduce((sum, { data }) => sum + data.length, 0);
    ui.result({ out: folder, forecaster: forecaster.id, weights: count }, [
      `${count} weights; the forecaster is in ${folder}`,
      `next: mesocast evaluate ${out} FOLDERS, mesocast attach FRAMES --forecaster ${out}`,
    ]);
    return 0;
  },
};
