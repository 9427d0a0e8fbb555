import { Worker } from 'node:worker_threads';
import { Observable } from 'rxjs';
import type { Hint } from '../plugins/plugin.js';

/** What the thread says: paths that may have changed (none: anything may), or why it cannot watch. */
export type WatchNews = { readonly paths: readonly string[] | undefined } | { readonly error: string };

/** A folder that is there, absolute, and how many files are in it. */
export interface WatchedFolder {
  readonly path: string;
  readonly files: number;
}

/** Hints of changes in folders, from a thread of its own. */
export interface FolderWatch {
  /** Absolute paths of files that may have changed. The thread lives as long as somebody listens. */
  readonly hints: Observable<Hint>;
  /** The folders that are there now: those below them are not watched by themselves. */
  follow(folders: readonly WatchedFolder[]): void;
}

/** `failed` hears, perhaps often, why folders cannot be watched. */
export const watchFolders = (failed: (reason: string) => void): FolderWatch => {
  const workers = new Set<Worker>();
  return {
    hints: new Observable<Hint>((subscriber) => {
      const worker = new Worker(new URL('./folder-watch-worker.js', import.meta.url));
      worker.unref();
      workers.add(worker);
      worker.on('message', (news: WatchNews) => {
        if ('error' in news) failed(news.error);
        else {
          subscriber.next(news.paths);
          worker.postMessage('more');
        }
      });
      worker.on('error', (error) => {
        workers.delete(worker);
        failed(String(error));
      });
      return () => {
        workers.delete(worker);
        void worker.terminate();
      };
    }),
    follow: (folders) => {
      for (const worker of workers) worker.postMessage(folders);
    },
  };
};
