import { mkdir, mkdtemp, rm, rmdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { parametersFile, runParameters } from '../../src/pipeline/intake/run-parameters.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mesocast-parameters-'));
});
afterAll(() => rm(folder, { recursive: true }));

const asked = [{ name: 'temperature', low: 0, high: 1000 }];
test.each([
  ['[1, 2]', 'is not a JSON object of names and numbers'],
  ['{ "temperature": 900, // K', 'is not JSON'],
])(
  'a file of that name that is another program’s, %j, matters only where something is needed of it',
  async (text, why) => {
    await writeFile(join(folder, 'parameters.json'), text);
    const entry = { path: join(folder, 'frame_0000.npy') };
    const notices: string[] = [];
    const notice = (message: string): void => void notices.push(message);
    const free = runParameters({ notice });
    expect([await free(entry), await free(entry)]).toEqual([{}, {}]);
    expect(notices).toEqual([expect.stringMatching(new RegExp(`${why}.*; nothing is needed of it$`))]);
    const given = { temperature: 800 };
    expect(await runParameters({ notice, asked, given })(entry)).toEqual(given);
    await expect(runParameters({ notice, asked })(entry)).rejects.toThrow(why);
  },
);

test('beside a file of several frames it has that file’s name', () => {
  expect(['/r/run.h5', '/r/HISTORY'].map((path) => parametersFile({ path, item: 0 }))).toEqual([
    '/r/run.parameters.json',
    '/r/HISTORY.parameters.json',
  ]);
});

test('a file that cannot be read just now is tried again before a frame is rejected', async () => {
  const file = join(folder, 'later', 'parameters.json');
  await mkdir(file, { recursive: true }); // a folder of that name: reading it fails
  const entry = { path: join(folder, 'later', 'frame_0000.npy') };
  const known = runParameters({ asked })(entry);
  await pause(100);
  await rmdir(file);
  await writeFile(file, '{ "temperature": 900 }');
  expect(await known).toEqual({ temperature: 900 });
});
