import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { LineCounter, isNode, parseDocument } from 'yaml';
import type { Document } from 'yaml';
import { attachSchema } from './config.js';
import type { AttachConfig } from './config.js';
import { rootsOf } from './roots.js';
import { UsageError, codeOf, messageOf } from '../errors.js';
import { dotted, explain, kebab } from './options.js';

/** Of config files. Bumped when a key changes its meaning; then older files are rewritten as they are read. */
export const CONFIG_VERSION = 1;

type Mapping = Readonly<Record<string, unknown>>;

interface ConfigFile {
  readonly values: Mapping;
  /** "run.yaml:4", the line on which the key at a path is set; the file alone where it is not. */
  where(path: readonly PropertyKey[]): string;
}

const isMapping = (value: unknown): value is Mapping =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const readText = async (file: string): Promise<string> => {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    const reason = codeOf(cause) === 'ENOENT' ? 'there is no such file' : messageOf(cause);
    throw new UsageError(`config file ${file}: ${reason}`, { cause });
  }
};

const lineOf = (document: Document, lines: LineCounter, path: readonly PropertyKey[]): number | undefined => {
  for (let length = path.length; length > 0; length--) {
    const node = document.getIn(path.slice(0, length), true);
    if (isNode(node) && node.range) return lines.linePos(node.range[0]).line;
  }
  return undefined;
};

/** @throws UsageError where aliases (`*name`) stand for more than any config has: nine lines can stand for a billion */
const unfolded = (document: Document, file: string): unknown => {
  try {
    return document.toJS();
  } catch (cause) {
    throw new UsageError(`${file}: ${messageOf(cause)}`, {
      cause,
      hint: 'write out what aliases such as *name stand for',
    });
  }
};

const readConfigFile = async (file: string): Promise<ConfigFile> => {
  const lines = new LineCounter();
  const document = parseDocument(await readText(file), { lineCounter: lines });
  const [syntax] = document.errors;
  if (syntax) {
    const line = syntax.linePos?.[0].line;
    const [message] = syntax.message.split(/ at line \d+/);
    throw new UsageError(`${file}${line === undefined ? '' : `:${line}`}: not valid YAML: ${message}`, {
      cause: syntax,
    });
  }
  const values = unfolded(document, file) ?? {};
  if (!isMapping(values)) {
    throw new UsageError(
      `${file}: a config file is a mapping of keys to values, this is ${JSON.stringify(values).slice(0, 40)}`,
    );
  }
  const where = (path: readonly PropertyKey[]): string => {
    const line = lineOf(document, lines, path);
    return line === undefined ? file : `${file}:${line}`;
  };
  const { version = CONFIG_VERSION, ...settings } = values;
  if (version !== CONFIG_VERSION)
    throw new UsageError(
      `${where(['version'])}: version is ${JSON.stringify(version)}, this mesocast reads version ${CONFIG_VERSION}`,
      { hint: 'use the mesocast that the file was written for' },
    );
  return { values: settings, where };
};

/** Paths in a config file are relative to it, so that it means the same from everywhere. */
const anchorPaths = (values: Mapping, base: string): Mapping => {
  const anchored = (value: unknown): unknown =>
    typeof value === 'string' && value !== '' ? resolve(base, value) : value;
  const anchoredIfPath = (value: unknown): unknown =>
    typeof value === 'string' && /^\.{1,2}[/\\]/.test(value) ? resolve(base, value) : value;
  const sink = (value: unknown): unknown =>
    isMapping(value) ? { ...value, name: anchoredIfPath(value.name) } : anchoredIfPath(value);
  const root = (value: unknown): unknown =>
    isMapping(value) ? { ...value, directory: anchored(value.directory) } : anchored(value);
  return Object.fromEntries(
    Object.entries(values).map(([key, value]) => {
      if (key === 'directory' || key === 'out' || key === 'state' || key === 'mask')
        return [key, anchored(value)];
      if (key === 'roots' && Array.isArray(value)) return [key, value.map(root)];
      if (key === 'forecaster') return [key, anchoredIfPath(value)];
      if (key === 'sinks' && Array.isArray(value)) return [key, value.map(sink)];
      if (key === 'codecs' && isMapping(value))
        return [
          key,
          Object.fromEntries(Object.entries(value).map(([name, of]) => [String(anchoredIfPath(name)), of])),
        ];
      return [key, value];
    }),
  );
};

/**
 * The settings of a run: the file's, overridden by the flags' (camelCase keys, only those that were given), then defaults.
 * @throws UsageError that names the file and line or the flag, the key, what was given and what is allowed
 */
export const loadConfig = async (flags: Mapping, file?: string): Promise<AttachConfig> => {
  const config = file === undefined ? undefined : await readConfigFile(file);
  const fromFile = config && file !== undefined ? anchorPaths(config.values, dirname(resolve(file))) : {};
  // Folders on the command line are instead of those in the file.
  const named = 'directory' in flags || 'roots' in flags ? { directory: undefined, roots: undefined } : {};
  const input = { ...fromFile, ...named, ...flags };
  const parsed = attachSchema.safeParse(input);
  if (parsed.success) {
    rootsOf(parsed.data);
    return parsed.data;
  }
  const nameOf = (path: readonly PropertyKey[]): string => {
    const [key] = path;
    if (typeof key === 'string' && Object.hasOwn(flags, key))
      return `--${dotted([kebab(key), ...path.slice(1)])}`;
    return config ? `${config.where(path)}: ${dotted(path)}` : dotted(path);
  };
  throw new UsageError(explain(parsed.error.issues, attachSchema, input, nameOf).join('; '), {
    hint: 'see `mesocast attach --help` and docs/cli.md',
  });
};
