import { existsSync } from 'node:fs';
import { readdir, realpath, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isTemporary } from '../../pipeline/atomic.js';
import { learningFolder, type Change } from './log.js';

/** Versions that stay on disk besides the one in use: as many as frames that come again after a crash may ask for. */
const KEPT = 20;

/** Where learned versions are, each a forecaster folder under its number. */
export const versionsFolder = (learning: string): string => join(learning, 'versions');

/** Whether the forecaster of a change can be gone back to. */
export const isKept = ({ folder }: Change): boolean => folder === undefined || existsSync(folder);

/**
 * Deletes the versions that were learned and have long been out of use, but for those in `kept`. Their lines in the log stay.
 * `changes`: in the order in which they were last in use. Gives the hashes of those that are gone.
 */
export const forgetOldVersions = async (
  state: string,
  changes: readonly Change[],
  kept: readonly string[],
): Promise<string[]> => {
  const recent = new Set([...changes.slice(-KEPT).map(({ hash }) => hash), ...kept]);
  const forgotten: string[] = [];
  for (const { hash, folder } of changes)
    if (
      folder !== undefined &&
      dirname(folder) === versionsFolder(learningFolder(state)) &&
      !recent.has(hash)
    ) {
      await rm(folder, { recursive: true, force: true });
      forgotten.push(hash);
    }
  return forgotten;
};

/**
 * Removes what a kill has left: halves of files, and versions that were saved and never put in use. `given`: the folder of
 * the forecaster that the run was given, which may be a version, by whatever path.
 */
export const removeLeftovers = async (
  state: string,
  changes: readonly Change[],
  given: string,
): Promise<void> => {
  const learning = learningFolder(state);
  const versions = versionsFolder(learning);
  const namesIn = (folder: string): Promise<string[]> => readdir(folder).catch(() => []);
  for (const name of await namesIn(learning))
    if (isTemporary(name)) await rm(join(learning, name), { force: true });
  // A log that is not there any more says nothing of what it had.
  if (changes.length === 0) return;
  const real = (folder: string): Promise<string> => realpath(folder).catch(() => folder);
  const known = new Set(
    await Promise.all([given, ...changes.flatMap(({ folder = [] }) => folder)].map(real)),
  );
  for (const name of await namesIn(versions)) {
    const folder = join(versions, name);
    if (!known.has(await real(folder))) await rm(folder, { recursive: true, force: true });
  }
};
