import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { record, smallRun } from '../../test/support/runs.js';
import { accountFrames } from './accounts.js';
import type { Fault } from './fault.js';
import { findings, patiently, unless } from './fault.js';
import { putSeries } from './frames.js';
import type { Truth } from './frames.js';

/** The folder of a series is removed and made again, then the watched directory itself, then another is renamed into its place. */
export const directoryRemoved: Fault = {
  name: 'directory',
  run: async ({ folder, forecaster }) => {
    const [directory, out] = [join(folder, 'frames'), join(folder, 'out')];
    const truth: Truth = new Map();
    await putSeries(directory, 'a', 0, 10, truth);
    await putSeries(directory, 'b', 0, 10, truth);
    const run = await record(smallRun({ directory, out, forecaster, untilIdle: 6, patience: 2 }));
    const all = (count: number): Promise<void> =>
      patiently(`${count} frames`, () => run.frames.length >= count);
    await all(20);
    await rm(join(directory, 'a'), { recursive: true });
    await putSeries(directory, 'b', 10, 20, truth);
    await all(30);
    await putSeries(directory, 'a', 10, 20, truth);
    await all(40);
    await rm(directory, { recursive: true });
    await patiently('word that it is gone', () =>
      run.notices.some((notice) => notice.includes('cannot be read')),
    );
    for (const series of ['a', 'b']) await putSeries(directory, series, 20, 30, truth);
    await all(60);
    const next = join(folder, 'next/frames');
    for (const series of ['a', 'b']) await putSeries(next, series, 30, 40, truth);
    await rm(directory, { recursive: true });
    await rename(next, directory);
    await all(80);
    const { summary, notices } = await run.finished;
    const { examples, ...frames } = await accountFrames(join(out, 'state'), truth);
    return findings('folders of series, and the watched directory, removed and made again while it ran', {
      ...frames,
      wrong: [
        ...unless(summary.frames.lost + summary.frames.rejected + summary.missing === 0, notices.join('\n')),
        ...examples,
      ],
    });
  },
};
