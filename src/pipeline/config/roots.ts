import { basename, resolve, sep } from 'node:path';
import { UsageError } from '../errors.js';
import type { AttachConfig } from './config.js';
import type { FilesOptions } from './root-options.js';

/** A folder that frames appear in, with everything that is to be known of it. */
export interface Root extends FilesOptions {
  /** Absolute. */
  readonly directory: string;
  /** What its series are called, where the user says so. */
  readonly as?: string | undefined;
  readonly atomic: boolean;
  readonly watch?: AttachConfig['watch'] | undefined;
}

export type RootSettings = Pick<AttachConfig, 'directory' | 'roots'> &
  Pick<AttachConfig, 'include' | 'ignore' | 'pattern' | 'doneMarker' | 'atomic' | 'links' | 'watch'>;

/** The folders of a run, at least one. @throws UsageError when none is named */
export const rootsOf = (settings: RootSettings): Root[] => {
  const { directory, roots = [], include, ignore, pattern, doneMarker, atomic, links, watch } = settings;
  const shared = { include, ignore, pattern, doneMarker, atomic, links, watch };
  const all = [...(directory === undefined ? [] : [directory]), ...roots].map((root) => {
    const own = typeof root === 'string' ? { directory: root } : root;
    return { ...shared, ...own, directory: resolve(own.directory) } as Root;
  });
  if (all.length > 0) return all;
  throw new UsageError('the directory to attach to is missing');
};

/** The directories of a run, for people. */
export const describeRoots = (settings: RootSettings): string =>
  rootsOf(settings)
    .map(({ directory }) => directory)
    .join(', ');

/** @throws UsageError when one of these folders (real paths) is another or lies in it: its files would be seen twice */
export const requireApart = (directories: readonly string[]): void => {
  for (const [k, outer] of directories.entries())
    for (const [l, inner] of directories.entries()) {
      if (k === l || !`${inner}${sep}`.startsWith(outer.endsWith(sep) ? outer : outer + sep)) continue;
      throw new UsageError(
        inner === outer ? `${inner} is named twice` : `${inner} lies in ${outer}, and would be read twice`,
        { hint: inner === outer ? 'name it once' : 'name one of them' },
      );
    }
};

/** Directories by the names that their series had in earlier runs. */
export type RootNames = Readonly<Record<string, string>>;

/**
 * What the series of each root are called: what the user says, else the name that it had `before`, else the end of its path,
 * as short as it can be told from the others: `frames`, or `run1/frames` and `run2/frames`. A name of before belongs to its
 * directory for as long as that `isThere`; then to one of the same end, which may be where it was moved to.
 * @throws UsageError when two are called the same
 */
export const nameRoots = (
  roots: readonly Pick<Root, 'directory' | 'as'>[],
  before: RootNames,
  isThere: (directory: string) => boolean = () => false,
): string[] => {
  const remembered = new Map(Object.entries(before).map(([name, directory]) => [directory, name]));
  const named = new Map<string, string>();
  for (const { directory, as } of roots) {
    if (as === undefined) continue;
    const other = [...named].find(([, name]) => clash(name, as));
    if (other !== undefined)
      throw new UsageError(
        `series of ${other[0]} and of ${directory} would have the same names: ${other[1]}, ${as}`,
        { hint: 'call them differently, neither with the name of the other and a slash in front' },
      );
    named.set(directory, as);
  }
  const others = Object.entries(before).flatMap(([name, directory]) =>
    roots.some((root) => root.directory === directory) || !isThere(directory) ? [] : [name],
  );
  const isFree = (name: string): boolean =>
    ![...named.values(), ...others].some((taken) => clash(taken, name));
  for (const { directory } of roots) {
    const name = named.has(directory) ? undefined : remembered.get(directory);
    if (name !== undefined && isFree(name)) named.set(directory, name);
  }
  for (let parts = 1; named.size < roots.length; parts++) {
    const ends = roots
      .filter(({ directory }) => !named.has(directory))
      .map(({ directory }) => ({ directory, name: endOf(directory, parts) }));
    for (const { directory, name } of ends) {
      const alone = ends.every((other) => other.directory === directory || !clash(other.name, name));
      const whole = parts > directory.split(sep).length;
      if ((alone && isFree(name)) || whole) named.set(directory, whole && !isFree(name) ? directory : name);
    }
  }
  return roots.map(({ directory }) => named.get(directory) ?? directory);
};

/** A series of one root could be called as one of the other. */
const clash = (a: string, b: string): boolean => a === b || a.startsWith(`${b}/`) || b.startsWith(`${a}/`);

const endOf = (directory: string, parts: number): string =>
  directory
    .split(sep)
    .filter((part) => part !== '')
    .slice(-parts)
    .join('/') ||
  basename(directory) ||
  'root';
