import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { daemon, forecastLines, jsonLines, scoreLines, until } from '../support/runs.js';
import { putFrames } from '../support/tiny.js';

let home: string;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'mesocast-learning-killed-'));
});
afterAll(() => rm(home, { recursive: true }));

test('killed while it learns, a daemon loses no frame and learns on from where it was', async () => {
  const [directory, out] = [join(home, 'frames'), join(home, 'out')];
  await mkdir(directory);
  const run = ['--out', out, '--context', '4', '--horizon', '5', '--device', 'cpu', '--threads', '1'];
  const args = [directory, ...run, '--learn', 'scratch', '--learn-budget', '100%', '--poll-interval', '0.1'];
  const judged = (): Promise<{ steps: number; frames: number }[]> =>
    jsonLines(join(out, 'state', 'learning', 'curve.jsonl'));

  await putFrames(directory, 0, 30);
  const first = daemon(args);
  await until('the first judgement', async () => (await judged()).length > 0);
  first.kill('SIGKILL');
  await first.exited;
  const before = await judged();

  await putFrames(directory, 30, 40);
  const second = daemon(args);
  await until('another judgement', async () => (await judged()).length > before.length);
  await until('all forecasts', async () => (await forecastLines(out)).some(({ index }) => index === 39));
  second.kill('SIGTERM');
  const { code, stderr } = await second.exited;
  expect([code, stderr]).toEqual([0, expect.not.stringContaining('lost')]);

  const next = (await judged())[before.length]!;
  expect(next.steps).toBeGreaterThanOrEqual(before.at(-1)!.steps + 20); // it did not begin anew
  const issued = new Set((await forecastLines(out)).map(({ index }) => index));
  expect([...issued].sort((a, b) => a - b)).toEqual(Array.from({ length: 37 }, (_, k) => k + 3));
  const final = (await scoreLines(out)).filter(({ status }) => status === 'final');
  expect(new Set(final.map(({ index }) => index)).size).toBe(32); // those of frames 3 to 34
});
