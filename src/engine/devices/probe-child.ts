import { EngineError, MesocastError, messageOf } from '../../pipeline/errors.js';
import type { Device } from './needs.js';
import { probeInputs, probeWork } from './probe-work.js';
import type { Probe } from './probe.js';
import { startDevice } from './start.js';
import type { Engine, Handle } from '../types.js';

/** The main program of the process that probe.ts starts. */

/** What takes longer than this is not run again to see whether it gets faster. */
const [MOST_RUNS, LONG_MS] = [5, 3000];
/** Rounding of GPUs that compute in TF32 stays below this share of the largest value. */
const TOLERANCE = 1e-2;

const prepare = async (engine: Engine) => {
  const program = await engine.compile(probeWork, probeInputs);
  const run = async (): Promise<{ ms: number; data: ArrayLike<number> }> => {
    const start = performance.now();
    const { frames } = await program.run(probeInputs);
    const { data } = await engine.read(frames as Handle);
    const ms = performance.now() - start;
    (frames as Handle).release();
    return { ms, data };
  };
  return { run, first: await run() };
};

const differ = (a: ArrayLike<number>, b: ArrayLike<number>): boolean => {
  const values = Array.from(b);
  const largest = Math.max(...values.map(Math.abs));
  return a.length !== b.length || !values.every((v, k) => Math.abs(v - (a[k] ?? NaN)) <= TOLERANCE * largest);
};

const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[values.length >> 1] ?? Infinity;

const measure = async (device: Device, threads?: number): Promise<Probe> => {
  const engines: Engine[] = [];
  const open = async (name: Device): Promise<Engine> => {
    const engine = await startDevice(name, threads);
    engines.push(engine);
    return engine;
  };
  try {
    const engine = await open(device);
    const tried = await prepare(engine);
    const cpu = await prepare(await open('cpu'));
    if (differ(tried.first.data, cpu.first.data)) throw new EngineError('its results are wrong');
    // By turns, so that whatever else the machine does falls on both.
    const slow = tried.first.ms > LONG_MS;
    const [ms, cpuMs]: [number[], number[]] = slow ? [[tried.first.ms], [cpu.first.ms]] : [[], []];
    while (ms.length < MOST_RUNS && (ms[0] ?? 0) < LONG_MS) {
      ms.push((await tried.run()).ms);
      cpuMs.push((await cpu.run()).ms);
    }
    return { works: true, ms: median(ms), cpuMs: median(cpuMs) };
  } catch (error) {
    const hint = error instanceof MesocastError ? error.hint : undefined;
    return {
      works: false,
      reason: messageOf(error).split('\n')[0] ?? '',
      ...(hint !== undefined && { hint }),
    };
  } finally {
    for (const engine of engines) await engine.dispose();
  }
};

const { device, threads } = JSON.parse(process.env['MESOCAST_PROBE'] ?? '{}') as {
  device: Device;
  threads?: number;
};
process.send?.(await measure(device, threads), () => process.disconnect());
