import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openEngine } from '../src/engine/index.js';
import { loadForecaster } from '../src/forecaster/folder.js';
import { createRunner } from '../src/forecaster/programs.js';
import { trainSpecs, trainStep, type ClipShape } from '../src/training/train-step.js';
import type { BenchOptions, Result } from './table.js';

const THREADS = 2;
const CLIP: ClipShape = { batch: 4, context: 10, leads: 50, frame: [64, 64, 1] };
const HORIZON = 50;
/** Of the timer whose lateness is taken, ms. */
const BEAT = 10;
const FORECASTS = 100;

/** Time to a program that trains on 50 leads, from nothing and where an earlier process left it on disk. */
const compileTime = async (device: string): Promise<number> => {
  const { network, weights } = await loadForecaster('dendrite');
  const engine = await openEngine(device, THREADS);
  const start = performance.now();
  await engine.compile(trainStep(network, Object.keys(weights), CLIP), trainSpecs(weights, CLIP));
  const ms = performance.now() - start;
  await engine.dispose();
  return ms;
};

/** How late a timer fires while forecasts are computed one after the other, compiling included; ms, sorted. */
const lateness = async (device: string): Promise<number[]> => {
  const engine = await openEngine(device, THREADS);
  const runner = createRunner(await loadForecaster('dendrite'), engine);
  const late: number[] = [];
  let last = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    late.push(now - last - BEAT);
    last = now;
  }, BEAT);
  const frame = new Float32Array(64 * 64).fill(0.3);
  for (let k = 0; k < FORECASTS; k++) {
    const [state] = await runner.observe([64, 64, 1], [{ frame, previous: frame, state: undefined }]);
    const frames = await runner.rollOut([64, 64, 1], [{ frame, previous: frame, state }], HORIZON);
    await engine.read(frames);
    frames.release();
    state?.forEach((handle) => handle.release());
  }
  clearInterval(timer);
  await runner.dispose();
  await engine.dispose();
  return late.sort((a, b) => a - b);
};

/** What compiling costs, and what the event loop notices of the engine. */
export const benchCompile = async ({ device }: BenchOptions): Promise<Result> => {
  const folder = await mkdtemp(join(tmpdir(), 'mesocast-bench-'));
  const before = process.env['MESOCAST_CACHE'];
  process.env['MESOCAST_CACHE'] = folder;
  try {
    const [first, second] = [await compileTime(device), await compileTime(device)];
    const late = await lateness(device);
    const [p99, worst] = [late[Math.floor(0.99 * late.length)] ?? 0, late.at(-1) ?? 0];
    return {
      tables: [
        [
          ['trace and compile a training step of 50 leads', { ms: first }],
          ['the same where the program is on disk', { ms: second }],
          [`lateness of a ${BEAT} ms timer in ${FORECASTS} forecasts: 99 %`, { ms: p99 }],
          ['the same: at worst, while a program is traced', { ms: worst }],
        ],
      ],
      figures: { compile_ms: first, compile_again_ms: second, late_p99_ms: p99, late_worst_ms: worst },
    };
  } finally {
    if (before === undefined) delete process.env['MESOCAST_CACHE'];
    else process.env['MESOCAST_CACHE'] = before;
    await rm(folder, { recursive: true });
  }
};
