import { spawn } from 'node:child_process';
import { watch } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { fromRoot, simulate, type Simulated } from '../systems.js';

/** How frames come, and what is done with them. */
export interface Conditions {
  /** Seconds from frame to frame, for the first `frames` of them. */
  readonly interval: number;
  readonly frames: number;
  /** Options of `mesocast attach`. */
  readonly options: readonly string[];
  /** Whether the frames after the first ones are twice as far apart in time: whatever drives the run is doubled. */
  readonly doubled: boolean;
  /** Of the frames after the first ones: enough that forecasts of the first ones can be scored. */
  readonly more: number;
}

/** One lead of scores.jsonl. */
export interface LeadScore {
  readonly lead: number;
  readonly rmse: number;
  readonly persistenceRmse: number;
  readonly linearRmse: number;
  readonly rmseBound?: number;
}
/** One line of scores.jsonl: a forecast, and what became of it. */
export interface Score {
  readonly id: string;
  readonly index: number;
  readonly status: string;
  readonly leads: readonly LeadScore[];
}

/** What a run of `mesocast attach` beside a simulation has left. */
export interface Attached {
  readonly scores: readonly Score[];
  /** Seconds from a frame's file being there to its forecast's line being there, of the first frames. */
  readonly latencies: readonly number[];
  /** Frames at which it was said that the run has changed. */
  readonly alarms: readonly number[];
  /** Frames after which another forecaster took over. */
  readonly changes: readonly number[];
}

/** Seconds between the frames that only serve to score what was forecast before. */
const AFTERWARDS = 0.5;

const lines = async <T>(path: string): Promise<T[]> =>
  (await readFile(path, 'utf8'))
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as T);

interface Arrival {
  readonly index: number;
  /** Milliseconds, as `Date.now()`. */
  readonly at: number;
}

/** Notes when each forecast's line is there, of a file that is to come. `end` looks once more, and stops. */
const watchLines = (path: string): { end(): Promise<readonly Arrival[]> } => {
  const arrivals: Arrival[] = [];
  let [read, rest] = [0, ''];
  const look = async (): Promise<void> => {
    const at = Date.now();
    const text = await readFile(path, 'utf8').catch(() => '');
    const whole = (rest + text.slice(read)).split('\n');
    [read, rest] = [text.length, whole.pop() ?? ''];
    for (const line of whole) arrivals.push({ index: (JSON.parse(line) as { index: number }).index, at });
  };
  let looking: Promise<void> = Promise.resolve();
  const next = (): Promise<void> => (looking = looking.then(look));
  const watcher = watch(dirname(path), (_, name) => {
    if (name === basename(path)) void next();
  });
  return {
    end: async () => {
      watcher.close();
      await next();
      return arrivals;
    },
  };
};

/** A line with the same id comes again only after a crash; the last one counts. */
const lastOfEach = <T extends { readonly id: string }>(all: readonly T[]): T[] => [
  ...new Map(all.map((one) => [one.id, one])).values(),
];

/**
 * Attaches to a folder that the frames of a simulation come into at a pace, as a user would from the command line, and
 * gives what was forecast.
 * @throws Error when mesocast fails, with what it said
 */
export const attachTo = async (
  system: Simulated,
  seed: number,
  conditions: Conditions,
): Promise<Attached> => {
  const { interval, frames, options, doubled, more } = conditions;
  const home = await mkdtemp(join(tmpdir(), 'mesocast-live-'));
  try {
    const total = frames + more;
    const source = join(home, 'source');
    const made = { series: 1, firstSeed: seed, frames: frames + (doubled ? 2 : 1) * more, size: '64' };
    simulate(system, made, source);
    const [folder] = await readdir(source);
    const files = (await readdir(join(source, folder ?? ''))).filter((name) => name.endsWith('.npy')).sort();
    const [watched, out] = [join(home, 'frames', 'run'), join(home, 'out')];
    await mkdir(watched, { recursive: true });
    await mkdir(out);
    const delivered = watchLines(join(out, 'forecasts.jsonl'));

    const words = ['attach', join(home, 'frames'), '--out', out, '--frames', String(total), '--atomic'];
    const child = spawn(
      process.execPath,
      [fromRoot('dist/src/cli/main.js'), ...words, '--sink', 'jsonl', ...options],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    const said: string[] = [];
    createInterface(child.stderr).on('line', (line) => said.push(line));
    const ended = new Promise<number | null>((resolve, reject) => {
      child.on('error', reject).on('close', resolve);
    });
    let failed = false;
    void ended.then((code) => (failed = code !== 0));

    const came: number[] = [];
    /** How many of the lines so far came before each frame. */
    const saidBefore: number[] = [];
    for (let k = 0, next = performance.now(); k < total && !failed; k++) {
      const name = files[k < frames || !doubled ? k : frames + 2 * (k - frames) + 1];
      if (name === undefined) throw new Error(`the simulation wrote ${files.length} frames`);
      saidBefore.push(said.length);
      const hidden = join(watched, '.coming.tmp');
      await copyFile(join(source, folder ?? '', name), hidden);
      await rename(hidden, join(watched, `frame_${String(k).padStart(6, '0')}.npy`));
      came.push(Date.now());
      next += 1000 * (k < frames ? interval : AFTERWARDS);
      await pause(Math.max(0, next - performance.now()));
    }
    if ((await ended) !== 0) throw new Error(`mesocast attach failed: ${said.slice(-5).join('\n')}`);

    const scores = lastOfEach(await lines<Score>(join(out, 'scores.jsonl')));
    const arrivals = await delivered.end();
    return {
      scores: scores.sort((a, b) => a.index - b.index),
      latencies: arrivals
        .filter(({ index }) => index < frames)
        .map(({ index, at }) => (at - (came[index] ?? NaN)) / 1000),
      alarms: said
        .map((line) => /at frame (\d+) the forecast/.exec(line)?.[1])
        .filter((found) => found !== undefined)
        .map(Number),
      changes: said
        .map((line, k) => (line.includes('from now on:') ? saidBefore.filter((n) => n <= k).length - 1 : NaN))
        .filter(Number.isFinite),
    };
  } finally {
    await rm(home, { recursive: true });
  }
};
