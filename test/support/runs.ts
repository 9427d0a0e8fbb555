import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { attachSchema } from '../../src/pipeline/config/config.js';
import type { AttachConfig } from '../../src/pipeline/config/config.js';
import type { Forecast, Score } from '../../src/pipeline/forecast.js';
import type { RunEvent, Summary } from '../../src/pipeline/run.js';
import { attach } from '../../src/pipeline/runner.js';
import { readNpy } from './tiny.js';

export type ForecastLine = Omit<Forecast, 'frames'> & { readonly path: string };
type FrameEvent = Extract<RunEvent, { type: 'frame' }>;

/** Waits until something holds; fails with its name after `seconds`. */
export const until = async (
  what: string,
  holds: () => boolean | Promise<boolean>,
  seconds = 45,
): Promise<void> => {
  for (const end = Date.now() + seconds * 1000; !(await holds()); await pause(5))
    if (Date.now() > end) throw new Error(`waited in vain for: ${what}`);
};

/** Whole lines of a .jsonl file; none when there is no file. */
export const jsonLines = async <T>(path: string): Promise<T[]> => {
  if (!existsSync(path)) return [];
  const text = await readFile(path, 'utf8');
  return text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as T);
};
export const lines = <T>(out: string, name: 'forecasts' | 'scores'): Promise<T[]> =>
  jsonLines(join(out, `${name}.jsonl`));
export const forecastLines = (out: string): Promise<ForecastLine[]> => lines(out, 'forecasts');
export const scoreLines = (out: string): Promise<Score[]> => lines(out, 'scores');

/** Values of all forecasts of an output folder that was written with `--format npy`, by "series index". */
export const forecastValues = async (out: string): Promise<Map<string, Float32Array>> => {
  const all = new Map<string, Float32Array>();
  for (const { series, index, path } of await forecastLines(out))
    all.set(`${series} ${index}`, await readNpy(join(out, `${path}.npy`)));
  return all;
};

/** Largest difference of two sets of forecasts, relative to `scale`; infinite when they are not of the same frames. */
export const difference = (
  a: ReadonlyMap<string, Float32Array>,
  b: ReadonlyMap<string, Float32Array>,
  scale: number,
): number => {
  if ([...a.keys()].sort().join() !== [...b.keys()].sort().join()) return Infinity;
  let largest = 0;
  for (const [key, values] of a) {
    const others = b.get(key) ?? new Float32Array();
    if (values.length !== others.length) return Infinity;
    values.forEach((value, k) => (largest = Math.max(largest, Math.abs(value - (others[k] ?? NaN)))));
  }
  return largest / scale;
};

/** Settings of a small, fast run: context 4, horizon 5, NPY; forecasts are the network's, however bad it is. */
export const smallRun = (settings: Partial<Record<keyof AttachConfig, unknown>>): AttachConfig =>
  attachSchema.parse({
    context: 4,
    horizon: 5,
    madeBy: 'forecaster',
    learn: 'off',
    threads: 1,
    device: 'cpu',
    pollInterval: 0.05,
    patience: 0.5,
    untilIdle: 0.6,
    sinks: [{ name: 'files', options: { format: 'npy' } }, 'jsonl'],
    ...settings,
  });

export interface Recorded {
  readonly summary: Summary;
  readonly notices: readonly string[];
  readonly frames: readonly FrameEvent[];
  readonly forecasts: readonly Forecast[];
  readonly scores: readonly Score[];
}

export interface Recording {
  readonly notices: readonly string[];
  readonly frames: readonly FrameEvent[];
  readonly forecasts: readonly Forecast[];
  readonly stop: () => void;
  readonly finished: Promise<Recorded>;
}

/** Attaches in this process and writes down what is told. */
export const record = async (config: AttachConfig): Promise<Recording> => {
  const run = await attach(config);
  const [notices, frames, forecasts, scores] = [[], [], [], []] as [
    string[],
    FrameEvent[],
    Forecast[],
    Score[],
  ];
  run.events$.subscribe({
    next: (event) => {
      if (event.type === 'notice') notices.push(event.message);
      else if (event.type === 'frame') frames.push(event);
      else if (event.type === 'forecast') forecasts.push(event.forecast);
      else scores.push(event.score);
    },
  });
  const finished = run.finished.then((summary) => ({ summary, notices, frames, forecasts, scores }));
  finished.catch(() => undefined);
  return { notices, frames, forecasts, stop: () => run.stop(), finished };
};

export interface Daemon {
  readonly pid: number;
  readonly kill: (signal: NodeJS.Signals) => void;
  readonly exited: Promise<{ code: number | null; stdout: string; stderr: string }>;
  readonly running: boolean;
  /** What it has told people so far. */
  readonly stderr: string;
}

/** `mesocast attach` in a process of its own; it learns only when it is told to. */
export const daemon = (
  args: readonly string[],
  options: { readonly uid?: number; readonly gid?: number; readonly env?: NodeJS.ProcessEnv } = {},
): Daemon => {
  const main = join(process.cwd(), 'dist/src/cli/main.js');
  const learn = args.includes('--learn') ? [] : ['--learn', 'off'];
  const child = spawn(process.execPath, [main, 'attach', ...args, ...learn], {
    stdio: ['ignore', 'pipe', 'pipe'],
    ...options,
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  let running = true;
  const exited = new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      running = false;
      resolve({ code, stdout, stderr });
    });
  });
  return {
    pid: child.pid ?? NaN,
    kill: (signal) => child.kill(signal),
    exited,
    get running() {
      return running;
    },
    get stderr() {
      return stderr;
    },
  };
};
