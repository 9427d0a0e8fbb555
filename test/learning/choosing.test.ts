import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { learningFolder } from '../../src/learning/champion/log.js';
import { mesocast } from '../support/cli.js';
import { daemon, jsonLines, until } from '../support/runs.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mesocast-choosing-'));
});
afterAll(() => rm(folder, { recursive: true }));

// Frames of grain growth lie between 0.46 and 1, which its forecaster was trained on, and fit 0 to 1 as well.
test.each(['grain_growth', 'spinodal'])(
  '%s is found to fit its own simulation, named or not',
  async (system) => {
    const frames = join(folder, system);
    const run = (...line: string[]) => mesocast(line, { cwd: folder });
    await run('simulate', system, '--frames', '30', '--seed', '77', '--format', 'npy', '--out', frames);
    const out = join(folder, `${system}-out`);
    const attached = daemon([frames, '--out', out, '--learn', 'off']);
    const log = join(learningFolder(join(out, 'state')), 'log.jsonl');
    // Whoever learns has the lowest priority: on a busy machine this takes its time.
    await until('a forecaster was chosen', async () => (await jsonLines(log)).length > 1, 90);
    attached.kill('SIGTERM');
    expect((await attached.exited).code).toBe(0);
    expect((await run('learn', 'log', out)).stdout.trimEnd().split('\n').at(-1)).toMatch(
      new RegExp(`${system}.*: of those that ship it fits best: .*: ${system} 0\\.[0-4]`),
    );
  },
);
