import { homedir } from 'node:os';
import { join } from 'node:path';

/**
 * Where optimised programs are kept between runs of the process: MESOCAST_CACHE, or the user's cache folder.
 * Undefined for `MESOCAST_CACHE=off`.
 */
export const cacheFolder = (): string | undefined => {
  const { MESOCAST_CACHE: chosen, XDG_CACHE_HOME: xdg, LOCALAPPDATA: local } = process.env;
  if (chosen === 'off') return undefined;
  if (chosen !== undefined && chosen !== '') return join(chosen, 'programs');
  const user =
    process.platform === 'win32'
      ? (local ?? join(homedir(), 'AppData', 'Local'))
      : process.platform === 'darwin'
        ? join(homedir(), 'Library', 'Caches')
        : xdg || join(homedir(), '.cache');
  return join(user, 'mesocast', 'programs');
};
