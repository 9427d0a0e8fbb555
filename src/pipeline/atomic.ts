import { mkdir, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/** Names of files that are being written; whoever owns the folder may remove those that a crash left behind. */
export const isTemporary = (name: string): boolean => /^\..+\.\d+-\d+\.tmp$/.test(name);

let counter = 0;
/** A name beside `path` that `isTemporary` knows and no other process uses. */
export const temporaryName = (path: string): string =>
  join(dirname(path), `.${basename(path)}.${process.pid}-${counter++}.tmp`);

/**
 * Writes a file so that others see all of it or nothing: a temporary neighbour, then a rename. Makes the folder.
 * @param options.durable wait until the disk has it, so that a power cut cannot take it back
 * @param options.mode who may read and write it; default: as for any new file
 */
export const writeAtomically = async (
  path: string,
  parts: Uint8Array | readonly Uint8Array[],
  options: { readonly durable?: boolean; readonly mode?: number } = {},
): Promise<void> => {
  await mkdir(dirname(path), { recursive: true });
  const temporary = temporaryName(path);
  try {
    const handle = await open(temporary, 'w', options.mode);
    try {
      for (const part of parts instanceof Uint8Array ? [parts] : parts) await handle.writeFile(part);
      if (options.durable === true) await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined); // the first error is the one to report
    throw error;
  }
  if (options.durable === true) await syncFolder(dirname(path));
};

/** A rename is durable once its folder is. Not every platform can sync a folder; those that cannot do without. */
const syncFolder = async (folder: string): Promise<void> => {
  const handle = await open(folder, 'r').catch(() => undefined);
  await handle?.sync().catch(() => undefined);
  await handle?.close();
};
