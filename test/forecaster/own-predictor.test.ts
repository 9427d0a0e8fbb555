import { copyFile, mkdir, mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { mesocast } from '../support/cli.js';
import { putFrames } from '../support/tiny.js';

let home: string;
let project: string;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'mesocast-own-'));
  project = join(home, 'project');
  // As `npm install mesocast` leaves a project.
  await mkdir(join(project, 'node_modules'), { recursive: true });
  await symlink(process.cwd(), join(project, 'node_modules', 'mesocast'));
  await symlink(
    join(process.cwd(), 'node_modules', '@tensorflow'),
    join(project, 'node_modules', '@tensorflow'),
  );
  await copyFile('examples/my-predictor.mjs', join(project, 'my-predictor.mjs'));
  for (const seed of [0, 1])
    await putFrames(join(project, 'runs', `run${seed}`), 0, 12, {
      extension: '.npy',
      sampleType: 'float32',
      seed,
    });
});
afterAll(() => rm(home, { recursive: true }));

test('the example, in a folder of its own: trained there, used from there and from elsewhere', async () => {
  const words = (text: string): string[] => text.split(' ');
  const trained = await mesocast(
    words(
      'train runs --out mine --predictor ./my-predictor.mjs --set predictor.steps=2 --set predictor.fields=4 --encoder patch --decoder patch --validation 1 --context 4 --leads 2 --horizon 3 --iterations 2 --batch 2 --threads 1 --device cpu',
    ),
    { cwd: project },
  );
  expect(trained).toMatchObject({ code: 0 });
  const { predictor } = JSON.parse(await readFile(join(project, 'mine', 'forecaster.json'), 'utf8')) as {
    predictor: { name: string };
  };
  expect(predictor).toEqual({
    name: expect.stringMatching(/project.my-predictor\.mjs$/),
    options: { steps: 2, fields: 4 },
  });
  for (const cwd of [project, home]) {
    const args = words('--context 4 --horizon 3 --threads 1 --device cpu --json');
    const ran = await mesocast(['evaluate', join(project, 'mine'), join(project, 'runs'), ...args], { cwd });
    expect(ran).toMatchObject({ code: 0 });
    expect(JSON.parse(ran.stdout)).toMatchObject({ series: 2 });
  }
});
