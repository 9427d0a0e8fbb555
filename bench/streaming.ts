import { spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeAtomically } from '../src/pipeline/atomic.js';
import { createPlugin } from '../src/pipeline/plugins/registry.js';
import type { StreamingFigures } from './streaming-child.js';
import type { BenchOptions, Result, Row } from './table.js';

const [SERIES, FRAMES, SIDE] = [16, 200, 160];
const MIB = 2 ** 20;
const CHILD = fileURLToPath(new URL('./streaming-child.js', import.meta.url));

/** Waves that travel: quick to make, different in each series. */
const makeData = async (folder: string): Promise<void> => {
  const npy = await createPlugin('codec', 'npy', {}, undefined);
  for (let series = 0; series < SERIES; series++) {
    for (let t = 0; t < FRAMES; t++) {
      const data = Float32Array.from({ length: SIDE * SIDE }, (_, k) =>
        Math.sin(0.1 * (k % SIDE) + 0.07 * (series + 1) * Math.floor(k / SIDE) + 0.2 * t),
      );
      const bytes = await npy.encode({ shape: [SIDE, SIDE, 1], data, sampleType: 'float32' });
      await writeAtomically(join(folder, `series_${series}`, `frame_${t}.npy`), bytes);
    }
  }
};

/**
 * 100 steps of a very small network on 312 MiB of frames, all of them in memory, and with bounds: what a step takes, the
 * most memory that the process held, and whether the weights are the same.
 */
export const benchStreaming = async ({ device }: BenchOptions): Promise<Result> => {
  const home = await mkdtemp(join(tmpdir(), 'mesocast-streaming-'));
  const rows: Row[] = [];
  const figures: Record<string, number> = {};
  try {
    await makeData(join(home, 'data'));
    let whole: string | undefined;
    for (const mebibytes of [1024, 64, 8]) {
      const work = { data: join(home, 'data'), out: join(home, 'out'), memoryBytes: mebibytes * MIB, device };
      const child = spawnSync(process.execPath, [CHILD, JSON.stringify(work)], { encoding: 'utf8' });
      if (child.status !== 0) throw new Error(`training failed: ${child.stderr.trim()}`);
      const { stepMs, peakMb, hash } = JSON.parse(child.stdout) as StreamingFigures;
      whole ??= hash;
      rows.push([
        `--memory-bytes ${mebibytes} MiB`,
        { 'ms a step': stepMs, 'peak MB': peakMb, weights: hash === whole ? 'the same' : 'OTHERS' },
      ]);
      figures[`streaming_${mebibytes}_ms`] = stepMs;
      figures[`streaming_${mebibytes}_mb`] = peakMb;
    }
  } finally {
    await rm(home, { recursive: true });
  }
  return { tables: [rows], figures };
};
