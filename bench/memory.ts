import { readdirSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import * as tf from '@tensorflow/tfjs-core';
import { openEngine, type Engine, type Handle, type HostTensor } from '../src/engine/index.js';
import { assemble, buildNetwork, initialWeights, settingsSchema } from '../src/forecaster/forecaster.js';
import { createRunner, type StateHandles } from '../src/forecaster/programs.js';
import { debiases, SLOTS, slotName, trainSpecs, trainStep } from '../src/training/train-step.js';
import type { BenchOptions, Result, Row } from './table.js';

const [STEPS, ROLL_OUTS, ENGINES, PROGRAMS] = [8000, 40_000, 50, 1000];
/** Each part has this many windows, and each the smallest resident set in it. The first half, where heaps and caches fill, does not count. */
const WINDOWS = 40;
let collect = (): void => undefined;
/**
 * Garbage would look like growth for thousands of runs. This thread's is collected at the end of each window; the engine's
 * thread collects all of it whenever it collects any. Of the process, so it is done when this bench begins: it slows others.
 */
const collectAll = (): void => {
  setFlagsFromString('--gc-global');
  setFlagsFromString('--expose-gc');
  collect = runInNewContext('gc') as () => void;
};
const WARM_UP = 1 / 2;
/** Bytes in all that are no growth: an allocator takes memory in pieces. */
const PIECE = 1e6;

/** Small, so that it takes minutes: what leaks with each run does so at any size. */
const settings = settingsSchema.parse({
  format: 1,
  name: 'small',
  encoder: { name: 'conv', options: { width: 8, latent: 8 } },
  predictor: { name: 'conv_lstm', options: { layers: 1, hidden: 8 } },
  decoder: { name: 'conv', options: { width: 8 } },
});

interface Line {
  /** Bytes for each run. */
  readonly slope: number;
  readonly error: number;
}

/**
 * Least squares through y at x = 0, `spacing`, 2 `spacing`, ... The standard error is widened for residuals that follow
 * each other (r = their correlation at lag 1) by sqrt((1 + r) / (1 - r)): memory comes in stairs.
 */
export const lineThrough = (ys: readonly number[], spacing: number): Line => {
  const n = ys.length;
  const xs = ys.map((_, k) => (k - (n - 1) / 2) * spacing);
  const mean = ys.reduce((a, b) => a + b, 0) / n;
  const spread = xs.reduce((sum, x) => sum + x * x, 0);
  const slope = xs.reduce((sum, x, k) => sum + x * ((ys[k] as number) - mean), 0) / spread;
  const residuals = ys.map((y, k) => y - mean - slope * (xs[k] as number));
  const squares = residuals.reduce((sum, r) => sum + r * r, 0);
  const lagged = residuals.slice(1).reduce((sum, r, k) => sum + r * (residuals[k] as number), 0);
  const r = Math.min(0.95, Math.max(0, squares === 0 ? 0 : lagged / squares));
  return { slope, error: Math.sqrt((squares / (n - 2) / spread) * ((1 + r) / (1 - r))) };
};

/** Threads of this process; undefined where the system does not say. */
const threads = (): number | undefined => {
  try {
    return readdirSync('/proc/self/task').length;
  } catch {
    return undefined;
  }
};

/** Does the work `count` times and says what the resident set did. */
const watch = async (what: string, count: number, work: () => Promise<void>): Promise<[Row, Line]> => {
  const spacing = Math.max(1, Math.round(count / WINDOWS));
  const begin = performance.now();
  const [resident, alive]: [number[], (number | undefined)[]] = [[], []];
  let smallest = Infinity;
  for (let run = 1; run <= count; run++) {
    await work();
    const isLast = run % spacing === 0;
    if (isLast) collect();
    smallest = Math.min(smallest, process.memoryUsage.rss());
    if (!isLast) continue;
    resident.push(smallest);
    alive.push(threads());
    smallest = Infinity;
  }
  const first = Math.round(resident.length * WARM_UP);
  const line = lineThrough(resident.slice(first), spacing);
  const isFlat = line.slope <= 2 * line.error || line.slope * count * (1 - WARM_UP) < PIECE;
  const row: Row = [
    what,
    {
      runs: count,
      seconds: (performance.now() - begin) / 1000,
      'RSS MB': (resident.at(-1) as number) / 1e6,
      'bytes a run': line.slope.toFixed(0),
      '+-': line.error.toFixed(0),
      verdict: isFlat ? 'flat within noise' : 'grows',
      threads: `${alive[first] ?? '-'} -> ${alive.at(-1) ?? '-'}`,
    },
  ];
  return [row, line];
};

const SIDE = 16;
const frame = (t: number): Float32Array =>
  Float32Array.from({ length: SIDE * SIDE }, (_, k) => 0.5 + 0.5 * Math.sin(k / 9 + t / 5));
const scalar = (value: number): HostTensor => ({ shape: [], dtype: 'float32', data: Float32Array.of(value) });

/** Training as the trainer does it: all its state stays on the device, clips come from the host. */
const training = async (
  engine: Engine,
): Promise<{ step: () => Promise<void>; dispose: () => Promise<void> }> => {
  const network = await buildNetwork(settings);
  const weights = initialWeights(network, 1);
  const names = Object.keys(weights);
  const clip = { batch: 2, context: 3, leads: 2, frame: [SIDE, SIDE, 1] as const };
  const specs = trainSpecs(weights, clip);
  const program = await engine.compile(trainStep(network, names, clip), specs);
  let state: Record<string, Handle> = {};
  for (const name of names) {
    const { shape, data } = weights[name] as (typeof weights)[string];
    for (const slot of SLOTS) {
      const values = slot === 'weight' || slot === 'average' ? data : new Float32Array(data.length);
      state[slotName(slot, name)] = await engine.upload({ shape, dtype: 'float32', data: values });
    }
  }
  let t = 0;
  const step = async (): Promise<void> => {
    const { debias1, debias2 } = debiases(++t);
    const frames = new Float32Array(10 * SIDE * SIDE);
    for (let k = 0; k < 10; k++) frames.set(frame(t + k), k * SIDE * SIDE);
    const { loss, gradient, ...next } = await program.run({
      ...state,
      clip: { ...(specs['clip'] as HostTensor), data: frames },
      rate: scalar(1e-3),
      decay: scalar(0.01),
      debias1: scalar(debias1),
      debias2: scalar(debias2),
    });
    await engine.read(loss as Handle);
    for (const handle of [loss, gradient, ...Object.values(state)]) handle?.release();
    state = next;
  };
  const dispose = async (): Promise<void> => {
    Object.values(state).forEach((handle) => handle.release());
    await program.dispose();
  };
  return { step, dispose };
};

/** A frame taken into the state of a series, and five leads brought over: what a daemon does with each frame. */
const following = async (engine: Engine) => {
  const forecaster = await assemble(settings, initialWeights(await buildNetwork(settings), 1));
  const runner = createRunner(forecaster, engine);
  const shape = [SIDE, SIDE, 1] as const;
  let [state, t]: [StateHandles | undefined, number] = [undefined, 0];
  const once = async (): Promise<void> => {
    const input = { frame: frame(++t), previous: frame(t - 1) };
    const [next] = await runner.observe(shape, [{ ...input, state }]);
    state?.forEach((handle) => handle.release());
    state = next;
    const leads = await runner.rollOut(shape, [{ ...input, state }], 5);
    await engine.read(leads);
    leads.release();
  };
  const dispose = async (): Promise<void> => {
    state?.forEach((handle) => handle.release());
    await runner.dispose();
  };
  return { once, dispose };
};

/** A program of its own: compiled, run, read, disposed of. */
const compileAndRun = async (engine: Engine): Promise<void> => {
  const x: HostTensor = { shape: [1, 32, 32, 4], dtype: 'float32', data: new Float32Array(4096).fill(1) };
  const program = await engine.compile(
    (inputs) => ({ y: tf.relu(tf.conv2d(inputs['x'] as tf.Tensor4D, tf.ones([3, 3, 4, 4]), 1, 'same')) }),
    { x },
  );
  const { y } = await program.run({ x });
  await engine.read(y as Handle);
  y?.release();
  await program.dispose();
};

/**
 * Whether memory grows: train steps, roll-outs, programs and engines, many times over on a small network. Takes minutes.
 */
export const benchMemory = async ({ device, note }: BenchOptions): Promise<Result> => {
  collectAll();
  const rows: Row[] = [];
  const figures: Record<string, number> = {};
  const add = (name: string, [row, { slope, error }]: [Row, Line]): void => {
    rows.push(row);
    note(`${row[0]}: ${String(row[1]['verdict'])}`);
    Object.assign(figures, { [`${name}_bytes`]: slope, [`${name}_bytes_error`]: error });
  };
  const engine = await openEngine(device, 2);
  note(`on ${engine.device}`);
  const { step, dispose } = await training(engine);
  add('train_step', await watch('train steps', STEPS, step));
  await dispose();
  const { once, dispose: stop } = await following(engine);
  add('roll_out', await watch('frames observed and rolled out', ROLL_OUTS, once));
  await stop();
  if (engine.liveHandles > 0) throw new Error(`${engine.liveHandles} tensors were not released`);
  add('program', await watch('programs compiled and disposed of', PROGRAMS, () => compileAndRun(engine)));
  await engine.dispose();
  add(
    'engine',
    await watch('engines opened and closed', ENGINES, async () => {
      const one = await openEngine(device, 2);
      await compileAndRun(one);
      await one.dispose();
    }),
  );
  return { tables: [rows], figures };
};
