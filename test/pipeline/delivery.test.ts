import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { mesocast } from '../support/cli.js';
import { daemon, forecastLines, record, scoreLines, smallRun, until } from '../support/runs.js';
import { httpServer } from '../support/servers.js';
import { putFrame, putFrames, saveTiny } from '../support/tiny.js';

let home: string;
let forecaster: string;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'mesocast-delivery-'));
  forecaster = join(home, 'tiny');
  await saveTiny(forecaster);
});
afterAll(() => rm(home, { recursive: true }));

interface Message {
  readonly type: 'forecast' | 'score';
  readonly key: string;
  readonly index: number;
}
/** What a receiver has that remembers keys, in the order in which it came. */
const unique = (received: readonly { readonly body: string }[]): Message[] => [
  ...new Map(
    received.map(({ body }) => JSON.parse(body) as Message).map((message) => [message.key, message] as const),
  ).values(),
];
const place = async (): Promise<{ directory: string; out: string }> => {
  const folder = await mkdtemp(join(home, 'run-'));
  await mkdir(join(folder, 'frames'));
  return { directory: join(folder, 'frames'), out: join(folder, 'out') };
};
const waiting = (out: string): Promise<string[]> =>
  readdir(join(out, 'state/deliveries/pager/waiting')).catch(() => []);

test('a server that is down while the daemon is killed twice gets everything after, in order', async () => {
  const { directory, out } = await place();
  let status = 503;
  const server = await httpServer(() => ({ status }));
  const config = join(out, '../run.yaml');
  await writeFile(
    config,
    JSON.stringify({
      ...{
        directory,
        out,
        forecaster,
        context: 4,
        horizon: 5,
        device: 'cpu',
        threads: 1,
        pollInterval: 0.05,
      },
      sinks: ['jsonl', { name: 'webhook', as: 'pager', options: { url: server.url }, policy: 'spill' }],
    }),
  );
  let written = 0;
  const writeUpTo = async (count: number): Promise<void> => {
    while (written < count) await putFrame(directory, written++);
  };
  for (const forecasts of [3, 7]) {
    const life = daemon(['--config', config]);
    await writeUpTo(forecasts + 5);
    // A forecast that lies on disk is acknowledged: a dead server does not hold up the others.
    await until(
      `${forecasts} forecasts`,
      async () => !life.running || (await waiting(out)).length >= forecasts,
    );
    expect(life.running).toBe(true);
    life.kill('SIGKILL');
    await life.exited;
  }
  status = 204;
  await writeUpTo(16);
  const { code, stdout } = await daemon(['--config', config, '--until-idle', '0.6', '--json']).exited;
  expect(code).toBe(0);
  await server.close();

  const [forecasts, scores] = [await forecastLines(out), await scoreLines(out)];
  const ids = [...new Set(forecasts.map(({ id }) => id))];
  expect(ids).toHaveLength(13);
  const got = unique(server.received);
  expect(got.flatMap(({ type, key }) => (type === 'forecast' ? [key] : []))).toEqual(ids);
  expect(new Set(got.flatMap(({ type, key }) => (type === 'score' ? [key] : [])))).toEqual(
    new Set(scores.map(({ id }) => `${id}.score`)),
  );
  const { deliveries } = JSON.parse(stdout) as { deliveries: Record<string, unknown> };
  expect(deliveries.pager).toMatchObject({ dropped: 0, refused: 0, waiting: 0 });
  expect(await waiting(out)).toEqual([]);
});

test('a sink that holds up the run holds up the network: only so many forecasts are in memory', async () => {
  const { directory, out } = await place();
  await putFrames(directory, 0, 8);
  let [status, tries] = [503, 0];
  const server = await httpServer(() => (tries++, { status }));
  const sinks = ['jsonl', { name: 'webhook', options: { url: server.url } }];
  const run = await record(smallRun({ directory, out, forecaster, sinks, forecastBytes: 1 }));
  await until('three tries', () => tries > 2);
  expect(await forecastLines(out)).toHaveLength(1); // room for one at a time
  status = 204;
  expect((await run.finished).summary).toMatchObject({
    forecasts: 5,
    deliveries: { webhook: { dropped: 0 } },
  });
  expect(await forecastLines(out)).toHaveLength(5);
  await server.close();
});

