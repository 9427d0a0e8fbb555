import { parse } from 'yaml';
import type { Argv } from 'yargs';
import type { z } from 'zod';
import { UsageError, messageOf } from '../pipeline/errors.js';
import { explain, kebab } from '../pipeline/config/options.js';
import type { OptionInfo } from '../pipeline/config/options.js';
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
  /** It may end when nobody reads any more. */
  readonly onlyPrints?: true;
  /** Declares positionals and options. `line` is the whole command line. */
  readonly declare: (yargs: Argv, line: readonly string[]) => Argv | Promise<Argv>;
  /** Does it. Whatever it throws becomes one line and an exit code; the number it returns is the exit code. */
  readonly run: (args: Args, ui: Ui) => Promise<number | undefined>;
}

/** A string argument that was given, or undefined. @throws UsageError for one that was given twice */
export const text = (args: Args, name: string): string | undefined => {
  const value = args[name];
  if (Array.isArray(value)) throw new UsageError(`--${kebab(name)} is given twice`);
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
      describe: saysEnough(option) ? option.description : `${option.description} (${option.allowed})`.trim(),
      ...(option.default !== undefined && { defaultDescription: JSON.stringify(option.default) }),
      ...(group !== undefined && { group }),
      // nargs says it already where the number of items is fixed.
      requiresArg: option.type !== 'boolean' && option.length === undefined,
    });
  }
  return yargs;
};

/** The description says it all: yargs shows the type itself. */
const saysEnough = ({ allowed, type }: OptionInfo): boolean =>
  type === 'boolean' || allowed === 'text' || allowed === 'a number' || allowed === 'a list, each text';

const flagOf = ({ type, length }: OptionInfo) => {
  // Without a type yargs makes numbers of numbers and leaves the rest, so that a message can say what was given.
  if (type === 'object' || type === 'number') return {};
  if (type !== 'array') return { type };
  // As text, turned into numbers in `given`: yargs adds up numbers that follow each other.
  return length === undefined ? { string: true, array: true } : { string: true, nargs: length };
};

/** yargs leaves numbers beyond 2^53 as text: 1e20. What is none stays, so that a message can say what was given. */
const number = (value: unknown): unknown =>
  typeof value === 'string' && value.trim() !== '' && Number.isFinite(Number(value)) ? Number(value) : value;

/** The options of a schema that were given as flags. */
export const given = (args: Args, options: readonly OptionInfo[]): Record<string, unknown> => {
  const valueOf = ({ name, type, item }: OptionInfo): unknown => {
    const value = args[name];
    if (type === 'number') return number(value);
    return item === 'number' && Array.isArray(value) ? value.map(number) : value;
  };
  return Object.fromEntries(
    options
      .map((option) => [option.name, valueOf(option)] as const)
      .filter(([, value]) => value !== undefined),
  );
};

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
