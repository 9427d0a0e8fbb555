import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { BenchOptions, Result, Row } from './table.js';

/** 20 series to train on and judge by; their seeds are used for nothing else. */
const DATA = ['--count', '20', '--seed', '81000', '--frames', '60', '--size', '64'];
const DEFAULT = 'dendrite';
const [LEAD, GOAL, MINUTES] = [10, 0.5, 15];
const MOST = MINUTES * 60_000;
const MAIN = fileURLToPath(new URL('../src/cli/main.js', import.meta.url));

/** Runs the command line for so many milliseconds at most; `hear` gets each line that it prints. */
const cli = (args: readonly string[], most: number, hear: (line: string) => void): Promise<void> =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'pipe', 'ignore'] });
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      child.kill('SIGKILL');
    }, most);
    createInterface(child.stdout).on('line', hear);
    child.on('error', reject);
    child.on('close', (code) => {
      clearTimeout(timer);
      if (code === 0 || late) resolve();
      else reject(new Error(`mesocast ${args.join(' ')} ended with ${code}`));
    });
  });

/** One simulation: rows of its curve, and the minutes after which the goal was reached. */
const learn = async (
  simulation: string,
  { device, note }: BenchOptions,
): Promise<{ rows: Row[]; reached: number | undefined }> => {
  const home = await mkdtemp(join(tmpdir(), 'mesocast-training-'));
  const rows: Row[] = [];
  let reached: number | undefined;
  try {
    await cli(['simulate', simulation, ...DATA, '--out', join(home, 'runs')], MOST, () => undefined);
    const started = performance.now();
    const args = [
      'train',
      join(home, 'runs'),
      '--out',
      join(home, 'out'),
      '--threads',
      '2',
      '--device',
      device,
    ];
    await cli(args, MOST, (line) => {
      const minutes = (performance.now() - started) / 60_000;
      const [, step, mean] = /^validation at step (\d+): mean skill (-?[\d.]+)/.exec(line) ?? [];
      const skill = new RegExp(`[ ,]${LEAD}: (-?[\\d.]+)`).exec(line)?.[1];
      if (step === undefined || skill === undefined) return;
      if (reached === undefined && Number(skill) >= GOAL) reached = minutes;
      note(
        `${simulation}, step ${step}, ${minutes.toFixed(1)} minutes: skill ${skill} at lead ${LEAD}, mean ${mean ?? ''}`,
      );
      rows.push([
        `${simulation}, step ${step}`,
        { minutes, [`skill at ${LEAD}`]: Number(skill), 'mean skill': Number(mean) },
      ]);
    });
  } finally {
    await rm(home, { recursive: true });
  }
  note(
    reached === undefined
      ? `${simulation}: a skill of ${GOAL} was not reached in ${MINUTES} minutes`
      : `${simulation}: a skill of ${GOAL} at lead ${LEAD} was there after ${reached.toFixed(1)} minutes`,
  );
  return { rows, reached };
};

/**
 * `mesocast train FOLDER` with nothing but its defaults, on 20 series of 60 frames of 64 x 64 that `mesocast simulate`
 * wrote (dendrites, or what --system names): skill over persistence of the series kept apart against time, for 15 minutes
 * on two threads. The figure is of the slowest.
 */
export const benchTraining = async (options: BenchOptions): Promise<Result> => {
  const tables: Row[][] = [];
  let slowest = 0;
  for (const simulation of options.systems.length > 0 ? options.systems : [DEFAULT]) {
    const { rows, reached = Infinity } = await learn(simulation, options);
    tables.push(rows);
    slowest = Math.max(slowest, reached);
  }
  return { tables, figures: { training_minutes: slowest } };
};