test('what is refused for good is put aside, and replay delivers it, in order, once', async () => {
  const { directory, out } = await place();
  await putFrames(directory, 0, 8);
  let status = 400;
  const server = await httpServer(() => ({ status }));
  const sinks = ['jsonl', { name: 'webhook', as: 'pager', options: { url: server.url } }];
  const { summary } = await (await record(smallRun({ directory, out, forecaster, sinks }))).finished;
  expect(summary).toMatchObject({ forecasts: 5, deliveries: { pager: { delivered: 0, refused: 10 } } });

  expect((await stat(join(out, 'state/sinks.json'))).mode & 0o077).toBe(0); // headers may hold secrets
  const replay = (...args: string[]) => mesocast(['replay', out, '--json', ...args]);
  const refused = await replay('--sink', 'pager');
  expect([refused.code, JSON.parse(refused.stdout)]).toEqual([
    4,
    { sinks: { pager: { delivered: 0, left: 10 } } },
  ]);
  status = 204;
  expect(JSON.parse((await replay()).stdout)).toEqual({ sinks: { pager: { delivered: 10, left: 0 } } });
  expect(JSON.parse((await replay()).stdout)).toEqual({ sinks: {} });
  await server.close();
  const forecasts = (await forecastLines(out)).map(({ id }) => id);
  const got = server.received.map(({ body }) => JSON.parse(body) as Message);
  expect(got).toHaveLength(10);
  expect(got.flatMap(({ type, key }) => (type === 'forecast' ? [key] : []))).toEqual(forecasts);
});

test('a sink that cannot start keeps what is its own, and replay goes on with the others', async () => {
  const { directory, out } = await place();
  await putFrames(directory, 0, 6);
  let status = 400;
  const server = await httpServer(() => ({ status }));
  const sinks = ['gone', 'pager'].map((as) => ({ name: 'webhook', as, options: { url: server.url } }));
  await (
    await record(smallRun({ directory, out, forecaster, sinks }))
  ).finished;
  const path = join(out, 'state/sinks.json');
  const written = JSON.parse(await readFile(path, 'utf8')) as { sinks: { name: string }[] };
  const [first, second] = written.sinks;
  await writeFile(path, JSON.stringify({ ...written, sinks: [{ ...first, name: './gone.js' }, second] }));
  status = 204;
  const { code, stdout, stderr } = await mesocast(['replay', out, '--json']);
  expect([code, JSON.parse(stdout)]).toEqual([
    4,
    { sinks: { gone: { delivered: 0, left: 6 }, pager: { delivered: 6, left: 0 } } },
  ]);
  expect(stderr).toMatch(/sink gone: .*gone\.js.*; its 6 deliveries stay where they are/);
  const alone = await mesocast(['replay', out, '--sink', 'gone']);
  expect([alone.code === 0, alone.stderr]).toEqual([false, expect.stringContaining('gone.js')]);
  await server.close();
});

test('replay refuses what it cannot use, in one line', async () => {
  const { directory, out } = await place();
  const nowhere = await mesocast(['replay', directory]);
  expect([nowhere.code, nowhere.stderr]).toEqual([
    2,
    expect.stringContaining('neither the output folder of a run'),
  ]);
  await putFrames(directory, 0, 5);
  await (
    await record(smallRun({ directory, out, forecaster, sinks: ['jsonl'] }))
  ).finished;
  const unknown = await mesocast(['replay', out, '--sink', 'jsonn']);
  expect([unknown.code, unknown.stderr]).toEqual([
    2,
    expect.stringMatching(/no sink "jsonn".*did you mean "jsonl"/),
  ]);
  const setting = await mesocast(['replay', out, '--set', 'webhook.url=http://x']);
  expect([setting.code, setting.stderr]).toEqual([2, expect.stringContaining('there is no sink "webhook"')]);
  await writeFile(join(out, 'state/sinks.json'), '{');
  const damaged = await mesocast(['replay', out]);
  expect([damaged.code, damaged.stderr]).toEqual([3, expect.stringContaining('sinks.json')]);
});

test.each([
  [{ name: 'jsonl', required: true, policy: 'drop_oldest' }, /cannot drop: block or spill/],
  [{ name: 'jsonl', required: false, policy: 'spill' }, /does not hold up the run/],
  [{ name: 'jsonl', policy: 'overwrite' }, /sinks\[1\]/],
  [{ name: 'jsonl', queue: 0 }, /sinks\[1\]/],
  [{ name: 'jsonl', as: '../up' }, /sinks\[1\]/],
  // Which of the two gets what waits on disk would hang on their order.
  ['jsonl', /two sinks are called jsonl/],
])('a config with the sink %j is refused, with its place', async (sink, message) => {
  const { directory, out } = await place();
  const config = join(out, '../run.yaml');
  await writeFile(config, JSON.stringify({ directory, out, sinks: ['jsonl', sink] }));
  const { code, stderr } = await mesocast(['attach', '--config', config]);
  expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringMatching(message) });
});
