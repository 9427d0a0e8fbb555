import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { runParameters } from '../../src/pipeline/intake/run-parameters.js';

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
