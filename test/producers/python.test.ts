import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { attachedTo, pythonWith } from '../support/producers.js';

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
      const { code, summary, lines } = await attachedTo(home, FRAMES, (folder) => [
        python ?? '',
        ...[join('examples/attach', script), join(folder, file), `${FRAMES}`, '0.05'],
      ]);
      expect(code).toBe(0);
      expect(summary.frames).toMatchObject({ 'warm-up': 3, forecast: FRAMES - 3, rejected: 0, lost: 0 });
      expect(lines.map(({ series, index }) => `${series} ${index}`)).toEqual(
        Array.from({ length: FRAMES - 3 }, (_, k) => `frames/${file} ${k + 3}`),
      );
      expect(lines.at(-1)?.time).toEqual(time);
    },
  );
}
