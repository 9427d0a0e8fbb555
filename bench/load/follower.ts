import { spawn } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Seen, Spent } from './child.js';

const CHILD = fileURLToPath(new URL('./child.js', import.meta.url));

/** The process that follows a folder, seen from outside. */
export interface Follower {
  /** When each frame came through, milliseconds since the epoch. */
  readonly came: ReadonlyMap<string, number>;
  /** Resident memory in MB, by how many frames had come. */
  readonly resident: readonly (readonly [frames: number, mb: number])[];
  /** CPU seconds that it has used. */
  readonly cpu: number;
  /** Waits until so many frames have come. @throws Error when the process ends before, or 60 s pass without a frame */
  until(frames: number): Promise<void>;
  /** @throws Error when frames ended otherwise than they should */
  stop(): Promise<void>;
}

/** Series and number as one. */
export const keyOf = (series: string, index: number): string => `${series} ${index}`;

/** Follows `directory`, which has to be there, with its state in `home`. */
export const startFollower = async (directory: string, home: string): Promise<Follower> => {
  const state = join(home, 'state');
  await mkdir(state, { recursive: true });
  const child = spawn(process.execPath, [CHILD, JSON.stringify({ directory, state })], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const came = new Map<string, number>();
  const resident: [number, number][] = [];
  let spent: Spent | undefined;
  let cpu = 0;
  createInterface({ input: child.stdout }).on('line', (line) => {
    const news = JSON.parse(line) as Seen | Spent;
    if (!('frames' in news)) {
      spent = news;
      return;
    }
    for (const [series, index, at] of news.frames) came.set(keyOf(series, index), at);
    resident.push([came.size, news.residentMb]);
    cpu = news.cpu;
  });
  const ended = new Promise<void>((resolve) => child.on('close', () => resolve()));
  return {
    came,
    resident,
    get cpu() {
      return cpu;
    },
    until: async (frames) => {
      for (let [before, since] = [-1, Date.now()]; came.size < frames; await pause(20)) {
        if (child.exitCode !== null) throw new Error('the process that follows the folder has ended');
        if (came.size !== before) [before, since] = [came.size, Date.now()];
        else if (Date.now() - since > 60_000) throw new Error(`${frames - came.size} frames do not come`);
      }
    },
    stop: async () => {
      child.kill('SIGTERM');
      await ended;
      if (spent?.observed !== came.size || spent.others > 0)
        throw new Error(`${came.size} frames came, the ledger has ${JSON.stringify(spent)}`);
    },
  };
};
