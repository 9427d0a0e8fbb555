import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
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
