import { UsageError } from '../pipeline/errors.js';
import type { OptionInfo } from '../pipeline/config/options.js';
import { installedPlugins } from '../pipeline/plugins/installed-plugins.js';
import type { Installed } from '../pipeline/plugins/installed-plugins.js';
import { listPlugins } from '../pipeline/plugins/registry.js';
import type { PluginInfo } from '../pipeline/plugins/registry.js';
import type { Command } from './command.js';
import { text } from './command.js';
import { SCAFFOLDED, scaffold } from './scaffold.js';

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

const installedLines = (installed: readonly Installed[]): string[] =>
  installed.flatMap((plugin) =>
    'problem' in plugin
      ? [`  ${plugin.package} does not work: ${plugin.problem}`]
      : [
          `  ${plugin.name} (${plugin.kind}, ${plugin.package}): ${plugin.summary}`,
          ...plugin.options.map(optionLine),
        ],
  );

export const pluginsCommand: Command = {
  usage: 'plugins [kind] [new_kind] [name]',
  onlyPrints: true,
  summary: 'List the plugins that are built in or installed, with their options; or begin one of your own',
  examples: [
    ['mesocast plugins sinks', 'the sinks and what they can be told'],
    ['mesocast plugins --json', 'everything, for a program'],
    ['mesocast plugins new sink my-sink', 'a package with a sink and its tests, in my-sink'],
  ],
  declare: (yargs) =>
    yargs
      .positional('kind', {
        type: 'string',
        describe: 'only this kind: sink, codec, simulation, ...; or new',
      })
      .positional('new_kind', { type: 'string', describe: `after new: ${SCAFFOLDED.join(' or ')}` })
      .positional('name', { type: 'string', describe: 'after new: the name of the package, and its folder' }),
  run: async (args, ui) => {
    const [kind, newKind, name] = [text(args, 'kind'), text(args, 'new_kind'), text(args, 'name')];
    if (kind === 'new') {
      if (newKind === undefined || name === undefined)
        throw new UsageError('something is missing: mesocast plugins new KIND NAME', {
          hint: 'for example mesocast plugins new sink my-sink',
        });
      const { folder, files } = await scaffold(newKind, name);
      ui.result({ folder, files }, [
        `${folder}: ${files.join(', ')}`,
        `next: cd ${name} && npm install && npm test; docs/plugins.md explains it`,
      ]);
      return 0;
    }
    if (newKind !== undefined) throw new UsageError(`unexpected argument ${newKind}`, { hint: 'see --help' });
    const all = await listPlugins();
    const kinds = [...new Set(all.map((plugin) => plugin.kind))];
    const isMeant = (other: string): boolean => kind === undefined || kind === other || kind === `${other}s`;
    const plugins = all.filter((plugin) => isMeant(plugin.kind));
    if (plugins.length === 0)
      throw new UsageError(`there are no plugins of kind "${kind ?? ''}"`, {
        hint: `kinds: ${kinds.join(', ')}`,
      });
    const installed = (await installedPlugins(process.cwd())).filter(
      (plugin) => 'problem' in plugin || isMeant(plugin.kind),
    );
    ui.result({ plugins, installed }, [
      ...lines(plugins),
      ...(installed.length > 0 ? ['installed here', ...installedLines(installed)] : []),
      '',
      'Your own: a file path (./my-sink.mjs) or an npm package works wherever a name does.',
    ]);
    return 0;
  },
};
