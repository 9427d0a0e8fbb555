import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs-core';
import {
  openEngine,
  type Engine,
  type Handle,
  type HostTensor,
  type Named,
  type Program,
  type TensorFunction,
} from '../src/engine/index.js';
import { profileOf } from './profile.js';
import { forward, inputs, REFERENCE, step, type WorkSize } from './reference-work.js';
import { median, type BenchOptions, type Result, type Row } from './table.js';

const THREADS = 2;
/** Both take turns, so that what disturbs the machine disturbs both. */
const ROUNDS = 5;
const RUNS = 4;

const SIZES: readonly (readonly [name: string, size: WorkSize])[] = [
  ['reference', REFERENCE],
  ['kernel 5', { ...REFERENCE, kernel: 5 }],
  ['128 x 128', { ...REFERENCE, size: 128 }],
  ['batch 16', { ...REFERENCE, n: 16 }],
];
const KINDS = ['forward', 'step'] as const;
type Kind = (typeof KINDS)[number];
type Timings = Record<Kind, number[]>;

/** The same work in PyTorch. */
const PEER = fileURLToPath(new URL('../../bench/reference_work.py', import.meta.url));
const torch = (python: string, size: WorkSize, device: string): Record<Kind, number> => {
  const work = JSON.stringify({ ...size, threads: THREADS, runs: RUNS, device });
  const { status, stdout, stderr } = spawnSync(python, [PEER, work], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${python} ${PEER} failed: ${stderr.trim().split('\n').at(-1) ?? ''}`);
  const result = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Record<`${Kind}_ms`, number>;
  return { forward: result.forward_ms, step: result.step_ms };
};

/** The forward pass as forecasts run it: the weights are part of the program. */
const frozen =
  (fn: TensorFunction, weights: Named<HostTensor>): TensorFunction =>
  ({ clip }) =>
    fn({
      clip: clip as tf.Tensor,
      ...Object.fromEntries(
        Object.entries(weights).map(([name, { data, shape }]) => [name, tf.tensor(data, [...shape])]),
      ),
    });

/** In the step, weights stay on the device and go from step to step, as in training. */
const prepare = async (engine: Engine, size: WorkSize) => {
  const { clip, ...weights } = inputs(size) as { clip: HostTensor } & Record<string, HostTensor>;
  const given = { clip: await engine.upload(clip) };
  let slots: Record<string, Handle> = {};
  for (const [name, tensor] of Object.entries(weights)) slots[name] = await engine.upload(tensor);
  const programs: Record<Kind, Program> = {
    forward: await engine.compile(frozen(forward(size), weights), { clip }),
    step: await engine.compile(step(size), { clip, ...weights }),
  };
  const time = async (kind: Kind): Promise<number> => {
    const start = performance.now();
    const { loss, ...next } = await programs[kind].run(kind === 'step' ? { ...given, ...slots } : given);
    await engine.read(loss as Handle);
    const ms = performance.now() - start;
    loss?.release();
    for (const name of Object.keys(next)) slots[name]?.release();
    slots = { ...slots, ...next };
    return ms;
  };
  const dispose = async (): Promise<void> => {
    for (const handle of [given.clip, ...Object.values(slots)]) handle.release();
    for (const program of Object.values(programs)) await program.dispose();
  };
  return { time, dispose };
};

const bench = async (
  engine: Engine,
  size: WorkSize,
  peer: () => Record<Kind, number> | undefined,
): Promise<{ ours: Timings; theirs: Timings }> => {
  const { time, dispose } = await prepare(engine, size);
  const [ours, theirs]: [Timings, Timings] = [
    { forward: [], step: [] },
    { forward: [], step: [] },
  ];
  for (const kind of KINDS) await time(kind); // the first run of a program finds its memory
  for (let round = 0; round < ROUNDS; round++) {
    for (let run = 0; run < RUNS; run++) for (const kind of KINDS) ours[kind].push(await time(kind));
    const other = peer();
    if (other !== undefined) for (const kind of KINDS) theirs[kind].push(other[kind]);
  }
  await dispose();
  return { ours, theirs };
};

/**
 * Forward pass and training step of the reference work in four sizes, beside PyTorch's where PEER_PYTHON names a Python
 * that has it, and what the operators of the step take.
 */
export const benchEngine = async ({ device, note }: BenchOptions): Promise<Result> => {
  const python = process.env['PEER_PYTHON'];
  if (python === undefined) note('PyTorch: skipped, PEER_PYTHON names no Python that has torch');
  const rows: Row[] = [];
  const figures: Record<string, number> = {};
  const engine = await openEngine(device, THREADS);
  try {
    note(`on ${engine.device}`);
    for (const [name, size] of SIZES) {
      const { ours, theirs } = await bench(engine, size, () =>
        python === undefined ? undefined : torch(python, size, device),
      );
      for (const kind of KINDS) {
        const ms = median(ours[kind]);
        const peer = theirs[kind].length > 0 ? median(theirs[kind]) : undefined;
        const ratio = peer === undefined ? undefined : ms / peer;
        rows.push([`${name}: ${kind}`, { ms, 'PyTorch ms': peer, ratio }]);
        const key = `${name === 'reference' ? '' : `${name.replace(/ /g, '')}_`}${kind}`;
        figures[`${key}_ms`] = ms;
        if (ratio !== undefined) figures[`${key}_ratio`] = ratio;
      }
    }
  } finally {
    await engine.dispose();
  }
  const profiled = await profileOf(device, THREADS, step(REFERENCE), inputs(REFERENCE));
  return { tables: [rows, ...(profiled === undefined ? [] : [profiled])], figures };
};
