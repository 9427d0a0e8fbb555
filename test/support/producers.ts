import { spawn, spawnSync } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { AttachConfig } from '../../src/pipeline/config/config.js';
import type { Summary } from '../../src/pipeline/run.js';
import { forecastLines, record, smallRun, type ForecastLine } from './runs.js';
import { saveTiny } from './tiny.js';

/** Debian's Python has Debian's modules, whatever other one comes first. */
export const pythonWith = (module: string): string | undefined =>
  [process.env.FIPY_PYTHON, 'python3', '/usr/bin/python3']
    .filter((name) => name !== undefined)
    .find((name) => spawnSync(name, ['-c', `import ${module}, numpy`]).status === 0);

/** The program that ends first with code 0. */
export const programThat = (command: string, ...args: string[]): string | undefined =>
  spawnSync(command, args, { stdio: 'ignore' }).status === 0 ? command : undefined;

/** Runs a program that writes so many frames into a folder that mesocast is attached to, to the end of both. */
export const attachedTo = async (
  home: string,
  frames: number,
  program: (folder: string) => readonly [command: string, ...args: string[]],
  settings: Partial<Record<keyof AttachConfig, unknown>> = {},
): Promise<{ code: unknown; summary: Summary; lines: ForecastLine[] }> => {
  const [directory, out, forecaster] = [join(home, 'frames'), join(home, 'out'), join(home, 'tiny')];
  await mkdir(directory);
  await saveTiny(forecaster);
  const run = await record(
    smallRun({ directory, out, forecaster, frames, patience: 60, untilIdle: undefined, ...settings }),
  );
  const [command, ...args] = program(directory);
  const live = spawn(command, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  const code = await new Promise((resolve) => live.on('close', resolve));
  // A program that failed writes no more: waiting for its frames would hide why.
  if (code !== 0) run.stop();
  const { summary } = await run.finished;
  return { code, summary, lines: await forecastLines(out) };
};
