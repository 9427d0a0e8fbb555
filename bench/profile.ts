import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { HostTensor, Named, TensorFunction } from '../src/engine/index.js';
import { onnxEngine } from '../src/engine/onnx/engine.js';
import type { Row } from './table.js';

const RUNS = 6;
const MOST_ROWS = 12;

/** An event of Chrome's trace format, as ONNX Runtime writes it; `dur` in microseconds. */
interface Event {
  readonly cat: string;
  readonly name: string;
  readonly dur: number;
  readonly args: { readonly op_name?: string };
}

/** Which operators of a function cost its time: a row for each of the dearest. Measuring adds to them a little. */
export const profileOf = async (
  device: string,
  threads: number,
  fn: TensorFunction,
  inputs: Named<HostTensor>,
): Promise<Row[] | undefined> => {
  if (device !== 'cpu') return undefined; // the GPU providers time queues, not operators
  const folder = await mkdtemp(join(tmpdir(), 'mesocast-profile-'));
  try {
    const engine = onnxEngine({ provider: device, threads, profile: join(folder, 'step') });
    const program = await engine.compile(fn, inputs);
    for (let run = 0; run < RUNS; run++)
      for (const handle of Object.values(await program.run(inputs))) handle.release();
    await program.dispose();
    await engine.dispose();
    const [file = ''] = await readdir(folder);
    const events = JSON.parse(await readFile(join(folder, file), 'utf8')) as Event[];
    const spent = new Map<string, { us: number; runs: number }>();
    for (const { cat, name, dur, args } of events) {
      if (cat !== 'Node' || !name.endsWith('_kernel_time') || args.op_name === undefined) continue;
      const { us, runs } = spent.get(args.op_name) ?? { us: 0, runs: 0 };
      spent.set(args.op_name, { us: us + dur, runs: runs + 1 });
    }
    const total = [...spent.values()].reduce((sum, { us }) => sum + us, 0);
    return [...spent]
      .sort(([, a], [, b]) => b.us - a.us)
      .slice(0, MOST_ROWS)
      .map(([op, { us, runs }]) => [
        `operator ${op}`,
        { ms: us / 1000 / RUNS, '% of step': (100 * us) / total, times: String(runs / RUNS) },
      ]);
  } finally {
    await rm(folder, { recursive: true });
  }
};
