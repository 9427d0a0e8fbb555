import { readFile } from 'node:fs/promises';
import { dirname, extname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { codeOf, FrameError, messageOf } from '../errors.js';
import type { Entry } from '../frame.js';
import { extrapolations, type Asked, type ParameterValues } from '../parameters.js';
import { BETWEEN_TRIES, TRIES } from './read-frame.js';

type Where = Pick<Entry, 'path' | 'item'>;

/** Scalars of the run whose frames lie beside it. */
export const PARAMETERS = 'parameters.json';

/** `parameters.json` in the folder of frames; `run.parameters.json` beside `run.h5` for the frames in it. */
export const parametersFile = ({ path, item }: Where): string =>
  item === undefined
    ? join(dirname(path), PARAMETERS)
    : `${path.slice(0, path.length - extname(path).length)}.parameters.json`;

/** Its numbers by name; what else is in it is for people. @throws FrameError for what is no object of JSON */
const numbersOf = (text: string, file: string, asked: readonly Asked[]): ParameterValues => {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new FrameError(`${file} is not JSON: ${messageOf(cause)}`, { cause });
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw new FrameError(`${file} is not a JSON object of names and numbers`, {
      hint: 'such as { "temperature": 900 }',
    });
  const entries: [string, unknown][] = Object.entries(json);
  const wrong = entries.find(
    ([name, value]) => typeof value !== 'number' && asked.some((one) => one.name === name),
  );
  if (wrong !== undefined)
    throw new FrameError(`${file}: "${wrong[0]}" is ${JSON.stringify(wrong[1])}, not a number`);
  return Object.fromEntries(
    entries.filter((entry): entry is [string, number] => typeof entry[1] === 'number'),
  );
};

/** Undefined where there is none. @throws FrameError when it cannot be read at several tries, as the frames themselves */
const textOf = async (file: string, tries: number): Promise<string | undefined> => {
  for (let tried = 1; ; tried++)
    try {
      return await readFile(file, 'utf8');
    } catch (cause) {
      if (codeOf(cause) === 'ENOENT') return undefined;
      if (tried >= tries) throw new FrameError(`${file} cannot be read: ${messageOf(cause)}`, { cause });
      await delay(BETWEEN_TRIES);
    }
};

/** What is known of the run that an entry belongs to. @throws FrameError for what is asked for and not known */
export type RunParameters = (entry: Where) => Promise<ParameterValues>;

export interface RunParametersOptions {
  /** What the user says, for all series; undefined where nobody is asked. */
  readonly given?: ParameterValues | undefined;
  /** What has to be known; values beyond a range are told once for each series. */
  readonly asked?: readonly Asked[] | undefined;
  readonly notice?: ((message: string) => void) | undefined;
}

/**
 * Scalars of runs: what the user says, else what a file beside the frames says. The file is read once for each series,
 * when it is there: it may be written until the first frame is.
 */
export const runParameters = ({
  given,
  asked = [],
  notice = () => undefined,
}: RunParametersOptions): RunParameters => {
  const known = new Map<string, ParameterValues>();
  const told = new Set<string>();
  const strange = new Set<string>();

  const needed = asked.some(({ name }) => given?.[name] === undefined);
  const read = async (file: string): Promise<ParameterValues> => {
    const before = known.get(file);
    if (before !== undefined) return before;
    const text = await textOf(file, needed ? TRIES : 1);
    if (text === undefined) return {};
    const values = numbersOf(text, file, asked);
    known.set(file, values);
    return values;
  };
  /** Many programs have a file of this name: where nothing is needed of it, it may be whatever it is. */
  const readIfNeeded = (file: string): Promise<ParameterValues> =>
    read(file).catch((error: unknown) => {
      if (needed) throw error;
      if (!strange.has(file)) notice(`${messageOf(error)}; nothing is needed of it`);
      strange.add(file);
      return {};
    });

  return async (entry) => {
    const file = parametersFile(entry);
    const values = { ...(await readIfNeeded(file)), ...given };
    const missing = asked.find(({ name }) => values[name] === undefined);
    if (missing !== undefined)
      throw new FrameError(`the forecaster is told "${missing.name}", which is not known of this series`, {
        hint: `${given === undefined ? '' : `give --parameter ${missing.name}=VALUE, or `}write it into ${file}: { "${missing.name}": VALUE }`,
      });
    if (!told.has(file))
      for (const line of extrapolations(asked, values)) notice(`${dirname(file)}: ${line}`);
    told.add(file);
    return values;
  };
};
