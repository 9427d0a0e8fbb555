import { spawnSync } from 'node:child_process';
import { mkdir, open, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { codeOf } from '../../src/pipeline/errors.js';
import type { Daemon } from '../../test/support/runs.js';
import { daemon, forecastLines, scoreLines } from '../../test/support/runs.js';
import { accountFrames, accountMessages, expectedKeys } from './accounts.js';
import type { Fault, Findings } from './fault.js';
import { findings, patiently, unless } from './fault.js';
import type { Truth } from './frames.js';
import { putSeries } from './frames.js';

const [CONTEXT, HORIZON, FIRST, FRAMES] = [4, 5, 20, 300];

/** A disk of its own at a folder: a file fills it up. `problem` says why there is none, where that is not allowed. */
const smallDisk = (folder: string) => {
  const { error, status, stderr } = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', folder]);
  const ballast = join(folder, 'ballast');
  return {
    problem: error?.message ?? (status === 0 ? undefined : stderr.toString().trim()),
    fill: async (): Promise<void> => {
      const room = Buffer.alloc(65_536);
      const file = await open(ballast, 'a');
      try {
        for (;;) await file.write(room);
      } catch (error) {
        if (codeOf(error) !== 'ENOSPC') throw error;
      } finally {
        await file.close();
      }
    },
    clear: () => rm(ballast),
    remove: () => spawnSync('umount', ['-l', folder]),
  };
};

/** Where the disk is: under the state folder, or under what sinks write. */
type Where = 'state' | 'out';

type Ended = Awaited<Daemon['exited']>;
interface Setting {
  readonly where: Where;
  readonly done: string;
  /** Forecasts are made from every so many frames. */
  readonly forecastEvery?: number;
  /** While the disk is full, and after it has room again. `complete` is another run, to the end. Gives what was not as it should be. */
  act(first: Daemon, makeRoom: () => Promise<void>, complete: () => Promise<Ended>): Promise<string[]>;
}

const onFullDisk = (name: string, setting: Setting): Fault => ({
  name,
  run: async ({ folder, forecaster }): Promise<Findings | { skipped: string }> => {
    const { where, done, forecastEvery = 1 } = setting;
    const path = (part: string): string => join(folder, part);
    const [directory, out, state, config] = [path('frames'), path('out'), path('state'), path('run.yaml')];
    for (const made of [directory, out, state]) await mkdir(made);
    const disk = smallDisk(path(where));
    if (disk.problem !== undefined) return { skipped: `no disk can be mounted here: ${disk.problem}` };
    try {
      const sinks = ['jsonl', { name: 'files', options: { format: 'npy' } }];
      const settings = {
        directory,
        out,
        state,
        forecaster,
        context: CONTEXT,
        horizon: HORIZON,
        forecastEvery,
      };
      const quickly = { device: 'cpu', threads: 1, pollInterval: 0.05 };
      await writeFile(config, JSON.stringify({ ...settings, ...quickly, sinks }));
      const truth: Truth = new Map();
      await putSeries(directory, '', 0, FIRST, truth);
      const first = daemon(['--config', config]);
      await patiently('a forecast', async () => !first.running || (await forecastLines(out)).length > 0);
      await disk.fill();
      await putSeries(directory, '', FIRST, FRAMES, truth);
      const wrong = await setting.act(
        first,
        disk.clear,
        () => daemon(['--config', config, '--until-idle', '3']).exited,
      );

      const { examples, ...frames } = await accountFrames(state, truth);
      const keys = expectedKeys(truth, CONTEXT, HORIZON, forecastEvery);
      const lines = [
        ...(await forecastLines(out)).map((line) => ({ key: line.id, body: { ...line } })),
        ...(await scoreLines(out)).map((line) => ({ key: `${line.id}.score`, body: { ...line } })),
      ];
      const { missing, repeats, unknown, examples: more } = accountMessages('jsonl', lines, keys);
      return findings(done, {
        ...frames,
        missing,
        repeats,
        unknown,
        wrong: [...wrong, ...examples, ...more],
      });
    } finally {
      disk.remove();
    }
  },
});

/** The run has to end with one clear line, and the next one goes on. */
const endsClearly: Setting['act'] = async (first, makeRoom, complete) => {
  const { code, stderr } = await first.exited;
  await makeRoom();
  const second = await complete();
  return [
    ...unless(code === 3, `the disk was full: exit code ${code}: ${stderr}`),
    ...unless(/ENOSPC|no space left|has room/i.test(stderr), `it does not say why: ${stderr}`),
    ...unless(second.code === 0, `after that: exit code ${second.code}: ${second.stderr}`),
  ];
};

export const diskUnderLedger = onFullDisk('disk-ledger', {
  where: 'state',
  done: 'disk full under the ledger: it ended, and the next run went on',
  forecastEvery: 1000,
  act: endsClearly,
});

export const diskUnderState = onFullDisk('disk-state', {
  where: 'state',
  done: 'disk full under forecasts that wait for their truth: it ended, and the next run went on',
  act: endsClearly,
});

export const diskUnderSinks = onFullDisk('disk-sinks', {
  where: 'out',
  done: 'disk full under two sinks for 5 s: they were tried again until it had room',
  act: async (first, makeRoom, complete) => {
    await sleep(5000);
    await makeRoom();
    await sleep(5000);
    const survived = first.running;
    first.kill('SIGTERM');
    const { code, stderr } = await first.exited;
    const second = await complete();
    return [
      ...unless(survived && code === 0 && second.code === 0, `exit code ${code}, ${second.code}: ${stderr}`),
      ...unless(/trying again/.test(stderr), `nobody was told: ${stderr}`),
    ];
  },
});
