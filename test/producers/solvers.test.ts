import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { attachedTo, programThat, pythonWith } from '../support/producers.js';

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'mesocast-producer-'));
});
afterEach(() => rm(home, { recursive: true }));

const FRAMES = 10;

const fipy = pythonWith('fipy');
(fipy === undefined ? test.skip : test)(
  'a live FiPy run is followed, its times with it (skipped where neither FIPY_PYTHON nor python3 has fipy)',
  async () => {
    const { code, summary, lines } = await attachedTo(home, FRAMES, (folder) => [
      fipy ?? '',
      ...['examples/attach/fipy_dendrite.py', folder, `${FRAMES}`, '24'],
    ]);
    expect(code).toBe(0);
    expect(summary.frames).toMatchObject({ 'warm-up': 3, forecast: FRAMES - 3, rejected: 0, lost: 0 });
    expect(lines.map(({ series, index }) => `${series} ${index}`)).toEqual(
      Array.from({ length: FRAMES - 3 }, (_, k) => `frames ${k + 3}`),
    );
    const last = lines.at(-1);
    expect(last).toMatchObject({ shape: [24, 24, 1], sampleType: 'float32' });
    expect(last?.time?.value).toBeCloseTo(0.0135, 6);
    expect(last?.time?.perLead).toBeCloseTo(0.0015, 6);
  },
);

const lammps = programThat('lmp', '-help');
(lammps === undefined ? test.skip : test)(
  'a live LAMMPS run is followed through a codec of one file (skipped where there is no lmp)',
  async () => {
    const { code, summary, lines } = await attachedTo(
      home,
      FRAMES,
      (folder) => [
        lammps ?? '',
        ...['-in', 'examples/attach/lammps_separation.in', '-log', 'none'],
        ...['-var', 'out', join(folder, 'share.chunk'), '-var', 'frames', `${FRAMES}`],
        ...['-var', 'cells', '16', '-var', 'steps', '100'],
      ],
      { codecs: { [resolve('examples/attach/lammps-chunks.mjs')]: {} } },
    );
    expect(code).toBe(0);
    expect(summary.frames).toMatchObject({ 'warm-up': 3, forecast: FRAMES - 3, rejected: 0, lost: 0 });
    expect(lines.map(({ series, index }) => `${series} ${index}`)).toEqual(
      Array.from({ length: FRAMES - 3 }, (_, k) => `frames/share.chunk ${k + 3}`),
    );
    expect(lines.at(-1)).toMatchObject({ shape: [16, 16, 1], time: { value: 1000, perLead: 100 } });
  },
);

const openfoam = programThat('sh', '-c', 'command -v interFoam');
(openfoam === undefined ? test.skip : test)(
  'a live OpenFOAM case is followed from folder to folder (skipped where there is no interFoam)',
  async () => {
    const { code, summary, lines } = await attachedTo(
      home,
      FRAMES,
      (folder) => ['sh', 'examples/attach/openfoam_coarsening.sh', folder, `${FRAMES}`, '16'],
      {
        codecs: { [resolve('examples/attach/openfoam-field.mjs')]: {} },
        pattern: String.raw`(?<index>[1-9]\d*)/alpha\.water`,
      },
    );
    expect(code).toBe(0);
    expect(summary.frames).toMatchObject({ 'warm-up': 3, forecast: FRAMES - 3, rejected: 0, lost: 0 });
    expect(lines.map(({ series, index }) => `${series} ${index}`)).toEqual(
      Array.from({ length: FRAMES - 3 }, (_, k) => `frames ${k + 4}`),
    );
    expect(lines.at(-1)).toMatchObject({ shape: [16, 16, 1], time: { value: FRAMES, perLead: 1 } });
  },
);
