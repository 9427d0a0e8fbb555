import { join, resolve } from 'node:path';
import { z } from 'zod';
import { writeAtomically } from '../pipeline/atomic.js';
import { messageOf, StartupError } from '../pipeline/errors.js';
import { optionsOf } from '../pipeline/config/options.js';
import type { Command } from './command.js';
import { declareOptions, given, parseFlags } from './command.js';

const count = z.number().int().positive();
const schema = z.strictObject({
  forecaster: z.string(),
  out: z.string().describe('folder for the files'),
  size: z
    .string()
    .regex(/^[1-9]\d*(x[1-9]\d*)?$/, 'HEIGHTxWIDTH, such as 64x64')
    .default('64x64')
    .describe('height and width of the frames that the files take'),
  batch: count.default(1).describe('series at once'),
  leads: count.default(50).describe('leads of the roll-out'),
});
const options = optionsOf(schema).filter(({ name }) => name !== 'forecaster');

const shapeText = (shape: readonly number[]): string => `[${shape.join(', ')}]`;

export const exportCommand: Command = {
  usage: 'export <forecaster>',
  summary: 'Write a forecaster as ONNX files for other programs: encoder, predictor, decoder, whole roll-out',
  examples: [
    [
      'mesocast export dendrite --out dendrite-onnx',
      'for frames of 64x64, with a manifest.json that says how to call them',
    ],
    ['mesocast export my-forecaster --out files --size 128x256 --batch 4 --leads 20', 'for other shapes'],
  ],
  declare: (yargs) =>
    declareOptions(
      yargs.positional('forecaster', {
        type: 'string',
        demandOption: true,
        describe: 'a forecaster folder, or the name of one that ships with mesocast',
      }),
      options,
    ),
  run: async (args, ui) => {
    const flags = { ...given(args, options), forecaster: String(args['forecaster']) };
    const { forecaster, out, size, batch, leads } = parseFlags(schema, flags, ['forecaster']);
    const [height, width] = (size.includes('x') ? size : `${size}x${size}`).split('x').map(Number) as [
      number,
      number,
    ];
    const { loadForecaster } = await import('../forecaster/folder.js');
    const { exportForecaster } = await import('../forecaster/export.js');
    const { files, manifest } = exportForecaster(await loadForecaster(forecaster), {
      height,
      width,
      batch,
      leads,
    });
    const folder = resolve(out);
    try {
      for (const [name, bytes] of Object.entries(files)) await writeAtomically(join(folder, name), bytes);
      await writeAtomically(
        join(folder, 'manifest.json'),
        Buffer.from(`${JSON.stringify(manifest, undefined, 2)}\n`),
      );
    } catch (cause) {
      throw new StartupError(`cannot write to ${folder}: ${messageOf(cause)}`, { cause });
    }
    ui.result({ out: folder, ...manifest }, [
      ...manifest.files.flatMap((file) => [
        `${file.file.padEnd(15)} ${file.inputs.map(({ name, shape }) => `${name} ${shapeText(shape)}`).join(', ')}`,
        `${''.padEnd(12)} -> ${file.outputs.map(({ name, shape }) => `${name} ${shapeText(shape)}`).join(', ')}`,
      ]),
      `in ${folder}; manifest.json says how to call them`,
    ]);
    return 0;
  },
};
