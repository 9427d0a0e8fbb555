import { UsageError } from '../pipeline/errors.js';
import type { OptionInfo } from '../pipeline/options.js';
import { listPlugins } from '../pipeline/registry.js';
import type { PluginInfo } from '../pipeline/registry.js';
import type { Command } from './command.js';
import { text } from './command.js';

const optionLine = (option: OptionInfo): string => {
  const facts = [option.allowed];
  if (option.required) facts.push('required');
  if (option.default !== undefined) facts.push(`default ${JSON.stringify(option.default)}`);
  return `      ${option.name}: ${option.description === '' ? '' : `${option.description} `}(${facts.join('; ')})`;
};

const lines = (plugins: readonly PluginInfo[]): string[] => {
  const kinds = [...new Set(plugins.map(({ kind }) => kind))];
  return kinds.flatMap((kind) => [
    `${kind}s`,
    ...plugins
      .filter((plugin) => plugin.kind === kind)
      .flatMap(({ name, summary, options }) => [`  ${name}: ${summary}`, ...options.map(optionLine)]),
  ]);
};

export const pluginsCommand: Command = {
  usage: 'plugins [kind]',
  summary: 'List the built-in plugins with their options',
  examples: [
    ['mesocast plugins sinks', 'the sinks and what they can be told'],
    ['mesocast plugins --json', 'everything, for a program'],
  ],
  declare: (yargs) =>
    yargs.positional('kind', { type: 'string', describe: 'only this kind: sink, codec, simulation, ...' }),
  run: async (args, ui) => {
    const all = await listPlugins();
    const kind = text(args, 'kind');
    const kinds = [...new Set(all.map((plugin) => plugin.kind))];
    const plugins =
      kind === undefined ? all : all.filter((plugin) => kind === plugin.kind || kind === `${plugin.kind}s`);
    if (plugins.length === 0)
      throw new UsageError(`there are no plugins of kind "${kind ?? ''}"`, {
        hint: `kinds: ${kinds.join(', ')}`,
      });
    ui.result({ plugins }, [
      ...lines(plugins),
      '',
      'Your own: a file path (./my-sink.mjs) or an npm package works wherever a name does.',
    ]);
    return 0;
  },
};
