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

export interface Walk {
  readonly folders: readonly WalkedFolder[];
  /** Paths of links that leave the root, where these are not followed. */
  readonly refused: readonly string[];
}

export interface WalkOptions {
  /** Paths below the root that are not looked at. */
  readonly ignored: (path: string) => boolean;
  /** Links are followed wherever they lead. */
  readonly anywhere: boolean;
  /** Hears of folders that cannot be read, which are then left out. */
  readonly failed: (path: string, error: unknown) => void;
  readonly signal: AbortSignal;
}

/**
 * A folder and all below it, hidden ones left out, each once: links may run in circles.
 * @throws the system's error when the root itself cannot be read
 */
export const walk = async (root: string, options: WalkOptions): Promise<Walk> => {
  const { ignored, signal } = options;
  const realRoot = await realpath(root);
  const inside = realRoot.endsWith(sep) ? realRoot : realRoot + sep;
  const visited = new Set<string>();
  const folders: WalkedFolder[] = [];
  const refused: string[] = [];

  const descend = async (below: string, real: string): Promise<void> => {
    signal.throwIfAborted();
    if (visited.has(real)) return;
    visited.add(real);
    const files: string[] = [];
    const others: Dirent[] = [];
    for (const item of await readdir(join(root, below), { withFileTypes: true })) {
      if (item.name.startsWith('.')) continue;
      if (!item.isFile()) others.push(item);
      else if (!ignored(pathOf(below, item.name))) files.push(item.name);
    }
    folders.push({ path: below, files });
    // In order: which of two ways to a folder counts must not depend on the disk.
    for (const item of others.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const path = pathOf(below, item.name);
      if (ignored(path)) continue;
      const target = await targetOf(item, join(root, path), join(real, item.name));
      if (target === undefined) continue;
      const leaves = target.real !== realRoot && !target.real.startsWith(inside);
      if (item.isSymbolicLink() && leaves && !options.anywhere) refused.push(path);
      else if (target.kind === 'file') files.push(item.name);
      else
        await descend(path, target.real).catch((error: unknown) => {
          signal.throwIfAborted();
          if (codeOf(error) !== 'ENOENT') options.failed(path, error);
        });
    }
  };
  await descend('', realRoot);
  return { folders, refused };
};

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
