// Watches folders for the thread that computes, which may be busy for longer than the kernel's queue of events lasts.
import { watch as watchFiles } from 'chokidar';
import { watch as watchDirectly } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { parentPort } from 'node:worker_threads';
import { messageOf } from '../errors.js';
import type { WatchedFolder, WatchNews } from './folder-watch.js';

/** Milliseconds in which changes are gathered. */
const GATHER = 10;
/** With more paths than this nothing is told but that something changed. */
const MOST_PATHS = 10_000;

const port = parentPort;
if (port === null) throw new Error('this file is a worker thread');

/**
 * With more files than this a folder is watched without chokidar, which lists it again at each change: some 50 us for each
 * file in it.
 */
const MANY_FILES = 64;

interface Watching {
  readonly close: () => void;
  /** Tells the folder from another of its name. */
  readonly identity: string;
  readonly isLarge: boolean;
}
const watching = new Map<string, Watching>();
const changed = new Set<string>();
let anything = false;
let awaited = true;
let timer: NodeJS.Timeout | undefined;

/** One message at a time: what changes until it was taken in is told by the next. */
const tell = (): void => {
  timer = undefined;
  if (!awaited || (changed.size === 0 && !anything)) return;
  const news: WatchNews = { paths: anything || changed.size > MOST_PATHS ? undefined : [...changed] };
  port.postMessage(news);
  changed.clear();
  anything = false;
  awaited = false;
};
const note = (path?: string): void => {
  if (path === undefined) anything = true;
  else if (changed.size <= MOST_PATHS) changed.add(path);
  timer ??= setTimeout(tell, GATHER);
};

const close = (folder: string): void => {
  watching.get(folder)?.close();
  watching.delete(folder);
};
/**
 * The next scan says whether the folder is still there. It is asked for where changes were told before: one that cannot be
 * watched at all would fail again after each scan.
 */
const fail = (folder: string, error: unknown, wasWatched: boolean): void => {
  close(folder);
  const news: WatchNews = { error: messageOf(error) };
  port.postMessage(news);
  if (wasWatched) note();
};
const noteFile = (folder: string, name: unknown): void => {
  if (typeof name !== 'string' || name === '') note();
  else if (!name.startsWith('.')) note(join(folder, name));
};

/** What the system tells of the folder itself is enough: its files need no watcher each. */
const openSmall = (folder: string): (() => void) => {
  let isReady = false;
  const watcher = watchFiles(folder, {
    depth: 0,
    ignoreInitial: true,
    followSymlinks: false,
    ignored: (_path, found) => found?.isFile() ?? false,
  });
  watcher.on('raw', (_event, name, details) => {
    if ((details as { watchedPath?: string }).watchedPath === folder) noteFile(folder, name);
  });
  watcher.on('ready', () => {
    isReady = true;
    note(); // what came before it was watched
  });
  watcher.on('error', (error) => fail(folder, error, isReady));
  return () => void watcher.close();
};
const openLarge = (folder: string): (() => void) => {
  const watcher = watchDirectly(folder, (_type, name) => noteFile(folder, name));
  watcher.on('error', (error) => fail(folder, error, true));
  note(); // what came before it was watched
  return () => watcher.close();
};

const follow = async (folders: readonly WatchedFolder[]): Promise<void> => {
  const wanted = new Set(folders.map(({ path }) => path));
  for (const folder of watching.keys()) if (!wanted.has(folder)) close(folder);
  for (const { path, files } of folders) {
    const found = await stat(path, { bigint: true }).catch(() => undefined);
    // Numbers of folders that are gone are given to new ones.
    const identity = `${found?.dev}:${found?.ino}:${found?.birthtimeNs}`;
    const known = watching.get(path);
    const isLarge = files > MANY_FILES;
    if (found === undefined || (known?.identity === identity && known.isLarge === isLarge)) continue;
    close(path);
    try {
      watching.set(path, { close: (isLarge ? openLarge : openSmall)(path), identity, isLarge });
    } catch (error) {
      fail(path, error, false);
    }
  }
};

let turn: Promise<void> = Promise.resolve();
port.on('message', (message: 'more' | readonly WatchedFolder[]) => {
  if (message === 'more') {
    awaited = true;
    timer ??= setTimeout(tell, GATHER);
  } else turn = turn.then(() => follow(message));
});
