import { watch as watchFiles } from 'chokidar';
import type { Dirent } from 'node:fs';
import { lstat, readdir, realpath, stat } from 'node:fs/promises';
import { basename, join, resolve, sep } from 'node:path';
import picomatch from 'picomatch';
import { Observable } from 'rxjs';
import { z } from 'zod';
import { StartupError, codeOf, messageOf } from '../../src/pipeline/errors.js';
import type { Entry } from '../../src/pipeline/frame.js';
import { defineSource } from '../../src/pipeline/plugins/plugin.js';

/**
 * A folder that frames are written into, one file each; folders below it are series of their own. The frame's number is
 * the last run of digits in the file's name. Hidden files, `*.tmp` and `*.part` are skipped.
 */
export const directory = defineSource({
  name: 'directory',
  summary: 'a folder that one file per frame is written into, with the folders below it',
  options: z.strictObject({
    directory: z.string().describe('the folder'),
    include: z
      .array(z.string())
      .default([])
      .describe('only files whose path below the folder matches one of these'),
    ignore: z.array(z.string()).default([]).describe('skip files and folders that match one of these'),
  }),
  create: (options, context) => {
    const { extensions, stackExtensions = [] } = context;
    const root = resolve(options.directory);
    const included = options.include.length > 0 ? matcherOf(options.include) : () => true;
    const ignored = matcherOf(options.ignore);
    const said = new Set<string>();
    const logOnce = (key: string, message: string): void => {
      if (!said.has(key)) context.log(message);
      said.add(key);
    };

    const frameOf = (name: string): { index: number } | 'no number' | undefined => {
      const lower = name.toLowerCase();
      if (isTemporary(lower)) return undefined;
      const ending = extensions.filter((extension) => lower.endsWith(extension)).sort(longestFirst)[0];
      if (ending === undefined) return undefined;
      const digits = /(\d+)\D*$/.exec(name.slice(0, name.length - ending.length))?.[1];
      const index = Number(digits);
      return digits === undefined || !Number.isSafeInteger(index) ? 'no number' : { index };
    };

    const seriesOf = (below: string): string => (below === '' ? nameOf(root) : `${nameOf(root)}/${below}`);

    /** Collects the frames of one folder and those below it. `visited` holds real paths: links may run in circles. */
    const collect = async (state: Scan, below: string, real: string): Promise<void> => {
      state.signal.throwIfAborted();
      if (state.visited.has(real)) return;
      state.visited.add(real);
      const folder = join(root, below);
      const names = await readdir(folder, { withFileTypes: true });
      const files: Found[] = [];
      for (const item of names.sort((a, b) => (a.name < b.name ? -1 : 1))) {
        if (item.name.startsWith('.')) continue;
        const path = below === '' ? item.name : `${below}/${item.name}`;
        const target = await kindOf(item, join(folder, item.name), state.realRoot, join(real, item.name));
        if (target === undefined || ignored(path)) continue;
        if (target.kind === 'elsewhere') {
          logOnce('links', `links that leave ${root} are not followed, such as ${path}`);
          continue;
        }
        if (target.kind === 'folder') {
          await collect(state, path, target.real).catch((error: unknown) => {
            state.signal.throwIfAborted();
            if (codeOf(error) !== 'ENOENT')
              logOnce(path, `cannot read ${join(root, path)}: ${messageOf(error)}`);
          });
          continue;
        }
        const frame = included(path) ? frameOf(item.name) : undefined;
        if (frame === undefined && !isTemporary(item.name.toLowerCase())) state.others.push(path);
        if (
          frame === 'no number' &&
          stackExtensions.some((ending) => item.name.toLowerCase().endsWith(ending))
        )
          state.entries.push(
            ...(await statAll(
              `${seriesOf(below)}/${item.name}`,
              [{ path: join(folder, item.name), index: 0, item: 0 }],
              state.signal,
            )),
          );
        else if (frame === 'no number') state.unnumbered.push(path);
        else if (frame !== undefined) files.push({ path: join(folder, item.name), index: frame.index });
      }
      state.entries.push(...(await statAll(seriesOf(below), files, state.signal)));
    };

    let gone = false;
    const scan = async (signal: AbortSignal): Promise<readonly Entry[]> => {
      try {
        const realRoot = await realpath(root);
        const state: Scan = { signal, realRoot, visited: new Set(), entries: [], unnumbered: [], others: [] };
        await collect(state, '', realRoot);
        if (gone) context.log(`${root} is back`);
        gone = false;
        const [example] = state.unnumbered;
        if (example !== undefined)
          logOnce(
            '',
            `files without a number in their name are no frames: ${state.unnumbered.length}, such as ${example}`,
          );
        const [other] = state.others;
        // A log file beside the frames is nobody's concern; a folder of nothing else is.
        if (other !== undefined && state.entries.length === 0)
          logOnce(
            'others',
            `no frames in ${root} so far: ${other} ${included(other) ? `is not one (${extensions.join(', ')} are read)` : 'is not among those that are included'}`,
          );
        return state.entries;
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
        logOnce(
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

interface Scan {
  readonly signal: AbortSignal;
  readonly realRoot: string;
  readonly visited: Set<string>;
  readonly entries: Entry[];
  readonly unnumbered: string[];
  /** Files that no codec reads, or that `include` leaves out. */
  readonly others: string[];
}
interface Found {
  readonly path: string;
  readonly index: number;
  /** Set where the file is a series of its own. */
  readonly item?: number;
}

const isTemporary = (name: string): boolean => name.endsWith('.tmp') || name.endsWith('.part');
const longestFirst = (a: string, b: string): number => b.length - a.length;
const nameOf = (root: string): string => basename(root) || 'root';
const whyNot = (error: unknown): string =>
  codeOf(error) === 'ENOENT' ? 'there is no such folder' : messageOf(error);

/**
 * What an item is, links resolved; undefined for what is neither file nor folder. A link that points nowhere may be a
 * file whose target is still to come: whoever opens it will say so.
 */
const kindOf = async (
  item: Dirent,
  path: string,
  realRoot: string,
  real: string,
): Promise<{ kind: 'file' | 'folder' | 'elsewhere'; real: string } | undefined> => {
  if (item.isFile()) return { kind: 'file', real };
  if (item.isDirectory()) return { kind: 'folder', real };
  if (!item.isSymbolicLink()) return undefined;
  try {
    const target = await realpath(path);
    if (target !== realRoot && !target.startsWith(realRoot.endsWith(sep) ? realRoot : realRoot + sep))
      return { kind: 'elsewhere', real: target };
    return { kind: (await stat(target)).isDirectory() ? 'folder' : 'file', real: target };
  } catch {
    return { kind: 'file', real }; // it points nowhere, or not yet
  }
};

/** Enough to hide the latency of a network file system, few enough not to starve others of the thread pool. */
const STATS_AT_ONCE = 32;

const statAll = async (series: string, files: readonly Found[], signal: AbortSignal): Promise<Entry[]> => {
  const entries: Entry[] = [];
  for (let i = 0; i < files.length; i += STATS_AT_ONCE) {
    signal.throwIfAborted();
    const some = files.slice(i, i + STATS_AT_ONCE).map(async (found): Promise<Entry | undefined> => {
      try {
        const { size, mtimeNs } = await stat(found.path, { bigint: true }).catch(() =>
          lstat(found.path, { bigint: true }),
        );
        return { series, ...found, revision: { size: Number(size), mtimeNs: String(mtimeNs) } };
      } catch {
        return undefined; // it went away since the folder was read
      }
    });
    for (const entry of await Promise.all(some)) if (entry !== undefined) entries.push(entry);
  }
  return entries;
};
