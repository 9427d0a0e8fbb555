// Watches folders for the thread that computes, which may be busy for longer than the kernel's queue of events lasts.
import { watch, type FSWatcher } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { parentPort } from 'node:worker_threads';
import { messageOf } from '../errors.js';
import type { WatchNews } from './folder-watch.js';

/** Milliseconds in which changes are gathered. */
const GATHER = 10;
/** With more paths than this nothing is told but that something changed. */
const MOST_PATHS = 10_000;

const port = parentPort;
if (port === null) throw new Error('this file is a worker thread');

/** Open watchers by folder, with what tells the folder from another of its name. */
const watchers = new Map<string, { readonly watcher: FSWatcher; readonly identity: string }>();
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
  watchers.get(folder)?.watcher.close();
  watchers.delete(folder);
};

const open = (folder: string, identity: string): void => {
  try {
    const watcher = watch(folder, (_type, name) => {
      if (name === null) note();
      else if (!name.startsWith('.')) note(join(folder, name));
    });
    watcher.on('error', () => {
      close(folder); // the next scan says whether it is still there
      note();
    });
    watchers.set(folder, { watcher, identity });
  } catch (error) {
    const news: WatchNews = { error: messageOf(error) };
    port.postMessage(news);
  }
};

const follow = async (folders: readonly string[]): Promise<void> => {
  const wanted = new Set(folders);
  for (const folder of watchers.keys()) if (!wanted.has(folder)) close(folder);
  for (const folder of folders) {
    const found = await stat(folder, { bigint: true }).catch(() => undefined);
    // Numbers of folders that are gone are given to new ones.
    const identity = `${found?.dev}:${found?.ino}:${found?.birthtimeNs}`;
    const known = watchers.get(folder);
    if (found === undefined || known?.identity === identity) continue;
    close(folder);
    open(folder, identity);
    note(); // what came before it was watched
  }
};

let turn: Promise<void> = Promise.resolve();
port.on('message', (message: 'more' | readonly string[]) => {
  if (message === 'more') {
    awaited = true;
    timer ??= setTimeout(tell, GATHER);
  } else turn = turn.then(() => follow(message));
});
