import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { RollOutFigures } from './roll-out-child.js';
import type { BenchOptions, Result, Row } from './table.js';

const THREADS = 2;
/** [series in a batch, side of the frame] */
const CASES = [
  [1, 64],
  [1, 128],
  [1, 256],
  [1, 512],
  [16, 64],
] as const;
const CHILD = fileURLToPath(new URL('./roll-out-child.js', import.meta.url));

/**
 * The 50 leads of the forecaster that ships, from states on the device to frames on the host: time, what share of the
 * rate of a large matrix product on the same threads its convolutions reach, and the most memory the process held.
 */
export const benchRollOut = async ({ device }: BenchOptions): Promise<Result> => {
  const rows: Row[] = [];
  const figures: Record<string, number> = {};
  for (const [batch, size] of CASES) {
    const work = JSON.stringify({ device, threads: THREADS, batch, size });
    const { status, stdout, stderr } = spawnSync(process.execPath, [CHILD, work], { encoding: 'utf8' });
    if (status !== 0)
      throw new Error(`a roll-out of ${batch} x ${size} failed: ${stderr.trim().split('\n').at(-1) ?? ''}`);
    const { ms, gflop, productRate, peakMb } = JSON.parse(stdout) as RollOutFigures;
    const rate = gflop / (ms / 1000);
    rows.push([
      `roll-out of 50 leads, ${batch === 1 ? '' : `${batch} series of `}${size} x ${size}`,
      { ms, 'GFLOP/s': rate, 'matrix product': productRate, share: rate / productRate, 'peak MB': peakMb },
    ]);
    const key = `rollout_${batch === 1 ? '' : `batch${batch}_`}${size}`;
    Object.assign(figures, { [`${key}_ms`]: ms, [`${key}_share`]: rate / productRate });
  }
  return { tables: [rows], figures };
};
