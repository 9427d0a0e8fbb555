import { watch as watchFiles } from 'chokidar';
import { lstat, readdir, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import picomatch from 'picomatch';
import { Observable } from 'rxjs';
import { z } from 'zod';
import { filesShape } from '../../src/pipeline/config/root-options.js';
import { StartupError, codeOf, messageOf } from '../../src/pipeline/errors.js';
import type { Entry } from '../../src/pipeline/frame.js';
import { doneMarker } from '../../src/pipeline/intake/done-marker.js';
import { pathOf, walk } from '../../src/pipeline/intake/folder-walk.js';
import { frameNames } from '../../src/pipeline/intake/frame-names.js';
import { defineSource } from '../../src/pipeline/plugins/plugin.js';

/**
 * A folder that frames are written into, one file each; folders below it are series of their own. The frame's number is
 * the last run of digits in the file's name, or what `pattern` says. Hidden files, `*.tmp` and `*.part` are skipped.
 */
export const directory = defineSource({
  name: 'directory',
  summary: 'a folder that one file per frame is written into, with the folders below it',
  options: z.strictObject({
    directory: z.string().describe('the folder'),
    as: z.string().optional().describe('what its series are called; default: the name of the folder'),
    ...filesShape,
  }),
  create: (options, context) => {
    const root = resolve(options.directory);
    const rootName = options.as ?? (basename(root) || 'root');
    const { extensions, stackExtensions = [] } = context;
    const named = frameNames({ extensions, stackExtensions, pattern: options.pattern });
    const included = options.include.length > 0 ? matcherOf(options.include) : () => true;
    const ignored = matcherOf(options.ignore);
    const marker = options.doneMarker === undefined ? undefined : doneMarker(options.doneMarker);
    const tell = tellOnce((message) => {
      context.log(message);
    });

    /** Frames by their names, and what is told of files that are none. */
    const scanNames = async (signal: AbortSignal): Promise<Found[]> => {
      const { folders, refused } = await walk(root, {
        ignored,
        anywhere: options.links === 'anywhere',
        failed: (path, error) => {
          tell(path, `cannot read ${join(root, path)}: ${messageOf(error)}`);
        },
        signal,
      });
      const [found, others, unnumbered, unmarked]: [Found[], string[], string[], string[]] = [[], [], [], []];
      for (const { path: folder, files } of folders) {
        const names = marker === undefined ? undefined : new Set(files);
        for (const name of files) {
          const path = pathOf(folder, name);
          if (marker?.isMarker(name) === true) continue;
          const what = included(path) ? named(path) : ({ kind: 'other' } as const);
          if (what.kind === 'other') others.push(path);
          else if (what.kind === 'no number') unnumbered.push(path);
          else if (what.kind === 'temporary') continue;
          else if (names !== undefined && marker?.isDone(name, names) === false) unmarked.push(path);
          else
            found.push({
              series: what.series === '' ? rootName : pathOf(rootName, what.series),
              path: join(root, path),
              ...(what.kind === 'frame' ? { index: what.index } : { index: 0, item: 0 }),
            });
        }
      }
      if (refused.length > 0)
        tell(
          'links',
          `links that leave ${root} are not followed: ${refused.length}, such as ${least(refused)} (--links anywhere follows them)`,
        );
      if (unnumbered.length > 0)
        tell(
          'numbers',
          `files without a number in their name are no frames: ${unnumbered.length}, such as ${least(unnumbered)}`,
        );
      if (found.length > 0) return found;
      // A log file beside the frames is nobody's concern; a folder of nothing else is.
      if (unmarked.length > 0)
        tell(
          'unmarked',
          `no frames in ${root} so far: ${unmarked.length} wait for their marker, such as ${least(unmarked)} for ${marker?.wantedFor(basename(least(unmarked))) ?? ''}`,
        );
      else if (others.length > 0) tell('others', `no frames in ${root} so far: ${whyOther(least(others))}`);
      return found;
    };

    const whyOther = (path: string): string => {
      if (!included(path)) return `${path} is not among those that are included`;
      const isRead = extensions.some((extension) => path.toLowerCase().endsWith(extension));
      return isRead
        ? `${path} does not match ${options.pattern ?? ''}`
        : `${path} is not one (${extensions.join(', ')} are read)`;
    };

    let gone = false;
    const scan = async (signal: AbortSignal): Promise<readonly Entry[]> => {
      try {
        const found = await scanNames(signal);
        if (gone) context.log(`${root} is back`);
        gone = false;
        return await statAll(found, signal);
      } catch (error) {
        signal.throwIfAborted();
        if (!gone) context.log(`${root} cannot be read: ${messageOf(error)}; going on when it is back`);
        gone = true;
        return [];
      }
    };

    const hints = new Observable<void>((subscriber) => {
      const watcher = watchFiles(root, {
        ignoreInitial: true,
        followSymlinks: false,
        ignored: (path) => path !== root && basename(path).startsWith('.'),
      });
      watcher.on('all', () => {
        subscriber.next();
      });
      watcher.on('error', (error) => {
        tell(
          'watcher',
          `cannot watch ${root} for changes (${messageOf(error)}): it is scanned regularly instead`,
        );
      });
      return () => {
        void watcher.close();
      };
    });

    return {
      open: async () => {
        const hint = 'name the folder that the simulation writes its frames into; make it first if need be';
        const found = await stat(root).catch((error: unknown) => {
          throw new StartupError(`cannot attach to ${root}: ${whyNot(error)}`, { cause: error, hint });
        });
        if (!found.isDirectory())
          throw new StartupError(`cannot attach to ${root}: it is not a folder`, { hint });
        await readdir(root).catch((error: unknown) => {
          throw new StartupError(`cannot attach to ${root}: ${whyNot(error)}`, { cause: error, hint });
        });
      },
      scan,
      hints,
      close: () => Promise.resolve(),
    };
  },
});

/** Patterns without a slash match names in every folder, as in .gitignore; others match paths below the root. */
const matcherOf = (patterns: readonly string[]): ((path: string) => boolean) => {
  const matchers = patterns.map((pattern) => picomatch(pattern, { basename: !pattern.includes('/') }));
  return (path) => matchers.some((matches) => matches(path));
};

/** Tells each thing once. */
const tellOnce = (log: (message: string) => void): ((key: string, message: string) => void) => {
  const said = new Set<string>();
  return (key, message) => {
    if (!said.has(key)) log(message);
    said.add(key);
  };
};

type Found = Omit<Entry, 'revision'>;

/** The first in order, so that the same folder gives the same message everywhere. */
const least = (paths: readonly string[]): string =>
  paths.reduce((first, path) => (path < first ? path : first), paths[0] ?? '');
const whyNot = (error: unknown): string =>
  codeOf(error) === 'ENOENT' ? 'there is no such folder' : messageOf(error);

/** Enough to hide the latency of a network file system, few enough not to starve others of the thread pool. */
const STATS_AT_ONCE = 32;

const statAll = async (files: readonly Found[], signal: AbortSignal): Promise<Entry[]> => {
  const entries: Entry[] = [];
  for (let i = 0; i < files.length; i += STATS_AT_ONCE) {
    signal.throwIfAborted();
    const some = files.slice(i, i + STATS_AT_ONCE).map(async (found): Promise<Entry | undefined> => {
      try {
        const { size, mtimeNs } = await stat(found.path, { bigint: true }).catch(() =>
          lstat(found.path, { bigint: true }),
        );
        return { ...found, revision: { size: Number(size), mtimeNs: String(mtimeNs) } };
      } catch {
        return undefined; // it went away since the folder was read
      }
    });
    for (const entry of await Promise.all(some)) if (entry !== undefined) entries.push(entry);
  }
  return entries;
};
