import { homedir } from 'node:os';
import { join } from 'node:path';

/**
 * Where optimised programs are kept between runs of the process: MESOCAST_CACHE, or the user's cache folder.
 * Undefined for `MESOCAST_CACHE=off`, and where the user has no home.
 */
export const cacheFolder = (home: () => string = homedir): string | undefined => {
  const { MESOCAST_CACHE: chosen, XDG_CACHE_HOME: xdg, LOCALAPPDATA: local } = process.env;
  if (chosen === 'off') return undefined;
  if (chosen !== undefined && chosen !== '') return join(chosen, 'programs');
  try {
    const user =
      process.platform === 'win32'
        ? (local ?? join(home(), 'AppData', 'Local'))
        : process.platform === 'darwin'
          ? join(home(), 'Library', 'Caches')
          : xdg || join(home(), '.cache');
    return join(user, 'mesocast', 'programs');
  } catch {
    return undefined; // no HOME, and a number for a user that the system does not know, as in containers
  }
};
