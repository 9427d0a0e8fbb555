import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { shippedFolder } from '../../src/forecaster/folder.js';
import { learningFolder } from '../../src/learning/champion/log.js';
import { createChoosing } from '../../src/learning/learner/choosing.js';
import type { HeldOutScore } from '../../src/learning/learner/messages.js';
import { betweenFrom } from '../support/judged.js';
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

/** What is chosen where these forecasters have these errors over those of persistence. */
const chosenOf = async (errors: Readonly<Record<string, number>>, frames = 16) => {
  const shape = [8, 8, 1] as const;
  const series = {
    ...{ name: 'run', shape, normalisation: { low: 0, high: 1 } },
    frames: Array.from({ length: frames }, () => new Float32Array(64)),
  };
  const told: string[] = [];
  const choosing = createChoosing(
    {
      candidates: Object.keys(errors).map((name) => shippedFolder(name)),
      ...{ champion: undefined, rolledBack: false, learn: 'adapt', channels: 1, horizon: 50 },
    },
    { all: () => [series], seen: frames, frames },
    {
      on: ({ id }, { leads }) => {
        const scores: HeldOutScore[] = [];
        for (const window of [1, 2, 3, 4])
          for (let lead = 1; lead <= leads; lead++)
            scores.push({
              ...{ series: 'run', window, lead, forecasterRmse: (errors[id.name] ?? NaN) * 0.1 * lead },
              ...{ persistenceRmse: 0.1 * lead, linearRmse: 0.3 * lead },
              ...betweenFrom(lead, { persistence: 0.1 * lead, linear: 0.3 * lead }),
            });
        return Promise.resolve(scores);
      },
    },
    (message) => told.push(message.type === 'notice' ? message.message : message.why),
  );
  return { choice: await choosing.choose(), told };
};

test('one without weights is chosen only where none that was trained fits: few leads do not tell how it goes on', async () => {
  const both = await chosenOf({ dendrite: 0.5, plane_wave: 0.3, spinodal: 0.7 });
  expect(both.choice?.forecaster.id.name).toBe('dendrite');
  expect(both.choice?.why).toMatch(
    /^of those that were trained .*: plane_wave 0\.30, dendrite 0\.50, spinodal 0\.70$/,
  );
  // Where windows reach half as far as forecasts do, it is seen.
  const far = await chosenOf({ dendrite: 0.5, plane_wave: 0.3 }, 60);
  expect(far.choice?.forecaster.id.name).toBe('plane_wave');
  const wave = await chosenOf({ dendrite: 1.5, plane_wave: 0.3, spinodal: 1.1 });
  expect(wave.choice?.forecaster.id.name).toBe('plane_wave');
  expect(wave.choice?.why).toMatch(/^of those that ship /);
  const none = await chosenOf({ dendrite: 1.5, plane_wave: 1.3 });
  expect(none.choice).toBeUndefined();
  expect(none.told).toEqual([
    expect.stringMatching(/^no forecaster that ships fits .*: plane_wave 1\.30, dendrite 1\.50;/),
  ]);
});
