import { lstat, readdir, stat } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import picomatch from 'picomatch';
import { defer, NEVER } from 'rxjs';
import { z } from 'zod';
import { filesShape, rootOptions } from '../../src/pipeline/config/root-options.js';
import { StartupError, codeOf, messageOf } from '../../src/pipeline/errors.js';
import type { Entry } from '../../src/pipeline/frame.js';
import { createDealtWith } from '../../src/pipeline/intake/dealt-with.js';
import { doneMarker } from '../../src/pipeline/intake/done-marker.js';
import { watchFolders, type WatchedFolder } from '../../src/pipeline/intake/folder-watch.js';
import { pathOf, walk } from '../../src/pipeline/intake/folder-walk.js';
import { frameNames, type Named } from '../../src/pipeline/intake/frame-names.js';
import { networkFileSystemOf } from '../../src/pipeline/intake/network-file-systems.js';
import {
  entryAt,
  entryOf,
  inParts,
  revisionOf,
  type NamedFile,
} from '../../src/pipeline/intake/revisions.js';
import { defineSource } from '../../src/pipeline/plugins/plugin.js';
import { tellOnce } from '../../src/pipeline/tell-once.js';

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
    watch: rootOptions.watch.default('auto'),
  }),
  create: (options, context) => {
    const root = resolve(options.directory);
    const rootName = options.as ?? (basename(root) || 'root');
    const { extensions, stackExtensions = [] } = context;
    const named = frameNames({ extensions, stackExtensions, pattern: options.pattern });
    const included = options.include.length > 0 ? matcherOf(options.include) : () => true;
    const ignored = options.ignore.length > 0 ? matcherOf(options.ignore) : () => false;
    const marker = options.doneMarker === undefined ? undefined : doneMarker(options.doneMarker);
    const dealtWith = createDealtWith();
    const tell = tellOnce((message) => {
      context.log(message);
    });

    const whatIs = (path: string): Named => (included(path) ? named(path) : { kind: 'other' });
    const frameOf = (path: string, what: Frame): NamedFile => {
      const series = what.series === '' ? rootName : pathOf(rootName, what.series);
      const place = { series, path: join(root, path) };
      return what.kind === 'frame' ? { ...place, index: what.index } : { ...place, index: 0, item: 0 };
    };
    const frameAt = (path: string): NamedFile | undefined => {
      const what = whatIs(path);
      return what.kind === 'frame' || what.kind === 'stack' ? frameOf(path, what) : undefined;
    };
    /** It, or a folder on the way to it, is not looked at. */
    const isIgnored = (path: string): boolean => {
      const parts = path.split('/');
      return parts.some((_, k) => ignored(parts.slice(0, k + 1).join('/')));
    };

    /** Folders that the last scan could not read. */
    let unreadable: readonly string[] = [];
    /** Where the root lay when there was something in it. */
    let device: number | undefined;
    /** Frames by their names, but for those that were dealt with, and what is told of files that are none. */
    const scanNames = async (signal: AbortSignal): Promise<NamedFile[]> => {
      const { dev } = await stat(root);
      const [refused, unread]: [string[], string[]] = [[], []];
      const folders = walk(root, {
        ignored,
        anywhere: options.links === 'anywhere',
        failed: (path, error) => {
          unread.push(join(root, path) + sep);
          tell(path, `cannot read ${join(root, path)}: ${messageOf(error)}`);
        },
        refused: (path) => {
          refused.push(path);
        },
        signal,
      });
      const [found, others, unnumbered, unmarked]: [NamedFile[], string[], string[], string[]] = [
        [],
        [],
        [],
        [],
      ];
      const watched: WatchedFolder[] = [];
      const round = dealtWith.begin();
      let all = 0;
      for await (const { path: folder, files } of folders) {
        watched.push({ path: join(root, folder), files: files.length });
        all += files.length;
        const names = marker === undefined ? undefined : new Set(files);
        for (const name of round.due(folder, files)) {
          const path = pathOf(folder, name);
          if (marker?.isMarker(name) === true) continue;
          const what = whatIs(path);
          if (what.kind === 'other') others.push(path);
          else if (what.kind === 'no number') unnumbered.push(path);
          else if (what.kind === 'temporary') continue;
          else if (names !== undefined && marker?.isDone(name, names) === false) unmarked.push(path);
          else found.push(frameOf(path, what));
        }
      }
      round.end();
      unreadable = unread;
      watcher.follow(watched);
      if (all === 0 && device !== undefined && dev !== device)
        throw new Error('it is empty, and on another file system than before: it seems to be unmounted');
      const none = found.length + dealtWith.size === 0;
      if (!none) device = dev;
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
      if (!none) return found;
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

    /** Keeps whether it was dealt with. A file of several frames never is: it may grow. */
    const settle = ({ path, item }: Entry, isDone: boolean): boolean => {
      if (item !== undefined) return false;
      const folder = relative(root, dirname(path)).replaceAll(sep, '/');
      if (isDone) dealtWith.add(folder, basename(path));
      else dealtWith.delete(folder, basename(path));
      return isDone;
    };

    let gone = false;
    const scan = async (
      signal: AbortSignal,
      isDone: (entry: Entry) => boolean = () => false,
    ): Promise<readonly Entry[]> => {
      try {
        const found = await scanNames(signal);
        if (gone) context.log(`${root} is back`);
        gone = false;
        const entries: Entry[] = [];
        for (const entry of await inParts(found, entryAt, signal))
          if (entry !== undefined && !settle(entry, isDone(entry))) entries.push(entry);
        return entries;
      } catch (error) {
        signal.throwIfAborted();
        const reason = `${root} cannot be read: ${messageOf(error)}`;
        const before = gone;
        gone = true;
        // A network that is away, say: nobody knows what is there.
        if (codeOf(error) !== 'ENOENT') throw new Error(reason, { cause: error });
        if (!before) context.log(`${reason}; going on when it is back`);
        return [];
      }
    };

    /** A frame, nothing, or undefined for what a scan has to tell. */
    const lookAt = async (path: string): Promise<Entry | 'nothing' | undefined> => {
      const below = relative(root, path).replaceAll(sep, '/');
      const found = await lstat(path, { bigint: true }).catch(() => undefined);
      if (found === undefined || isHidden(below) || isIgnored(below)) return 'nothing';
      // A folder, a link: which way to a file counts, and whether it leaves the root. A marker speaks for other files.
      if (!found.isFile() || marker !== undefined) return undefined;
      const frame = frameAt(below);
      return frame === undefined ? 'nothing' : entryOf(frame, revisionOf(found));
    };
    const look = async (
      paths: readonly string[],
      signal: AbortSignal,
    ): Promise<readonly Entry[] | undefined> => {
      const found = await inParts(paths, lookAt, signal);
      if (found.includes(undefined)) return undefined;
      return found.filter((entry) => typeof entry === 'object');
    };

    const watcher = watchFolders((reason) => {
      tell('watcher', `cannot watch ${root} for changes (${reason}): it is scanned regularly instead`);
    });
    let announced = options.watch !== 'never';

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
        const network = options.watch === 'auto' ? await networkFileSystemOf(root) : undefined;
        if (network !== undefined)
          tell(
            'network',
            `${root} is on ${network}, where changes are not announced: it is scanned regularly`,
          );
        if (network !== undefined) announced = false;
      },
      scan,
      look,
      isThere: async (path) => {
        const below = relative(root, path).replaceAll(sep, '/');
        return frameAt(below) !== undefined && !isIgnored(below) && (await exists(path));
      },
      unseen: (path) => unreadable.some((folder) => path.startsWith(folder)),
      hints: defer(() => (announced ? watcher.hints : NEVER)),
      close: () => Promise.resolve(),
    };
  },
});

/**
 * As in .gitignore: patterns without a slash match names in every folder, others paths below the root, where one in front
 * says nothing more.
 */
const matcherOf = (patterns: readonly string[]): ((path: string) => boolean) => {
  const matchers = patterns.map((pattern) =>
    picomatch(pattern.replace(/^\//, ''), { basename: !pattern.includes('/') }),
  );
  return (path) => matchers.some((matches) => matches(path));
};

/** A link that points nowhere is itself a file. */
const exists = async (path: string): Promise<boolean> =>
  lstat(path).then(
    () => true,
    (error: unknown) => codeOf(error) !== 'ENOENT' && codeOf(error) !== 'ENOTDIR',
  );

type Frame = Extract<Named, { readonly kind: 'frame' | 'stack' }>;

const isHidden = (path: string): boolean => path.split('/').some((part) => part.startsWith('.'));

/** The first in order, so that the same folder gives the same message everywhere. */
const least = (paths: readonly string[]): string =>
  paths.reduce((first, path) => (path < first ? path : first), paths[0] ?? '');
const whyNot = (error: unknown): string =>
  codeOf(error) === 'ENOENT' ? 'there is no such folder' : messageOf(error);
