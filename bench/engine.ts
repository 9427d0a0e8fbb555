import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { openEngine, type Engine, type Handle } from '../src/engine/index.js';
import { median, type Row } from './table.js';
import { forward, inputs, REFERENCE, step, type WorkSize } from './reference-work.js';

const THREADS = 2;
const ROUNDS = 4;
const RUNS = 5;

/** The same work in PyTorch. */
const PEER = fileURLToPath(new URL('../../bench/reference_work.py', import.meta.url));

interface Timings {
  readonly forward: number[];
  readonly step: number[];
}

const torch = (python: string, size: WorkSize): { forward: number; step: number } => {
  const work = JSON.stringify({ ...size, threads: THREADS, runs: RUNS });
  const { status, stdout, stderr } = spawnSync(python, [PEER, work], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${python} ${PEER} failed: ${stderr.trim().split('\n').at(-1) ?? ''}`);
  const result = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as {
    forward_ms: number;
    step_ms: number;
  };
  return { forward: result.forward_ms, step: result.step_ms };
};

/** Weights stay on the device and go from step to step, as in training. */
const prepare = async (engine: Engine, size: WorkSize) => {
  const given = inputs(size);
  let handles: Record<string, Handle> = Object.fromEntries(
    await Promise.all(
      Object.entries(given).map(async ([name, tensor]) => [name, await engine.upload(tensor)] as const),
    ),
  );
  const specs = Object.fromEntries(
    Object.entries(given).map(([name, { shape, dtype }]) => [name, { shape, dtype }]),
  );
  const programs = {
    forward: await engine.compile(forward(size), specs),
    step: await engine.compile(step(size), specs),
  };
  const time = async (kind: 'forward' | 'step'): Promise<number> => {
    const start = performance.now();
    const { loss, ...weights } = await programs[kind].run(handles);
    await engine.read(loss as Handle);
    const ms = performance.now() - start;
    loss?.release();
    for (const name of Object.keys(weights)) handles[name]?.release();
    handles = { ...handles, ...weights };
    return ms;
  };
  return { time };
};

const bench = async (
  engine: Engine,
  name: string,
  size: WorkSize,
  python: string | undefined,
): Promise<Row[]> => {
  const work = await prepare(engine, size);
  const [ours, theirs]: [Timings, Timings] = [
    { forward: [], step: [] },
    { forward: [], step: [] },
  ];
  await work.time('forward');
  await work.time('step');
  for (let round = 0; round < ROUNDS; round++) {
    for (let run = 0; run < RUNS; run++) {
      ours.forward.push(await work.time('forward'));
      ours.step.push(await work.time('step'));
    }
    if (python === undefined) continue;
    const peer = torch(python, size);
    theirs.forward.push(peer.forward);
    theirs.step.push(peer.step);
  }
  return (['forward', 'step'] as const).map((kind) => ({
    what: `${name}: ${kind}`,
    ms: median(ours[kind]),
    ...(theirs[kind].length > 0 && {
      peerMs: median(theirs[kind]),
      ratio: median(ours[kind]) / median(theirs[kind]),
    }),
  }));
};

/** Forward pass and training step of the reference work, beside PyTorch's where PEER_PYTHON names a Python that has it. */
export const benchEngine = async (
  note: (line: string) => void,
): Promise<{ rows: Row[]; figures: Record<string, number> }> => {
  const python = process.env['PEER_PYTHON'];
  if (python === undefined) note('PyTorch: skipped, PEER_PYTHON names no Python that has torch');
  const engine = await openEngine('cpu', THREADS);
  try {
    const rows = await bench(engine, 'reference work', REFERENCE, python);
    const [fwd, stp] = rows as [Row, Row];
    return {
      rows,
      figures: {
        forward_ms: fwd.ms,
        step_ms: stp.ms,
        ...(fwd.ratio !== undefined &&
          stp.ratio !== undefined && { forward_ratio: fwd.ratio, step_ratio: stp.ratio }),
      },
    };
  } finally {
    await engine.dispose();
  }
};
