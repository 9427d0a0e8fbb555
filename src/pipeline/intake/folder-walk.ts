import type { Dirent } from 'node:fs';
import { readdir, realpath, stat } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { codeOf } from '../errors.js';

/** One folder below a root, with the files in it. */
export interface WalkedFolder {
  /** Path below the root, with forward slashes; empty for the root itself. */
  readonly path: string;
  /** Names, in no particular order, links that are followed among them. */
  readonly files: readonly string[];
}

export interface WalkOptions {
  /** Paths below the root that are not looked at. */
  readonly ignored: (path: string) => boolean;
  /** Links are followed wherever they lead. */
  readonly anywhere: boolean;
  /** Hears of folders that cannot be read, which are then left out. */
  readonly failed: (path: string, error: unknown) => void;
  /** Hears of links that leave the root, where these are not followed. */
  readonly refused: (path: string) => void;
  readonly signal: AbortSignal;
}

/**
 * A folder and all below it, hidden ones left out, each once: links may run in circles. What is there by itself comes before
 * what links lead to, so that a link to it, such as `latest`, gives it no other name.
 * @throws the system's error when the root itself cannot be read
 */
export async function* walk(root: string, options: WalkOptions): AsyncGenerator<WalkedFolder> {
  const { ignored, signal } = options;
  const realRoot = await realpath(root);
  const inside = realRoot.endsWith(sep) ? realRoot : realRoot + sep;
  const visited = new Set<string>();
  type Way = readonly [path: string, real: string];
  /** Links to folders, in the order in which they were found. */
  const links: Way[] = [];

  async function* descend(folder: string, real: string): AsyncGenerator<WalkedFolder> {
    signal.throwIfAborted();
    if (visited.has(real)) return;
    visited.add(real);
    const files: string[] = [];
    const others: Dirent[] = [];
    for (const item of await readdir(join(root, folder), { withFileTypes: true })) {
      if (item.name.startsWith('.')) continue;
      if (!item.isFile()) others.push(item);
      else if (!ignored(pathOf(folder, item.name))) files.push(item.name);
    }
    const below: Way[] = [];
    // In order: which of two links to a folder counts must not depend on the disk.
    for (const item of others.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const path = pathOf(folder, item.name);
      if (ignored(path)) continue;
      const target = await targetOf(item, join(root, path), join(real, item.name));
      if (target === undefined) continue;
      const leaves = target.real !== realRoot && !target.real.startsWith(inside);
      if (item.isSymbolicLink() && leaves && !options.anywhere) options.refused(path);
      else if (target.kind === 'file') files.push(item.name);
      else (item.isSymbolicLink() ? links : below).push([path, target.real]);
    }
    yield { path: folder, files };
    for (const way of below) yield* descendIfReadable(way);
  }
  async function* descendIfReadable([path, real]: Way): AsyncGenerator<WalkedFolder> {
    try {
      yield* descend(path, real);
    } catch (error) {
      signal.throwIfAborted();
      if (codeOf(error) !== 'ENOENT') options.failed(path, error);
    }
  }
  yield* descend('', realRoot);
  for (let way = links.shift(); way !== undefined; way = links.shift()) yield* descendIfReadable(way);
}

/** A path below the root. */
export const pathOf = (folder: string, name: string): string => (folder === '' ? name : `${folder}/${name}`);

/**
 * What an item is, links resolved; undefined for what is neither file nor folder. A link that points nowhere may be a
 * file whose target is still to come: whoever opens it will say so.
 */
const targetOf = async (
  item: Dirent,
  path: string,
  real: string,
): Promise<{ readonly kind: 'file' | 'folder'; readonly real: string } | undefined> => {
  if (item.isDirectory()) return { kind: 'folder', real };
  if (!item.isSymbolicLink()) return undefined;
  try {
    const target = await realpath(path);
    return { kind: (await stat(target)).isDirectory() ? 'folder' : 'file', real: target };
  } catch {
    return { kind: 'file', real }; // it points nowhere, or not yet
  }
};
