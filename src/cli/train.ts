import { UsageError } from '../pipeline/errors.js';
import { optionsOf } from '../pipeline/config/options.js';
import type { Args, Command } from './command.js';
import { declareOptions, given, parseFlags, texts } from './command.js';
import { declareCodec, partOptions } from './part-options.js';
import { toldParameters } from './parameter-options.js';
import { abortOnStopSignal } from './signals.js';
import type { Ui } from './ui.js';

/** Loaded when it is needed: other commands start faster without the engine. */
const training = () => import('../training/train.js');
const settings = () => import('../training/options.js');

const PARTS = ['simulation', 'encoder', 'predictor', 'decoder'];

const duration = (seconds: number): string => {
  const whole = Math.round(seconds);
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60), whole % 60];
  return h > 0 ? `${h} h ${m} min` : m > 0 ? `${m} min ${s} s` : `${s} s`;
};

const skillLine = (skill: readonly number[]): string =>
  [1, 10, 20, 50]
    .filter((lead) => lead <= skill.length)
    .map((lead) => `${lead}: ${(skill[lead - 1] ?? 0).toFixed(2)}`)
    .join(', ');

const run = async (args: Args, ui: Ui): Promise<number> => {
  const { trainSchema, FROM_BRINGS } = await settings();
  const { train } = await training();
  const data = texts(args, 'data');
  const told = toldParameters(args);
  const { codecs, options: parts } = partOptions(args, PARTS);
  const flags = {
    ...given(args, optionsOf(trainSchema)),
    ...parts,
    codecs,
    ...(data.length > 0 && { data }),
    ...(told.length > 0 && { parameters: told }),
  };
  const options = parseFlags(trainSchema, flags, ['data']);
  const own = options.from === undefined ? undefined : FROM_BRINGS.find((name) => name in flags);
  if (own !== undefined)
    throw new UsageError(`--from ${options.from ?? ''} brings its own ${own}`, { hint: `leave ${own} out` });
  const { signal, release } = abortOnStopSignal();
  const progress = ui.progress('step', options.iterations);
  try {
    const result = await train(
      options,
      (event) => {
        if (event.type === 'notice') ui.warn(event.message);
        else if (event.type === 'validation') {
          ui.say(
            `validation at step ${event.iteration}: mean skill ${event.meanSkill.toFixed(3)}, at lead ${skillLine(event.skill)}`,
          );
        } else {
          const { iteration, loss, leads, stepsPerSecond, secondsLeft } = event;
          progress.update(
            iteration,
            `loss ${loss.toPrecision(3)}  ${leads} leads  ${stepsPerSecond.toFixed(2)} steps/s  ${duration(secondsLeft)} left`,
          );
        }
      },
      signal,
    );
    progress.stop();
    // evaluate, calibrate, forecast and attach take 10 and 1 where nothing is said.
    const { context, stride } = result;
    const asTrained = `${context === 10 ? '' : ` --context ${context}`}${stride === 1 ? '' : ` --stride ${stride}`}`;
    ui.result(result, [
      result.iterations === 0
        ? 'stopped before the first step: nothing was saved'
        : `${result.interrupted ? 'stopped at' : 'finished'} step ${result.iterations} after ${duration(result.seconds)}; the forecaster is in ${result.out}`,
      ...(result.skill.length > 0
        ? [`skill over persistence: mean ${result.meanSkill.toFixed(3)}, at lead ${skillLine(result.skill)}`]
        : []),
      result.interrupted
        ? 'the same command goes on from here'
        : `next: mesocast evaluate ${result.out} FOLDERS${asTrained}, mesocast attach FRAMES --forecaster ${result.out}${asTrained}`,
    ]);
    return 0;
  } finally {
    progress.stop();
    release();
  }
};

export const trainCommand: Command = {
  usage: 'train [data..]',
  summary: 'Train a forecaster on folders of frames, or on a simulation',
  examples: [
    ['mesocast train runs --out my-forecaster', 'each folder of frames below runs is a series'],
    [
      'mesocast train --simulation dendrite --series 64 --out dendrite-64 --seed 1',
      'frames made as needed; the same seed gives the same weights',
    ],
  ],
  declare: async (yargs) => {
    const { trainSchema } = await settings();
    declareCodec(yargs)
      .positional('data', {
        type: 'string',
        array: true,
        describe:
          'folders of frames, or files of several; each folder with frames, at any depth, is a series',
      })
      .option('parameter', {
        type: 'array',
        string: true,
        requiresArg: true,
        describe:
          'a scalar of the runs that the network is told, such as temperature, or with its range: temperature=800:1200; its values are in a parameters.json in the folder of each series; repeat for more',
      })
      .option('set', {
        type: 'array',
        string: true,
        requiresArg: true,
        describe: `an option of a part (${PARTS.join(', ')}) or codec: --set encoder.width=16 --set vti.field=phi; repeat for more`,
      });
    return declareOptions(
      yargs,
      optionsOf(trainSchema).filter(({ name }) => name !== 'data' && name !== 'parameters'),
    );
  },
  run,
};
