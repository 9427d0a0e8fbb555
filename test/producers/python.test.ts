import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { spawn, spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { forecastLines, record, smallRun } from '../support/runs.js';
import { saveTiny } from '../support/tiny.js';

/** Debian's Python has Debian's modules, whatever other one comes first. */
const pythonWith = (module: string): string | undefined =>
  ['python3', '/usr/bin/python3'].find(
    (name) => spawnSync(name, ['-c', `import ${module}, numpy`]).status === 0,
  );

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'mesocast-producer-'));
});
afterEach(() => rm(home, { recursive: true }));

const FRAMES = 12;
const producers = [
  { script: 'hdf5_swmr.py', module: 'h5py', file: 'run.h5', time: { value: 48, unit: 's', perLead: 4 } },
  { script: 'tiff_append.py', module: 'tifffile', file: 'run.tif', time: undefined },
];
for (const { script, module, file, time } of producers) {
  const python = pythonWith(module);
  (python === undefined ? test.skip : test)(
    `frames come as ${script} appends them (skipped where python3 has no ${module})`,
    async () => {
      const [frames, out, forecaster] = [join(home, 'frames'), join(home, 'out'), join(home, 'tiny')];
      await mkdir(frames);
      await saveTiny(forecaster);
      const settings = {
        directory: frames,
        out,
        forecaster,
        frames: FRAMES,
        patience: 60,
        untilIdle: undefined,
      };
      const run = await record(smallRun(settings));
      const live = spawn(
        python ?? '',
        [join('examples/attach', script), join(frames, file), `${FRAMES}`, '0.05'],
        {
          stdio: ['ignore', 'ignore', 'inherit'],
        },
      );
      const code = await new Promise((resolve) => live.on('close', resolve));
      const { summary } = await run.finished;
      expect(code).toBe(0);
      expect(summary.frames).toMatchObject({ 'warm-up': 3, forecast: FRAMES - 3, rejected: 0, lost: 0 });
      const lines = await forecastLines(out);
      expect(lines.map(({ series, index }) => `${series} ${index}`)).toEqual(
        Array.from({ length: FRAMES - 3 }, (_, k) => `frames/${file} ${k + 3}`),
      );
      expect(lines.at(-1)?.time).toEqual(time);
    },
  );
}
