import { parse } from 'yaml';
import type { Argv } from 'yargs';
import type { z } from 'zod';
import { UsageError, messageOf } from '../pipeline/errors.js';
import { explain, kebab } from '../pipeline/options.js';
import type { OptionInfo } from '../pipeline/options.js';
import type { Ui } from './ui.js';

/** What yargs parsed: positionals and options by camelCase name, undefined where not given. */
export type Args = Readonly<Record<string, unknown>>;

/** One subcommand of `mesocast`. */
export interface Command {
  /** As yargs writes it: "attach [directory]". */
  readonly usage: string;
  readonly summary: string;
  /** Two or more: what to type, and what that does. */
  readonly examples: readonly (readonly [line: string, what: string])[];
  /** Declares positionals and options. `rest` is the command line after the command's name. */
  readonly declare: (yargs: Argv, rest: readonly string[]) => Argv | Promise<Argv>;
  /** Does it. Whatever it throws becomes one line and an exit code; the number it returns is the exit code. */
  readonly run: (args: Args, ui: Ui) => Promise<number | undefined>;
}

/** A string argument that was given, or undefined. */
export const text = (args: Args, name: string): string | undefined => {
  const value = args[name];
  return typeof value === 'string' ? value : undefined;
};

/** A list argument's strings; empty when not given. A positional list may hold numbers for folders named 001. */
export const texts = (args: Args, name: string): string[] => {
  const value = args[name];
  return Array.isArray(value) ? value.map(String) : [];
};

/** Declares the options of a zod schema as flags. Values stay undefined where not given: defaults are the schema's. */
export const declareOptions = (yargs: Argv, options: readonly OptionInfo[], group?: string): Argv => {
  for (const option of options) {
    if (option.type === 'object') continue;
    yargs.option(kebab(option.name), {
      ...flagOf(option),
      describe:
        option.choices || option.type === 'boolean'
          ? option.description
          : `${option.description} (${option.allowed})`,
      ...(option.default !== undefined && { defaultDescription: JSON.stringify(option.default) }),
      ...(group !== undefined && { group }),
      requiresArg: option.type !== 'boolean',
    });
  }
  return yargs;
};

const flagOf = (option: OptionInfo) => {
  if (option.type !== 'array') return option.type === 'object' ? {} : { type: option.type };
  const items = { type: 'array', ...(option.item === 'number' && { number: true }) } as const;
  return option.length === undefined ? items : { ...items, nargs: option.length };
};

/** The options of a schema that were given as flags. */
export const given = (args: Args, options: readonly OptionInfo[]): Record<string, unknown> =>
  Object.fromEntries(
    options.map(({ name }) => [name, args[name]]).filter(([, value]) => value !== undefined),
  );

/** Options that were given as flags, checked and filled in with defaults. @throws UsageError naming each wrong flag */
export const parseFlags = <S extends z.ZodObject>(
  schema: S,
  flags: unknown,
  positionals: readonly string[] = [],
): z.output<S> => {
  const parsed = schema.safeParse(flags);
  if (parsed.success) return parsed.data;
  const nameOf = ([key, ...rest]: readonly PropertyKey[]): string => {
    const name = String(key);
    return positionals.includes(name) ? name : `--${[kebab(name), ...rest.map(String)].join('.')}`;
  };
  throw new UsageError(explain(parsed.error.issues, schema, flags, nameOf).join('; '), {
    hint: 'see --help',
  });
};

/** `PART.OPTION=VALUE`, as --set takes it; the value is read as YAML. @throws UsageError */
export const parseSetting = (setting: string): { part: string; option: string; value: unknown } => {
  const [, part, option, text] = /^(.+?)\.(\w+)=(.*)$/s.exec(setting) ?? [];
  if (part === undefined || option === undefined || text === undefined) {
    throw new UsageError(`--set ${setting}: not of the form NAME.OPTION=VALUE`, {
      hint: 'for example --set files.format=npy',
    });
  }
  try {
    const value: unknown = parse(text);
    return { part, option, value };
  } catch (cause) {
    throw new UsageError(`--set ${setting}: ${messageOf(cause)}`, { cause });
  }
};
