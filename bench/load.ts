import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { startFollower, type Follower } from './load/follower.js';
import { feeder, makePool, sharpAlone, type Pool } from './load/pool.js';
import type { BenchOptions, Result, Row } from './table.js';

const SERIES = 8;
const RATE = 200;

/** Frames in a folder that are not through yet, while there shall always be some. */
const AHEAD = 500;
/** Files that stay in the folders of a laboratory that tidies up. */
const TIDY = 4000;

interface Job {
  readonly folder: string;
  readonly pool: Pool;
  readonly note: (line: string) => void;
}

/** As fast as it goes: always some hundred files ahead. All files stay, or the last `most`. */
const flood = async ({ folder, pool, note }: Job, frames: number, most?: number) => {
  const root = join(folder, `flood-${most ?? 'all'}`);
  const feed = await feeder(root, SERIES, pool, most);
  const follower = await startFollower(root, join(folder, `flood-home-${most ?? 'all'}`));
  let began = 0;
  let cpu = 0;
  for (let k = 0; k < frames; k++) {
    await feed.next();
    if (k >= AHEAD) await follower.until(k - AHEAD);
    if (k === 2 * AHEAD) [began, cpu] = [performance.now(), follower.cpu];
    if (k % 10_000 === 0 && k > 0) note(`${k} frames put`);
  }
  await follower.until(frames);
  const seconds = (performance.now() - began) / 1000;
  const counted = frames - AHEAD;
  const used = follower.cpu - cpu;
  await follower.stop();
  return { rate: counted / seconds, cpuMs: (1000 * used) / counted, slope: slopeOf(follower.resident) };
};

/** MB that 100,000 frames add, by least squares, after a fifth for warming up. */
const slopeOf = (resident: Follower['resident']): number => {
  const last = resident.at(-1)?.[0] ?? 0;
  const points = resident.filter(([frames]) => frames > last / 5);
  const mean = (of: (point: readonly [number, number]) => number): number =>
    points.reduce((sum, point) => sum + of(point), 0) / points.length;
  const [x, y] = [mean(([frames]) => frames), mean(([, mb]) => mb)];
  return (1e5 * mean(([frames, mb]) => (frames - x) * (mb - y))) / mean(([frames]) => (frames - x) ** 2);
};

/** At a steady rate; latency from a file's appearance to its frame in the pipeline. */
const steady = async ({ folder, pool }: Job, rate: number, seconds: number) => {
  const root = join(folder, `steady-${rate}`);
  const feed = await feeder(root, SERIES, pool);
  const follower = await startFollower(root, join(folder, `steady-${rate}-home`));
  // The process has started, and each series knows its numbering, before anything counts.
  for (let k = 0; k < 3 * SERIES; k++) await feed.next();
  await follower.until(3 * SERIES);
  const [began, cpu] = [performance.now(), follower.cpu];
  const frames = Math.round(rate * seconds);
  for (let k = 0; k < frames; k++) {
    const wait = began + (1000 * k) / rate - performance.now();
    if (wait > 1) await pause(wait);
    await feed.next();
  }
  const behind = feed.put.size - follower.came.size;
  await follower.until(feed.put.size);
  const cpuShare = (follower.cpu - cpu) / ((performance.now() - began) / 1000);
  await follower.stop();
  const latencies = [...feed.put]
    .slice(3 * SERIES)
    .map(([key, at]) => (follower.came.get(key) ?? Infinity) - at)
    .sort((a, b) => a - b);
  const quantile = (q: number): number => latencies[Math.floor(q * (latencies.length - 1))] ?? NaN;
  return { behind, cpuShare, p50: quantile(0.5), p99: quantile(0.99), most: quantile(1) };
};

/**
 * 512 x 512 PNGs of 16 bits over 8 series: validated, read, decoded and acknowledged in the ledger, no forecast. How fast it
 * goes beside what sharp decodes on this machine in the same run, what memory does, and how long a frame takes.
 */
export const benchLoad = async ({ quick, note }: BenchOptions): Promise<Result> => {
  const folder = await mkdtemp(join(tmpdir(), 'mesocast-load-'));
  try {
    const pool = await makePool(join(folder, 'pool'), quick ? 100 : 1000);
    note(`${pool.paths.length} files of ${(pool.bytes / 1000).toFixed(0)} kB`);
    const job = { folder, pool, note };
    const before = await sharpAlone(pool, quick ? 3 : 10);
    const flooded = await flood(job, quick ? 2000 : 100_000);
    const after = await sharpAlone(pool, quick ? 3 : 10);
    const tidy = await flood(job, quick ? 6000 : 100_000, TIDY);
    const alone = (before + after) / 2;
    const full = await steady(job, RATE, quick ? 8 : 300);
    const half = await steady(job, RATE / 2, quick ? 8 : 120);
    const rows: Row[] = [
      ['sharp alone', { 'frames/s': alone }],
      ...[
        { name: 'as fast as it goes', found: flooded },
        { name: `the same, ${TIDY} files stay`, found: tidy },
      ].map(({ name, found }): Row => [
        name,
        {
          'frames/s': found.rate,
          '% of sharp': (100 * found.rate) / alone,
          'CPU ms a frame': found.cpuMs,
          'MB more after 100,000': found.slope,
        },
      ]),
      ...[
        { rate: RATE, found: full },
        { rate: RATE / 2, found: half },
      ].map(({ rate, found }): Row => [
        `${rate} frames/s`,
        {
          'behind at the end': String(found.behind),
          'cores used': found.cpuShare,
          'p50 ms': found.p50,
          'p99 ms': found.p99,
          'longest ms': found.most,
        },
      ]),
    ];
    return {
      tables: [rows],
      figures: {
        load_sharp_fps: alone,
        load_fps: flooded.rate,
        load_share: flooded.rate / alone,
        load_mb_per_100k: flooded.slope,
        load_tidy_mb_per_100k: tidy.slope,
        load_behind: full.behind,
        load_p99_ms: half.p99,
      },
    };
  } finally {
    await rm(folder, { recursive: true });
  }
};
