import { mkdir, open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { record, smallRun } from '../../test/support/runs.js';
import { framePath } from '../../test/support/tiny.js';
import { accountFrames } from './accounts.js';
import type { Fault } from './fault.js';
import { findings, patiently, unless } from './fault.js';
import type { Truth } from './frames.js';
import { frameOf, remember } from './frames.js';

const EXTENSIONS = ['.npy', '.png', '.tiff'] as const;
/** What the writer of every seventh frame does; all others write in one go. */
const WAYS = ['whole', 'slow', 'whole', 'cut', 'whole', 'stalled', 'preallocated'] as const;
type Way = (typeof WAYS)[number];
/** Seconds: the daemon's patience, and how long a stalled writer stalls. */
const [PATIENCE, STALL] = [2, 7];

/** Truncated, slow and stalled writers, and files that have their full size before they have their contents. */
export const writers: Fault = {
  name: 'writers',
  run: async ({ folder, forecaster, quick }) => {
    const [directory, out] = [join(folder, 'frames'), join(folder, 'out')];
    const count = quick ? 21 : 140;
    const truth: Truth = new Map();
    for (const extension of EXTENSIONS) await mkdir(join(directory, extension.slice(1)), { recursive: true });
    // The last frames are whole, so that the run ends with what all others had to wait for.
    const wayOf = (series: string, index: number): Way => {
      const way = index > count - 3 ? 'whole' : (WAYS[index % WAYS.length] ?? 'whole');
      return way === 'preallocated' && !series.endsWith('npy') ? 'whole' : way;
    };
    const run = await record(
      smallRun({ directory, out, forecaster, patience: PATIENCE, untilIdle: STALL + 3 }),
    );
    const taken = (series: string, index: number): boolean =>
      run.frames.some((frame) => frame.series === series && frame.index === index);

    const produce = async (series: string, extension: string, index: number): Promise<void> => {
      const bytes = await frameOf(index, extension);
      const path = framePath(join(directory, extension.slice(1)), index, extension);
      remember(truth, series, index, bytes);
      const way = wayOf(series, index);
      if (way === 'whole') return writeFile(path, bytes);
      if (way === 'cut') return writeFile(path, bytes.subarray(0, bytes.length - 1 - (index % 300)));
      if (way === 'preallocated') {
        // All numbers are zero until the frame was taken.
        await writeFile(path, Buffer.concat([bytes.subarray(0, 128), Buffer.alloc(bytes.length - 128)]));
        await patiently(`${series} ${index} was taken`, () => taken(series, index));
      }
      const file = await open(path, way === 'preallocated' ? 'r+' : 'w');
      const pieces = way === 'slow' ? 4 : way === 'stalled' ? 2 : 1;
      for (let at = 0; at < pieces; at++) {
        const [from, to] = [at, at + 1].map((n) => Math.floor((n * bytes.length) / pieces)) as [
          number,
          number,
        ];
        if (at > 0) await sleep(way === 'slow' ? 120 : STALL * 1000);
        await file.write(bytes, from, to - from, from);
      }
      await file.close();
    };
    const writing: Promise<void>[] = [];
    for (let index = 0; index < count; index++) {
      for (const extension of EXTENSIONS)
        writing.push(produce(`frames/${extension.slice(1)}`, extension, index));
      await sleep(60);
    }
    await Promise.all(writing);
    const { summary } = await run.finished;

    const all = EXTENSIONS.flatMap((extension) =>
      Array.from({ length: count }, (_, index) => wayOf(`frames/${extension.slice(1)}`, index)),
    );
    const number = (...ways: readonly Way[]): number => all.filter((way) => ways.includes(way)).length;
    const zeros = new Set(
      [...(truth.get('frames/npy')?.keys() ?? [])].filter(
        (index) => wayOf('frames/npy', index) === 'preallocated',
      ),
    );
    for (const index of zeros) truth.get('frames/npy')?.delete(index); // taken as zeros, and told: see `revised`
    const account = await accountFrames(join(out, 'state'), truth, (series, index) =>
      ['cut', 'stalled'].includes(wayOf(series, index)) ? 'rejected' : 'taken',
    );
    const { examples, ...frames } = account;
    const [changed, refused] = [number('stalled', 'preallocated'), number('cut', 'stalled')];
    return findings(
      `${number('cut')} truncated, ${number('slow')} slow, ${number('stalled')} stalled writers, ${zeros.size} files filled in after they were taken`,
      {
        ...frames,
        frames: frames.frames + zeros.size,
        wrong: [
          ...examples,
          ...unless(summary.revised === changed, `${summary.revised} counted revised, not ${changed}`),
          ...unless(
            summary.frames.rejected === refused,
            `${summary.frames.rejected} counted rejected, not ${refused}`,
          ),
        ],
      },
    );
  },
};
