import { resolve } from 'node:path';
import { MEMBERS } from '../pipeline/config/config.js';
import { filesShape } from '../pipeline/config/root-options.js';
import { UsageError } from '../pipeline/errors.js';
import { attachConfig, attachOptions, declareAttachOptions, declareSinks } from './attach.js';
import type { Command } from './command.js';
import { text } from './command.js';

const USED = new Set([
  'forecaster',
  'out',
  'horizon',
  'context',
  'stride',
  'device',
  'threads',
  'range',
  ...Object.keys(filesShape),
  'ensemble',
  'lagged',
  'interval',
  'frameInterval',
  'tile',
  'region',
  'downsample',
  'missingValue',
  'mask',
]);
/** What is otherwise than in a run, which may begin without a forecaster and try several. */
const HERE: Readonly<Record<string, string>> = {
  forecaster: 'a forecaster folder, or the name of one that ships with mesocast; default: dendrite',
  range:
    'values that normalise to 0 and 1, or such a pair for each channel, one after the other; default: those the forecaster was trained with where the frames that the forecast stands on fit them (in integer images also as shares of the full scale), else the least and greatest of these frames',
  ensemble: `the forecast is ${MEMBERS}, and carries their spread; default: one for each forecaster of the folder, with --interval as many as it is calibrated for`,
  lagged:
    'the spread that the forecast carries is its distance from the forecast made one frame earlier, not the deviation of the members; default: with --interval as the forecaster is calibrated, else no',
  interval:
    'the forecast carries intervals that cover the truth at this level, one of 0.1, 0.2, ... 0.9, 0.95, 0.99 (see `mesocast calibrate`)',
};
const options = attachOptions
  .filter(({ name }) => USED.has(name))
  .map((option) => ({ ...option, description: HERE[option.name] ?? option.description }));

export const forecastCommand: Command = {
  usage: 'forecast <path>',
  summary:
    'Make one forecast from the newest frames of a folder or file, or from those up to a file, and stop',
  examples: [
    ['mesocast forecast frames --out forecast', 'the 50 frames that should come next'],
    [
      'mesocast forecast frames/frame_000020.png --horizon 10 --format npy',
      'from frame 20 on, as NPY [horizon, H, W, C]',
    ],
    ['mesocast forecast run.h5 --set hdf5.field=phi', 'from the last frames of a file that holds several'],
  ],
  declare: (yargs) =>
    declareSinks(
      declareAttachOptions(
        yargs.positional('path', {
          type: 'string',
          demandOption: true,
          describe: 'a folder of frames, the last frame to use, or a file of several frames',
        }),
        options,
      ),
    ),
  run: async (args, ui) => {
    const path = text(args, 'path');
    if (path === undefined || path === '') throw new UsageError('name a folder of frames or a file');
    const config = await attachConfig({ ...args, directory: [path] });
    const { forecastOnce } = await import('../pipeline/forecast-once.js');
    const forecast = await forecastOnce({
      ...config,
      path,
      notice: (message) => {
        ui.warn(message);
      },
    });
    const { frames: _, uncertainty, ...facts } = forecast;
    const out = resolve(config.out);
    const { members, interval } = uncertainty ?? {};
    const carried = uncertainty && { uncertainty: { members, ...(interval && { level: interval.level }) } };
    ui.result({ ...facts, ...carried, out }, [
      `forecast of ${forecast.horizon} frames of ${forecast.shape.join('x')} after ${forecast.series} ${forecast.index}, by ${forecast.forecaster.name}`,
      `output     ${out}`,
    ]);
    return 0;
  },
};
