import { writeFileSync } from 'node:fs';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { openEngine } from '../../src/engine/index.js';
import { evaluate } from '../../src/evaluation/evaluate.js';
import { loadForecaster } from '../../src/forecaster/folder.js';
import { createRunner } from '../../src/forecaster/programs.js';
import type { FrameShape } from '../../src/pipeline/frame.js';
import { trainSchema, type TrainOptions } from '../../src/training/options.js';
import { leadsAt } from '../../src/training/schedule.js';
import { train } from '../../src/training/train.js';
import { rolledOut } from '../../test/support/forecast-with.js';
import { contextOf } from '../forecast.js';
import { median } from '../table.js';

/** One predictor, trained on one system for a budget. */
export interface CellTask {
  /** All options of `mesocast train` but `out` and `iterations`. */
  readonly training: Readonly<Record<string, unknown>>;
  /** CPU seconds of the training process: steps and their compilation, not data and validation. */
  readonly budget: number;
  /** Keeps the checkpoint and what was spent. */
  readonly folder: string;
  /** Series to score on. */
  readonly scored: {
    readonly data: string;
    readonly range: readonly [number, number] | undefined;
    readonly context: number;
    readonly horizon: number;
  };
}

export interface CellResult {
  readonly iterations: number;
  /** What the training took. */
  readonly cpuSeconds: number;
  readonly weights: number;
  readonly meanSkill: number;
  readonly skill: readonly number[];
  readonly ssim: readonly number[];
  /** CPU milliseconds of a forecast 10 -> 50 of one 64 x 64 series, one thread. */
  readonly forecastMs: number;
}

/** What an interrupted cell goes on from, beside its checkpoint. */
interface Progress {
  readonly iterations: number;
  cpuSeconds: number;
}

const cpuSeconds = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};

const PROBE_STEPS = 12;

/** Trains, and calls with the CPU seconds that each step took, and when there is to be a checkpoint. */
const timed = async (
  options: TrainOptions,
  spent: (seconds: number, iteration: number) => void,
  checkpoint: () => void,
  signal: AbortSignal,
) => {
  let mark: number | undefined;
  return train(
    options,
    (event) => {
      const now = cpuSeconds();
      if (event.type === 'notice') mark = now; // data are there, the first step begins
      if (event.type === 'validation') {
        mark = now;
        checkpoint();
      }
      if (event.type !== 'step') return;
      spent(now - (mark ?? now), event.iteration);
      mark = now;
    },
    signal,
  );
};

/** As many steps as the budget pays for: found from a short training with the same growing horizon. */
const stepsFor = async ({ training, budget, folder }: CellTask, signal: AbortSignal): Promise<number> => {
  const out = join(folder, 'probe');
  await rm(out, { recursive: true, force: true });
  const iterations = PROBE_STEPS;
  const options = trainSchema.parse({ ...training, series: 4, out, iterations });
  const costs = new Map<number, number[]>();
  await timed(
    options,
    (seconds, iteration) => {
      const leads = leadsAt(iteration - 1, options);
      costs.set(leads, [...(costs.get(leads) ?? []), seconds]);
    },
    () => undefined,
    signal,
  );
  await rm(out, { recursive: true, force: true });
  let [perStep, once] = [0, 0];
  for (const [first = 0, ...rest] of costs.values()) {
    const usual = median(rest);
    perStep += (usual * (rest.length + 1)) / iterations;
    once += Math.max(0, first - usual);
  }
  return Math.max(PROBE_STEPS, Math.floor((budget - once) / perStep));
};

const forecastMs = async (folder: string, horizon: number): Promise<number> => {
  const engine = await openEngine('cpu', 1);
  const shape: FrameShape = [64, 64, 1];
  try {
    const runner = createRunner(await loadForecaster(folder), engine);
    const frames = contextOf(shape);
    const times: number[] = [];
    for (let run = 0; run < 6; run++) {
      const start = cpuSeconds();
      await rolledOut(runner, shape, frames, horizon);
      if (run > 0) times.push(1000 * (cpuSeconds() - start)); // the first compiles
    }
    await runner.dispose();
    return median(times);
  } finally {
    await engine.dispose();
  }
};

/** Trains, scores and times one cell; goes on with one that was interrupted. Undefined when the signal ends it. */
export const runCell = async (task: CellTask, signal: AbortSignal): Promise<CellResult | undefined> => {
  const { training, folder, scored } = task;
  await mkdir(folder, { recursive: true });
  const path = join(folder, 'progress.json');
  const before = await readFile(path, 'utf8').then(
    (text) => JSON.parse(text) as Progress,
    () => undefined,
  );
  const progress: Progress = before ?? { iterations: await stepsFor(task, signal), cpuSeconds: 0 };
  if (signal.aborted) return undefined;
  const keep = (): void => writeFileSync(path, JSON.stringify(progress));
  keep();
  const { iterations } = progress;
  const out = join(folder, 'forecaster');
  const options = trainSchema.parse({
    ...training,
    out,
    iterations,
    validateEvery: Math.max(1, Math.ceil(iterations / 4)),
  });
  const { interrupted } = await timed(options, (seconds) => (progress.cpuSeconds += seconds), keep, signal);
  if (interrupted) return undefined;
  const { weights } = await loadForecaster(out);
  const { mean_skill, skill, ssim } = await evaluate({
    forecaster: out,
    data: [scored.data],
    range: scored.range,
    context: scored.context,
    horizon: scored.horizon,
    stride: 1,
    every: 10,
    device: 'cpu',
    threads: 1,
  });
  return {
    iterations,
    cpuSeconds: progress.cpuSeconds,
    weights: Object.values(weights).reduce((sum, { data }) => sum + data.length, 0),
    meanSkill: mean_skill,
    skill,
    ssim,
    forecastMs: await forecastMs(out, scored.horizon),
  };
};
