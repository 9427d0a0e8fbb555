import { z } from 'zod';
import { attachSchema } from '../pipeline/config.js';
import { optionsOf } from '../pipeline/options.js';
import type { Command } from './command.js';
import { declareOptions, given, parseFlags, texts } from './command.js';
import type { Progress } from './ui.js';

const { context, horizon, stride, device, threads, range } = attachSchema.shape;
const schema = z.strictObject({
  forecaster: z.string(),
  data: z.array(z.string()).min(1, 'name a folder of frames'),
  context,
  horizon,
  stride,
  every: z.number().int().positive().default(10).describe('a window starts every so many frames'),
  range,
  device,
  threads,
});
const options = optionsOf(schema).filter(({ name }) => name !== 'forecaster' && name !== 'data');

/** Leads that the table shows; --json has them all. */
const shownLeads = (horizon: number): number[] =>
  [...new Set([1, 2, 5, 10, 20, 30, 40, 50, horizon])]
    .filter((lead) => lead <= horizon)
    .sort((a, b) => a - b);

export const evaluateCommand: Command = {
  usage: 'evaluate <forecaster> <data..>',
  summary: 'Score a forecaster on folders of frames, lead by lead',
  examples: [
    [
      'mesocast evaluate dendrite held-out',
      'the forecaster that ships with mesocast, on every folder of frames below held-out',
    ],
    ['mesocast evaluate my-forecaster run-1 run-2 --horizon 20 --json', 'as one JSON object'],
  ],
  declare: (yargs) =>
    declareOptions(
      yargs
        .positional('forecaster', {
          type: 'string',
          demandOption: true,
          describe: 'a forecaster folder, or the name of one that ships with mesocast',
        })
        .positional('data', {
          type: 'string',
          array: true,
          demandOption: true,
          describe: 'folders of frames; each folder with frames, at any depth, is a series',
        }),
      options,
    ),
  run: async (args, ui) => {
    const flags = { ...given(args, options), forecaster: String(args.forecaster), data: texts(args, 'data') };
    const settings = parseFlags(schema, flags, ['forecaster', 'data']);
    const { evaluate } = await import('../training/evaluate.js');
    let progress: Progress | undefined;
    const evaluation = await evaluate({ ...settings, notice: ui.warn }, (done, of) => {
      progress ??= ui.progress('windows', of);
      progress.update(done, '');
    }).finally(() => progress?.stop());
    const column = (values: readonly number[], lead: number): string =>
      (values[lead - 1] ?? 0).toFixed(4).padStart(12);
    ui.result(evaluation, [
      `${settings.forecaster} on ${evaluation.series} series, context ${settings.context}, normalised values`,
      `${'lead'.padStart(6)}${['rmse', 'persistence', 'linear', 'skill', 'ssim'].map((name) => name.padStart(12)).join('')}`,
      ...shownLeads(settings.horizon).map(
        (lead) =>
          `${String(lead).padStart(6)}${[evaluation.rmse, evaluation.persistence_rmse, evaluation.linear_rmse, evaluation.skill, evaluation.ssim].map((values) => column(values, lead)).join('')}`,
      ),
      `mean skill over persistence ${evaluation.mean_skill.toFixed(4)}`,
    ]);
    return 0;
  },
};
