import { join, resolve } from 'node:path';
import type { Argv } from 'yargs';
import { z } from 'zod';
import { attachSchema, MEMBERS } from '../pipeline/config/config.js';
import { filesShape } from '../pipeline/config/root-options.js';
import { optionsOf, type OptionInfo } from '../pipeline/config/options.js';
import { coverageText } from '../evaluation/coverage-text.js';
import type { Evaluation } from '../evaluation/evaluate.js';
import type { Args, Command } from './command.js';
import { declareOptions, given, parseFlags, texts } from './command.js';
import { declareParameters, parametersOf } from './parameter-options.js';
import { declareCodecs, partOptions } from './part-options.js';
import type { Progress } from './ui.js';

const {
  context,
  horizon,
  stride,
  device,
  threads,
  range,
  ensemble,
  lagged,
  codecs,
  region,
  downsample,
  tile,
  parameters,
  frameInterval,
} = attachSchema.shape;
/** What commands that work on held-out series are told. */
export const heldOutShape = {
  forecaster: z.string(),
  data: z.array(z.string()).min(1, 'name a folder of frames'),
  context,
  horizon,
  stride,
  every: z.number().int().positive().default(10).describe('a window starts every so many frames'),
  range: range.describe(
    'values that normalise to 0 and 1, or such a pair for each channel, one after the other; default: those the forecaster was trained with where the first context frames of a series fit them (in integer images also as shares of the full scale), else the least and greatest of these frames',
  ),
  ...filesShape,
  codecs,
  region,
  downsample,
  tile,
  parameters,
  device,
  threads,
  ensemble: ensemble.describe(
    `forecasts are ${MEMBERS}, and have their spread; default: one for each forecaster of the folder`,
  ),
  lagged: lagged.describe(
    'the spread of a forecast is its distance from the one made one frame earlier, not the deviation of the members; default: no',
  ),
};
const schema = z.strictObject({
  ...heldOutShape,
  frameInterval,
  report: z
    .string()
    .optional()
    .describe('folder for a page with plots (report.html), its pictures and report.json'),
  threshold: z
    .number()
    .default(0.5)
    .describe('normalised value between two phases, or between a grain and its boundary; for the report'),
});
const options = optionsOf(schema).filter(({ name }) => name !== 'forecaster' && name !== 'data');

/** Leads that the table shows; --json has them all. */
const shownLeads = (horizon: number): number[] =>
  [...new Set([1, 2, 5, 10, 20, 30, 40, 50, horizon])]
    .filter((lead) => lead <= horizon)
    .sort((a, b) => a - b);

const coverageLines = ({ uncertainty }: Evaluation): string[] =>
  (uncertainty?.intervals?.bands ?? []).map(
    ({ from, to, all, interface: onInterface, standard_error: error }) => {
      const ninety = uncertainty?.intervals?.levels.indexOf(0.9) ?? -1;
      return `90 % intervals, leads ${from} to ${to}: ${coverageText(all[ninety], error?.all)} of all pixels, on interfaces ${coverageText(onInterface?.[ninety], error?.interface)}`;
    },
  );

/** The forecaster and the folders. */
export const declareHeldOut = (yargs: Argv): Argv =>
  declareParameters(declareCodecs(yargs))
    .positional('forecaster', {
      type: 'string',
      demandOption: true,
      describe: 'a forecaster folder, or the name of one that ships with mesocast',
    })
    .positional('data', {
      type: 'string',
      array: true,
      demandOption: true,
      describe: 'folders of frames, or files of several; each folder with frames, at any depth, is a series',
    });

/** Everything that was given on the command line, for `parseFlags`. */
export const heldOutFlags = (args: Args, known: readonly OptionInfo[]): Record<string, unknown> => ({
  ...given(args, known),
  forecaster: String(args.forecaster),
  data: texts(args, 'data'),
  codecs: partOptions(args, []).codecs,
  parameters: parametersOf(args),
});

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
  declare: (yargs) => declareOptions(declareHeldOut(yargs), options),
  run: async (args, ui) => {
    const settings = parseFlags(schema, heldOutFlags(args, options), ['forecaster', 'data']);
    const { evaluate, evaluateInDetail } = await import('../evaluation/evaluate.js');
    let progress: Progress | undefined;
    const watch = (done: number, of: number): void => {
      progress ??= ui.progress('windows', of);
      progress.update(done, '');
    };
    const work = async (): Promise<Evaluation> => {
      const asked = { ...settings, notice: (message: string) => ui.warn(message) };
      if (settings.report === undefined) return evaluate(asked, watch);
      const { prepareReport, writeReport } = await import('../evaluation/report/write-report.js');
      await prepareReport(settings.report);
      const detail = await evaluateInDetail(asked, watch);
      await writeReport(settings.report, detail, settings.data);
      return detail.report;
    };
    const evaluation = await work().finally(() => progress?.stop());
    const time = evaluation.time_per_lead;
    const column = (values: readonly number[], lead: number): string =>
      (values[lead - 1] ?? 0).toFixed(4).padStart(12);
    ui.result(evaluation, [
      `${settings.forecaster} on ${evaluation.series} series, context ${settings.context}, normalised values`,
      `${'lead'.padStart(6)}${['rmse', 'persistence', 'linear', 'skill', 'ssim'].map((name) => name.padStart(12)).join('')}`,
      ...shownLeads(settings.horizon).map(
        (lead) =>
          `${String(lead).padStart(6)}${[evaluation.rmse, evaluation.persistence_rmse, evaluation.linear_rmse, evaluation.skill, evaluation.ssim].map((values) => column(values, lead)).join('')}`,
      ),
      ...(time === undefined
        ? []
        : [`a lead is ${time.value}${time.unit === undefined ? '' : ` ${time.unit}`}`]),
      `mean skill over persistence ${evaluation.mean_skill.toFixed(4)}`,
      ...coverageLines(evaluation),
      ...(settings.report === undefined
        ? []
        : [`report     ${join(resolve(settings.report), 'report.html')}`]),
    ]);
    return 0;
  },
};
