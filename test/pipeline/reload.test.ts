import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { attachSchema } from '../../src/pipeline/config/config.js';
import { openSinkSet } from '../../src/pipeline/delivery/sink-set.js';
import type { Sink } from '../../src/pipeline/plugins/plugin.js';
import type { Status } from '../../src/pipeline/status/status.js';
import { exampleForecast, exampleFrame } from '../../src/testing/examples.js';
import { mesocast } from '../support/cli.js';
import { daemon, forecastLines, scoreLines, until, type Daemon } from '../support/runs.js';
import { httpServer } from '../support/servers.js';
import { putFrame, saveTiny } from '../support/tiny.js';

let home: string;
let forecaster: string;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'mesocast-reload-'));
  forecaster = join(home, 'tiny');
  await saveTiny(forecaster);
});
afterAll(() => rm(home, { recursive: true }));

interface Message {
  readonly type: 'forecast' | 'score';
  readonly key: string;
}
const keysOf = ({ received }: { readonly received: readonly { readonly body: string }[] }): string[] =>
  received.map(({ body }) => (JSON.parse(body) as Message).key);

/** A daemon with a config file that can be changed, and frames that can be written. */
const place = async (settings: object) => {
  const folder = await mkdtemp(join(home, 'run-'));
  const [directory, out, config] = [
    join(folder, 'frames'),
    join(folder, 'out'),
    join(folder, 'run.yaml'),
  ] as const;
  await mkdir(directory);
  const write = (changes: object): Promise<void> =>
    writeFile(
      config,
      JSON.stringify({
        ...{ directory, out, forecaster, context: 4, horizon: 5, device: 'cpu', threads: 1 },
        ...{ pollInterval: 0.05, ...changes },
      }),
    );
  await write(settings);
  let written = 0;
  const framesUpTo = async (count: number): Promise<void> => {
    while (written < count) await putFrame(directory, written++);
  };
  const reload = async (life: Daemon, changes: object, answer: string | RegExp): Promise<void> => {
    await write(changes);
    const before = life.stderr.length;
    life.kill('SIGHUP');
    await until(`${answer}`, () => {
      const told = life.stderr.slice(before);
      return !life.running || (typeof answer === 'string' ? told.includes(answer) : answer.test(told));
    });
    expect(life.running).toBe(true);
  };
  const forecasts = (count: number) =>
    until(`${count} forecasts`, async () => (await forecastLines(out)).length >= count);
  return { out, config, write, framesUpTo, reload, forecasts };
};

