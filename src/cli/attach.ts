import type { Argv } from 'yargs';
import { attachGroups, attachSchema } from '../pipeline/config/config.js';
import type { AttachConfig } from '../pipeline/config/config.js';
import { UsageError } from '../pipeline/errors.js';
import { loadConfig } from '../pipeline/config/load-config.js';
import { sinkNames } from '../pipeline/delivery/sinks.js';
import { optionsOf, type OptionInfo } from '../pipeline/config/options.js';
import type { Args, Command } from './command.js';
import { declareOptions, given, parseSetting, text, texts } from './command.js';
import { follow, followedLines } from './follow.js';
import { declareParameters, parametersOf } from './parameter-options.js';
import { declareCodec, namedCodecs, withCodecOption } from './part-options.js';

type Sinks = AttachConfig['sinks'];

/** Everything in the config file has a flag, but for what a flag cannot say. */
export const attachOptions = optionsOf(attachSchema).filter(
  ({ name }) => !['directory', 'roots', 'sinks'].includes(name),
);

/** Declares `options` of `attach`, by what they are about. */
export const declareAttachOptions = (yargs: Argv, options: readonly OptionInfo[]): Argv =>
  Object.entries(attachGroups).reduce((declared, [group, shape]) => {
    const inGroup = options.filter(({ name }) => name in shape);
    return declareOptions(declared, inGroup, `${group}:`);
  }, yargs);

/** `--set files.format=npy`: an option of a sink, its value read as YAML. */
export const setSinkOption = (sinks: Sinks, setting: string): Sinks => {
  const { part, option, value } = parseSetting(setting);
  const names = sinkNames(sinks);
  const isMeant = ({ name }: Sinks[number], k: number): boolean => name === part || names[k] === part;
  if (!sinks.some(isMeant)) {
    throw new UsageError(`--set ${setting}: there is no sink "${part}" in this run`, {
      hint: `its sinks: ${names.join(', ')}`,
    });
  }
  return sinks.map((sink, k) =>
    isMeant(sink, k) ? { ...sink, options: { ...sink.options, [option]: value } } : sink,
  );
};

/** `--set vti.field=phi`: an option of a codec. */
const setOption = (config: AttachConfig, text: string): AttachConfig => {
  const codecs = withCodecOption(config.codecs, parseSetting(text));
  return codecs === undefined
    ? { ...config, sinks: setSinkOption(config.sinks, text) }
    : { ...config, codecs };
};

/** The sinks and codecs of a run with `--leads`, `--format` and `--set` applied. */
const withSinkFlags = (config: AttachConfig, args: Args): AttachConfig => {
  const shortcuts = ['leads', 'format'].flatMap((option) => {
    const value = text(args, option);
    if (value === undefined) return [];
    return [`files.${option}=${option === 'leads' && value !== 'all' ? `[${value}]` : value}`];
  });
  const named = { ...config, codecs: namedCodecs(args, config.codecs) };
  return [...shortcuts, ...texts(args, 'set')].reduce(setOption, named);
};

/** The settings that a command line asks for. @throws UsageError */
export const attachConfig = async (args: Args): Promise<AttachConfig> => {
  const flags = given(args, attachOptions);
  const directories = texts(args, 'directory');
  const [directory] = directories;
  if (directories.length > 1) flags.roots = directories;
  else if (directory !== undefined) flags.directory = directory;
  const sinks = texts(args, 'sink');
  if (sinks.length > 0) flags.sinks = sinks;
  const parameters = parametersOf(args);
  if (Object.keys(parameters).length > 0) flags.parameters = parameters;
  return withSinkFlags(await loadConfig(flags, text(args, 'config')), args);
};

/** Of --help. */
const SINKS = 'Sinks:';

/** The flags that say where forecasts go, how frames are read, and what is known of their run. */
export const declareSinks = (yargs: Argv): Argv =>
  declareParameters(declareCodec(yargs))
    .option('sink', {
      type: 'array',
      string: true,
      requiresArg: true,
      group: SINKS,
      describe: 'a sink by name, file (./my-sink.mjs) or package; repeat for more',
      defaultDescription: 'files, jsonl',
    })
    .option('leads', {
      type: 'string',
      requiresArg: true,
      group: SINKS,
      describe: 'leads that the files sink writes: 1,10,50',
    })
    .option('format', {
      type: 'string',
      requiresArg: true,
      group: SINKS,
      describe: 'format of the files sink: png | npy | vti | zarr',
    })
    .option('set', {
      type: 'array',
      string: true,
      requiresArg: true,
      group: SINKS,
      describe: 'an option of a sink or codec: --set files.format=npy --set vti.field=phi; repeat for more',
    });

export const attachCommand: Command = {
  usage: 'attach [directory..]',
  summary: 'Watch directories of frames, forecast from each frame, and score forecasts as the truth arrives',
  examples: [
    [
      'mesocast attach run/frames --out run/forecasts',
      'forecast whatever appears in run/frames until stopped',
    ],
    [
      'mesocast attach frames --until-idle 30 --leads 1,10,50 --json',
      'end after 30 s without a new frame; print the summary as JSON',
    ],
    [
      "mesocast attach run1/frames run2/frames --ignore '**/preview/**' --start now",
      'two folders, from the next frame on',
    ],
    ['mesocast attach --config run.yaml --horizon 20', 'settings from a file; flags win'],
  ],
  declare: (yargs) =>
    declareSinks(
      declareAttachOptions(
        yargs
          .positional('directory', {
            type: 'string',
            array: true,
            describe: 'folders that frames appear in; folders below them are series of their own',
          })
          .option('config', {
            type: 'string',
            requiresArg: true,
            describe: 'a YAML file with the keys of docs/cli.md',
          }),
        attachOptions,
      ),
    ),
  run: async (args, ui) => {
    const reread = text(args, 'config') === undefined ? undefined : () => attachConfig(args);
    const followed = await follow(await attachConfig(args), ui, { reread });
    ui.result(followed, followedLines(followed));
    const { deliveries } = followed;
    return Object.values(deliveries).some(({ refused, waiting, queued }) => refused + waiting + queued > 0)
      ? 4
      : 0;
  },
};
