import { z } from 'zod';
import { coverageText } from '../evaluation/coverage-text.js';
import { optionsOf } from '../pipeline/config/options.js';
import type { Command } from './command.js';
import { declareOptions, parseFlags } from './command.js';
import { declareHeldOut, heldOutFlags, heldOutShape } from './evaluate.js';
import type { Progress } from './ui.js';

const schema = z.strictObject(heldOutShape);
const options = optionsOf(schema).filter(({ name }) => name !== 'forecaster' && name !== 'data');

export const calibrateCommand: Command = {
  usage: 'calibrate <forecaster> <data..>',
  summary: 'Find how wide the intervals of a forecaster have to be, on series that it was not trained on',
  examples: [
    ['mesocast calibrate my-forecaster kept-apart --ensemble 4', 'writes calibration.json into its folder'],
    [
      'mesocast attach frames --forecaster my-forecaster --interval 0.9',
      'forecasts with intervals from then on',
    ],
  ],
  declare: (yargs) => declareOptions(declareHeldOut(yargs), options),
  run: async (args, ui) => {
    const settings = parseFlags(schema, heldOutFlags(args, options), ['forecaster', 'data']);
    const { calibrate } = await import('../evaluation/calibrate.js');
    let progress: Progress | undefined;
    const { path, calibration } = await calibrate(
      { ...settings, notice: (message: string) => ui.warn(message) },
      (done, of) => {
        progress ??= ui.progress('windows', of);
        progress.update(done, '');
      },
    ).finally(() => progress?.stop());
    const { levels, bands, series, windows, members, lagged = false } = calibration;
    const ninety = levels.indexOf(0.9);
    ui.result(
      { path, members, lagged, series, windows, levels, bands: bands.map(({ classes: _, ...band }) => band) },
      [
        `calibrated on ${windows} windows of ${series} series, ${members === 1 ? 'single forecasts' : `ensembles of ${members}`}${lagged ? ', lagged' : ''}`,
        'coverage of 90 % intervals, of each half of the series calibrated on the other:',
        ...bands.map(
          ({ from, to, expected }) =>
            `  leads ${from} to ${to}`.padEnd(20) +
            `${coverageText(expected.all[ninety])} of all pixels, on interfaces ${coverageText(expected.interface?.[ninety])}`,
        ),
        `written    ${path}`,
      ],
    );
    return 0;
  },
};
