import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { UsageError } from '../errors.js';

/**
 * The state folder of a run, by its output folder or its own path.
 * @throws UsageError when it is neither
 */
export const findState = (directory: string): string => {
  const [out, state] = [resolve(directory), join(resolve(directory), 'state')];
  const found = [state, out].find((folder) => existsSync(join(folder, 'version')));
  if (found !== undefined) return found;
  throw new UsageError(`${out} is neither the output folder of a run nor its state folder`, {
    hint: 'name the folder that was given as --out or --state',
  });
};