test('settings are reloaded at SIGHUP: bad ones are refused, sinks change alone, the rest begins again from the ledger', async () => {
  let [status, tries] = [503, 0];
  const [first, moved, late] = [
    await httpServer(() => (tries++, { status })),
    await httpServer(),
    await httpServer(),
  ] as const;
  const pager = { name: 'webhook', as: 'pager', options: { url: first.url }, queue: 100 };
  const { out, config, framesUpTo, reload, forecasts } = await place({ sinks: ['jsonl', pager] });
  const life = daemon(['--config', config, '--json']);
  await framesUpTo(6);
  await forecasts(3); // of frames 3, 4 and 5; the pager has them in its queue
  // A run tells what is only in its memory every two seconds.
  await until('the trouble of the pager', async () => {
    const { sinks } = JSON.parse((await mesocast(['status', out, '--json'])).stdout) as Status;
    return sinks.pager?.delivered === 0 && sinks.pager.trouble?.includes('503') === true;
  });

  const unreadable = { horizon: -5, sinks: ['jsonl', pager] };
  await reload(life, unreadable, /not reloaded.*run\.yaml:1: horizon/);
  await reload(life, { directory: join(out, 'nowhere') }, /not reloaded.*nowhere/);
  const secretless = { ...pager, options: { url: moved.url, secretEnv: 'MESOCAST_NO_SUCH_VARIABLE' } };
  await reload(life, { sinks: ['jsonl', secretless] }, /not reloaded.*sink pager.*MESOCAST_NO_SUCH_VARIABLE/);
  const before = tries;
  await until('the pager that was there before to be tried again', () => tries > before);
  await framesUpTo(7);
  await forecasts(4);

  const second = { name: 'webhook', as: 'late', options: { url: late.url } };
  await reload(life, { sinks: ['jsonl', pager, second] }, 'reloaded: sink late is new');
  await framesUpTo(8);
  await until('the new sink to be used', () => late.received.length > 0);
  expect(keysOf(first)).toEqual([]);
  const elsewhere = { ...pager, options: { url: moved.url } };
  await reload(life, { sinks: ['jsonl', elsewhere] }, 'sink pager has new settings, sink late is gone');
  await until('the queue of the pager', () => moved.received.length >= 5);
  status = 204;

  await reload(life, { horizon: 3, sinks: ['jsonl', elsewhere] }, 'the run goes on with the new horizon');
  await framesUpTo(11);
  await forecasts(8);
  await reload(life, { horizon: 3, sinks: ['jsonl', elsewhere] }, 'no setting has changed');
  life.kill('SIGTERM');
  const { code, stdout } = await life.exited;
  expect(code).toBe(0);
  await Promise.all([first.close(), moved.close(), late.close()]);

  const lines = await forecastLines(out);
  expect(lines.map(({ index, horizon }) => [index, horizon])).toEqual(
    [3, 4, 5, 6, 7, 8, 9, 10].map((index) => [index, index < 8 ? 5 : 3]),
  );
  const ids = lines.map(({ id }) => id);
  const scores = (await scoreLines(out)).map(({ id }) => `${id}.score`);
  const delivered = keysOf(moved);
  expect(delivered.filter((key) => !key.endsWith('.score'))).toEqual(ids);
  expect(delivered.filter((key) => key.endsWith('.score'))).toEqual(scores);
  expect(keysOf(first)).toEqual([]);
  expect(keysOf(late).filter((key) => !key.endsWith('.score'))).toEqual([ids[4]]);
  expect(JSON.parse(stdout)).toMatchObject({
    frames: { forecast: 8, 'warm-up': 3, rejected: 0, lost: 0 },
    forecasts: 8,
    deliveries: {
      pager: { dropped: 0, refused: 0, queued: 0, waiting: 0, delivered: delivered.length },
      late: { queued: 0, waiting: 0 },
    },
  });
}, 240_000);

test('settings that a run does not start with leave it as it was, after it had stopped for them', async () => {
  const { out, config, framesUpTo, reload, forecasts } = await place({ sinks: ['jsonl'] });
  const life = daemon(['--config', config]);
  await framesUpTo(5);
  await forecasts(2);
  // Only the ledger knows that frames were seen otherwise.
  await reload(life, { sinks: ['jsonl'], downsample: 2 }, /not reloaded.*begin anew with another --state/);
  await framesUpTo(7);
  await forecasts(4);
  life.kill('SIGTERM');
  expect((await life.exited).code).toBe(0);
  expect((await forecastLines(out)).map(({ index }) => index)).toEqual([3, 4, 5, 6]);
});

test('without a config file SIGHUP ends a run, as it does with other programs', async () => {
  const folder = await mkdtemp(join(home, 'plain-'));
  const life = daemon([folder, '--out', join(folder, 'out'), '--forecaster', forecaster, '--context', '4']);
  await until('the run to begin', () => existsSync(join(folder, 'out/state/status.json')));
  life.kill('SIGHUP');
  expect((await life.exited).code).toBeNull();
});

test('sinks are as they were when new ones do not start, wherever the file of the old plugin is by then', async () => {
  const state = await mkdtemp(join(home, 'state-'));
  const got: number[] = [];
  let isOpen = false;
  const settings = attachSchema.shape.sinks.parse(['./gone.mjs']);
  const sink: Sink = {
    open: async () => void (isOpen = true),
    forecast: async ({ position }) => {
      if (!isOpen) throw new Error('it is closed');
      got.push(position);
    },
    close: async () => void (isOpen = false),
  };
  const set = await openSinkSet([{ name: 'gone', settings: settings[0]!, sink }], {
    out: state,
    state,
    signal: new AbortController().signal,
    notice: () => undefined,
  });
  const broken = { name: 'webhook', as: 'gone', options: { url: 'http://x', secretEnv: 'MESOCAST_NO_SUCH' } };
  await expect(set.change(attachSchema.shape.sinks.parse([broken]))).rejects.toThrow('MESOCAST_NO_SUCH');
  const [queue] = set.queues();
  await (
    await queue!.offer({ type: 'forecast', forecast: exampleForecast(exampleFrame(1)) })
  ).settled;
  expect(got).toEqual([1]);
  await set.drain();
  await set.close();
});
