import { lstat, realpath, stat } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, relative, sep } from 'node:path';
import { codecsByName, validateFile } from '../bytes.js';
import { codeOf, messageOf, StartupError } from '../errors.js';
import type { Entry, Field } from '../frame.js';
import { toChannels } from './normalisation.js';
import type { Codec, Incomplete } from '../plugins/plugin.js';
import type { CodecOptions } from '../plugins/registry.js';
import { createCodecs } from '../plugins/registry.js';

/** @throws StartupError when the directory is not there */
export const requireDirectory = async (directory: string): Promise<void> => {
  const found = await stat(directory).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT')
      throw new StartupError(`there is no directory ${directory}`, {
        hint: 'name the folder that frames are written into; it must exist when mesocast starts',
      });
    throw new StartupError(`cannot read ${directory}: ${messageOf(error)}`, { cause: error });
  });
  if (!found.isDirectory()) throw new StartupError(`${directory} is not a directory`);
};

/** A glob that matches this path and no other. */
export const globOf = (path: string): string => path.replace(/[\\*?[\]{}()!+@]/g, '\\$&');

/** Where a path leads, links resolved as far as it is there. */
export const realPathOf = async (path: string): Promise<string> => {
  try {
    return await realpath(path);
  } catch {
    const above = dirname(path);
    return above === path ? path : join(await realPathOf(above), basename(path));
  }
};

/** Our own output must not be taken for frames when it lies inside the directory, whatever links lead there. */
export const ownOutput = async (directory: string, folders: readonly string[]): Promise<string[]> => {
  const [inside, ...outputs] = await Promise.all([directory, ...folders].map(realPathOf));
  return outputs
    .map((folder) => relative(inside ?? directory, folder))
    .filter((path) => path !== '' && path !== '..' && !path.startsWith(`..${sep}`) && !isAbsolute(path))
    .map((path) => globOf(path.replaceAll(sep, '/')))
    .flatMap((path) => [`/${path}`, `/${path}/**`]);
};

/** The codecs of a run. */
export interface Codecs {
  readonly extensions: readonly string[];
  /** Endings of formats that may hold several frames in a file. */
  readonly stackExtensions: readonly string[];
  /** The codec for a file name; undefined when none reads it. */
  readonly for: (path: string) => Codec | undefined;
}

/**
 * Codecs with their options, giving frames as `prepare` makes them, with the channels that the network takes: a series
 * may have grey and coloured files.
 * @throws PluginError for an option that is wrong, or of a codec that there is not
 */
export const openCodecs = async (
  channels: number,
  options: CodecOptions = {},
  prepare: (field: Field) => Field = (field) => field,
): Promise<Codecs> => {
  const seen = (field: Field): Field => toChannels(prepare(field), channels);
  const all = (await createCodecs(options)).map(({ stack, ...codec }): Codec => ({
    ...codec,
    decode: async (bytes, signal) => seen(await codec.decode(bytes, signal)),
    ...(stack !== undefined && {
      stack: {
        count: (bytes) => stack.count(bytes),
        decode: async (bytes, item, signal) => seen(await stack.decode(bytes, item, signal)),
      },
    }),
  }));
  return {
    extensions: all.flatMap(({ extensions }) => extensions),
    stackExtensions: all.filter(({ stack }) => stack !== undefined).flatMap(({ extensions }) => extensions),
    for: codecsByName(all),
  };
};

/** Asks a file's codec whether the file is whole. Rejects with the system's error when it cannot be opened. */
export const validator =
  (codecFor: (path: string) => Codec | undefined) =>
  async ({ path }: Entry): Promise<Incomplete> => {
    const codec = codecFor(path);
    if (codec === undefined) return undefined; // whoever reads it will say so
    try {
      return await validateFile(path, codec);
    } catch (error) {
      if (codeOf(error) === 'ENOENT' && (await lstat(path)).isSymbolicLink())
        return 'it is a link that points nowhere';
      throw error;
    }
  };
