import { lstat, open, stat } from 'node:fs/promises';
import { extname, isAbsolute, relative } from 'node:path';
import { codeOf, messageOf, StartupError } from './errors.js';
import type { Entry } from './frame.js';
import { toChannels } from './normalisation.js';
import type { Codec, Incomplete } from './plugin.js';
import { codecExtensions, codecForExtension } from './registry.js';

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

/** Our own output must not be taken for frames when it lies inside the directory. */
export const ownOutput = (directory: string, folders: readonly string[]): string[] =>
  folders
    .map((folder) => relative(directory, folder))
    .filter((path) => path !== '' && !path.startsWith('..') && !isAbsolute(path))
    .map((path) => path.replace(/[\\*?[\]{}()!+@]/g, '\\$&'))
    .flatMap((path) => [path, `${path}/**`]);

/** Codecs by file name, giving frames of the channels that the network takes: a series may have grey and coloured files. */
export const codecsByExtension = async (channels: number): Promise<(path: string) => Codec | undefined> => {
  const extensions = await codecExtensions();
  const fitting = (codec: Codec): Codec => ({
    ...codec,
    decode: async (bytes, signal) => toChannels(await codec.decode(bytes, signal), channels),
  });
  const codecs = new Map(
    await Promise.all(
      extensions.map(async (extension) => [extension, fitting(await codecForExtension(extension))] as const),
    ),
  );
  return (path) => codecs.get(extname(path).toLowerCase());
};

/** Asks a file's codec whether the file is whole. Rejects with the system's error when it cannot be opened. */
export const validator =
  (codecFor: (path: string) => Codec | undefined) =>
  async ({ path }: Entry): Promise<Incomplete> => {
    const file = await open(path, 'r').catch(async (error: unknown) => {
      const isLink = codeOf(error) === 'ENOENT' && (await lstat(path)).isSymbolicLink();
      if (!isLink) throw error;
      return undefined;
    });
    if (file === undefined) return 'it is a link that points nowhere';
    try {
      const { size } = await file.stat();
      return await codecFor(path)?.validate({
        size,
        read: async (offset, length) => {
          const { buffer, bytesRead } = await file.read(
            Buffer.alloc(Math.max(0, Math.min(length, size - offset))),
            { position: offset },
          );
          return buffer.subarray(0, bytesRead);
        },
      });
    } finally {
      await file.close();
    }
  };
