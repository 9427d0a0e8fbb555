import { existsSync } from 'node:fs';
import { readdir, realpath, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { StartupError, UsageError } from '../errors.js';
import { filesOf } from '../config/root-options.js';
import type { Root, RootNames } from '../config/roots.js';
import { nameRoots, requireApart } from '../config/roots.js';
import type { Ledger } from '../ledger/ledger.js';
import type { Incomplete, Source } from '../plugins/plugin.js';
import { createPlugin } from '../plugins/registry.js';
import type { Entry } from '../frame.js';
import type { Codecs } from './input.js';
import { ownOutput, realPathOf, requireDirectory, validator } from './input.js';
import { withStacks } from './stacks.js';
import type { Start } from './start-at.js';
import { startAt } from './start-at.js';

/** @throws StartupError when one of them is not there, UsageError when one lies in another or output would lie in one */
export const requireRoots = async (roots: readonly Root[], outputs: readonly string[]): Promise<void> => {
  for (const { directory } of roots) {
    await requireDirectory(directory);
    if ((await Promise.all(outputs.map(realPathOf))).includes(await realPathOf(directory)))
      throw new UsageError(`output and state cannot go into the watched directory itself: ${directory}`, {
        hint: 'give --out another folder; one below it is fine',
      });
  }
  requireApart(await Promise.all(roots.map(({ directory }) => realpath(directory))));
};

/** @throws StartupError where another file system was mounted at this folder in the run before, and none is now */
const requireMounted = async (directory: string, name: string, ledger: Ledger): Promise<void> => {
  const key = `mount:${name}`;
  const real = await realpath(directory);
  const isMount = (await stat(real)).dev !== (await stat(dirname(real))).dev;
  // What was not finished would count as lost, and is not taken up again.
  if (!isMount && ledger.note(key) === true && (await readdir(real)).length === 0)
    throw new StartupError(`${directory} is empty, and was a file system of its own before: is it mounted?`, {
      hint: 'mount it; if it is meant to be empty, begin anew with another --state folder',
    });
  ledger.putNote(key, isMount ? true : undefined);
};

export interface OpenRootsOptions {
  readonly roots: readonly Root[];
  readonly start: Start;
  /** Folders that the run writes into: not looked at. */
  readonly outputs: readonly string[];
  readonly codecs: Codecs;
  readonly ledger: Ledger;
  readonly notice: (message: string) => void;
}

/** A root as the stage `watch` follows it. */
export interface OpenRoot {
  readonly source: Source;
  readonly atomic: boolean;
  validate(entry: Entry): Promise<Incomplete>;
  owns(series: string): boolean;
  pick(entries: readonly Entry[]): readonly Entry[];
}

/**
 * The sources of a run, not opened yet. What each root's series are called stays as it is for as long as there is the state.
 * @throws UsageError when two would be called the same, StartupError when one does not seem to be mounted
 */
export const createRoots = async (options: OpenRootsOptions): Promise<OpenRoot[]> => {
  const { roots, ledger, codecs, notice } = options;
  const before = (ledger.note('roots') ?? {}) as RootNames;
  const names = nameRoots(roots, before, existsSync);
  const now = Object.fromEntries(roots.map(({ directory }, k) => [names[k] ?? directory, directory]));
  ledger.putNote('roots', { ...before, ...now });
  for (const [name, directory] of Object.entries(now)) await requireMounted(directory, name, ledger);
  return Promise.all(
    roots.map(async ({ directory, atomic, ...root }, k): Promise<OpenRoot> => {
      const name = names[k] ?? directory;
      const ignore = [...(root.ignore ?? []), ...(await ownOutput(directory, options.outputs))];
      const source = await createPlugin(
        'source',
        'directory',
        { ...filesOf(root), directory, as: name, ignore, watch: root.watch },
        { log: notice, extensions: codecs.extensions, stackExtensions: codecs.stackExtensions },
      );
      const owns = (series: string): boolean => series === name || series.startsWith(`${name}/`);
      const { pick, isLeftOut } = startAt(options.start, name, { ledger, notice, owns });
      const validate = validator(codecs.for);
      return {
        ...withStacks(source, { ledger, codecFor: codecs.for, notice, validate, isLeftOut }),
        // A file that is said to be finished need not stand still.
        atomic: atomic || root.doneMarker !== undefined,
        owns,
        pick,
      };
    }),
  );
};
