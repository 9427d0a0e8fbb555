import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { daemon, forecastLines, jsonLines, scoreLines, until } from '../support/runs.js';
import { putFrames } from '../support/tiny.js';

/** Seconds that learning, which runs at the lowest priority, may be kept waiting by all else on the machine. */
const PATIENCE = 240;

let home: string;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'mesocast-learning-killed-'));
});
afterAll(() => rm(home, { recursive: true }));

test(
  'killed while it learns, a daemon loses no frame and learns on from where it was',
  async () => {
    const [directory, out] = [join(home, 'frames'), join(home, 'out')];
    await mkdir(directory);
    const run = ['--out', out, '--context', '4', '--horizon', '5', '--device', 'cpu', '--threads', '1'];
    const args = [
      directory,
      ...run,
      '--learn',
      'scratch',
      '--learn-budget',
      '100%',
      '--poll-interval',
      '0.1',
    ];
    const judged = (): Promise<{ steps: number; frames: number }[]> =>
      jsonLines(join(out, 'state', 'learning', 'curve.jsonl'));

    await putFrames(directory, 0, 30);
    const first = daemon(args);
    await until('the first judgement', async () => (await judged()).length > 0, PATIENCE);
    first.kill('SIGKILL');
    await first.exited;
    const before = await judged();

    await putFrames(directory, 30, 40);
    const second = daemon(args);
    await until('another judgement', async () => (await judged()).length > before.length, PATIENCE);
    await until('all forecasts', async () => (await forecastLines(out)).some(({ index }) => index === 39));
    second.kill('SIGTERM');
    const { code, stderr } = await second.exited;
    expect([code, stderr]).toEqual([0, expect.not.stringContaining('lost')]);

    const next = (await judged())[before.length]!;
    expect(next.steps).toBeGreaterThanOrEqual(before.at(-1)!.steps + 40); // it did not begin anew
    const issued = new Set((await forecastLines(out)).map(({ index }) => index));
    expect([...issued].sort((a, b) => a - b)).toEqual(Array.from({ length: 37 }, (_, k) => k + 3));
    const final = (await scoreLines(out)).filter(({ status }) => status === 'final');
    expect(new Set(final.map(({ index }) => index)).size).toBe(32); // those of frames 3 to 34
  },
  3000 * PATIENCE,
);

/** The learning process of a daemon, as the kernel knows it. */
const learnerOf = async (pid: number): Promise<number> => {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
  for (const child of children.trim().split(' ').map(Number))
    if ((await readFile(`/proc/${child}/cmdline`, 'utf8')).includes('learner/child.js')) return child;
  throw new Error('it has no learning process');
};

(existsSync(`/proc/self/task/${process.pid}/children`) ? test : test.skip)(
  'when the learning process alone is killed, another goes on from what it had learned',
  async () => {
    const [directory, out] = [join(home, 'alone'), join(home, 'alone-out')];
    await mkdir(directory);
    const run = ['--out', out, '--context', '4', '--horizon', '5', '--device', 'cpu', '--threads', '1'];
    const learning = ['--learn', 'scratch', '--learn-budget', '100%', '--poll-interval', '0.1'];
    const judged = (): Promise<{ steps: number }[]> =>
      jsonLines(join(out, 'state', 'learning', 'curve.jsonl'));
    await putFrames(directory, 0, 30);
    const life = daemon([directory, ...run, ...learning]);
    await until('the first judgement', async () => (await judged()).length > 0, PATIENCE);
    const killed = await learnerOf(life.pid);
    process.kill(killed, 'SIGKILL');
    const before = await judged();
    // It is told of all frames with the next one that comes.
    const isAnother = (): Promise<boolean> =>
      learnerOf(life.pid).then(
        (pid) => pid !== killed,
        () => false,
      );
    await until('another learning process', isAnother);
    await putFrames(directory, 30, 34);
    await until('another judgement', async () => (await judged()).length > before.length, PATIENCE);
    await until('all forecasts', async () => (await forecastLines(out)).some(({ index }) => index === 33));
    life.kill('SIGTERM');
    const { code, stderr } = await life.exited;
    expect([code, stderr]).toEqual([
      0,
      expect.stringMatching(/the learning process ended \(SIGKILL\); another one starts in 5 s/),
    ]);
    expect((await judged())[before.length]!.steps).toBeGreaterThanOrEqual(before.at(-1)!.steps + 40);
  },
  3000 * PATIENCE,
);
