import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import type { Forecast } from '../../src/pipeline/forecast.js';
import { exampleForecast, exampleFrame } from '../../src/testing/examples.js';
import { httpServer } from '../support/servers.js';
import { createPlugin } from '../../src/pipeline/plugins/registry.js';
import { sinkAt, sinkContext } from '../support/sinks.js';

let server: Awaited<ReturnType<typeof httpServer>>;
let folder: string;
beforeAll(async () => {
  server = await httpServer();
  folder = await mkdtemp(join(tmpdir(), 'mesocast-trigger-'));
});
afterAll(async () => {
  await server.close();
  await rm(folder, { recursive: true });
});
beforeEach(() => {
  server.received.length = 0;
});
const never = new AbortController().signal;

/** 72 pixels a lead, of which 24 * lead are solid (100), the rest liquid (0). */
const growing = (position: number, series = 'run1', options: Partial<Forecast> = {}): Forecast =>
  exampleForecast(
    exampleFrame(position, () => 0, { series }),
    (lead, at) => (at < 24 * lead ? 100 : 0),
    options,
  );
const conditions = () =>
  server.received.map(({ body }) => {
    const { key, conditions } = JSON.parse(body) as {
      key: string;
      conditions: { value: number; holds: boolean }[];
    };
    return { key, conditions: conditions.map(({ value, holds }) => [value, holds]) };
  });
const fire = async (options: object, ...forecasts: Forecast[]): Promise<void> => {
  const sink = await sinkAt(folder, 'trigger', { url: server.url, ...options });
  await sink.open(never);
  for (const forecast of forecasts) await sink.forecast(forecast, never);
  await sink.close();
};

test.each([
  [{ measure: 'fraction', threshold: 50, lead: 3, above: 0.9 }, 1],
  [{ measure: 'fraction', threshold: 50, lead: 2, above: 0.6, below: 0.7 }, 48 / 72],
  [{ measure: 'fraction', threshold: 50, lead: 2, above: 0.9 }, undefined],
  [{ measure: 'mean', lead: 1, below: 34 }, 2400 / 72],
  [{ measure: 'mean', lead: 1, below: 33 }, undefined],
  [{ measure: 'max', lead: 1, scale: 'normalised', above: 0.49, below: 0.51 }, 0.5],
  [{ measure: 'min', lead: 1, below: 1 }, 0],
  [{ measure: 'spread', lead: 1, above: 0 }, undefined], // this forecast carries none
  [{ measure: 'mean', lead: 4, above: -1 }, undefined], // beyond the horizon
  [{ measure: 'mean', lead: 1, channel: 1, above: -1 }, undefined],
])('%j fires at %s', async (condition, value) => {
  await fire({ when: [condition] }, growing(1));
  expect(conditions()).toEqual(
    value === undefined
      ? []
      : [{ key: `${growing(1).id}.trigger`, conditions: [[expect.closeTo(value, 5), true]] }],
  );
});

test('it fires once while conditions hold, for each series, or each time; all of them or any', async () => {
  const dry = { frames: growing(1).frames.map(() => 0) };
  const when = [{ measure: 'max', lead: 1, above: 50 }];
  const course = [growing(1), growing(2), growing(2, 'run2'), growing(3, 'run1', dry), growing(4)];
  const keys = () => conditions().map(({ key }) => key);
  await fire({ when }, ...course);
  expect(keys()).toEqual([course[0], course[2], course[4]].map((forecast) => `${forecast?.id}.trigger`));
  server.received.length = 0;
  await fire({ when, fire: 'each' }, ...course);
  expect(keys()).toHaveLength(4);
  server.received.length = 0;
  const never = { measure: 'min', lead: 1, above: 50 };
  await fire({ when: [...when, never] }, ...course);
  expect(keys()).toEqual([]);
  await fire({ when: [...when, never], match: 'any' }, growing(1));
  expect(conditions()[0]?.conditions).toEqual([
    [100, true],
    [0, false],
  ]);
});

test('where trust is asked for, a condition holds as far as the forecast can be trusted', async () => {
  const when = [{ measure: 'max', lead: 2, above: 50, trusted: true }];
  const course = [0, 1, 2, 3].map((trustedLeads, k) => growing(k, 'run1', { trustedLeads }));
  await fire({ when, fire: 'each' }, ...course);
  expect(conditions().map(({ key }) => key)).toEqual(course.slice(2).map(({ id }) => `${id}.trigger`));
});

test('what can never hold is told of once', async () => {
  const said: string[] = [];
  const when = [
    { measure: 'max', lead: 4, above: 50 },
    { measure: 'mean', lead: 1, channel: 1, above: 50 },
    { measure: 'spread', lead: 1, above: 50 },
    { measure: 'min', lead: 3, above: 50 },
  ];
  const context = { ...sinkContext(folder), log: (message: string) => said.push(message) };
  const sink = await createPlugin('sink', 'trigger', { when, url: server.url }, context);
  await sink.forecast(growing(1), never);
  await sink.forecast(growing(2), never);
  expect(said).toEqual([
    'trigger: the condition on max never holds: it is at lead 4, and forecasts reach 3',
    'trigger: the condition on mean never holds: it is on channel 1, and frames have 1, counted from 0',
    'trigger: the condition on spread never holds: forecasts carry no spread',
  ]);
});

test('headers are sent along, as a URL that has no password in it needs them', async () => {
  const when = [{ measure: 'max', lead: 1, above: 50 }];
  await fire({ when, headers: { authorization: 'Basic c2U6c2FtZQ==' } }, growing(1));
  expect(server.received[0]?.headers).toMatchObject({ authorization: 'Basic c2U6c2FtZQ==' });
});

test('a command gets the forecast; one that fails is tried again', async () => {
  const file = join(folder, 'alarm');
  const script = (code: number): string =>
    `let s='';process.stdin.on('data',d=>s+=d).on('end',()=>{require('fs').writeFileSync(process.argv[1],s);console.error('no gas');process.exitCode=${code}})`;
  const when = [{ measure: 'max', lead: 1, above: 50 }];
  const command = (code: number) => [process.execPath, '-e', script(code), file];
  await fire({ when, url: undefined, command: command(0) }, growing(1));
  expect(JSON.parse(await readFile(file, 'utf8'))).toMatchObject({
    type: 'trigger',
    series: 'run1',
    index: 10,
  });
  await expect(fire({ when, url: undefined, command: command(7) }, growing(1))).rejects.toMatchObject({
    retryable: true,
    message: expect.stringMatching(/ended with exit code 7: no gas/),
  });
  expect(server.received).toEqual([]);
});

test('a command may leave something running: it is not waited for', async () => {
  const when = [{ measure: 'max', lead: 1, above: 50 }];
  const began = performance.now();
  await fire({ when, url: undefined, command: ['sh', '-c', 'sleep 20 & exit 0'] }, growing(1));
  expect(performance.now() - began).toBeLessThan(10_000);
});

test('one forecast that cannot be told is told again as often as it is tried, and the next ones are not', async () => {
  const file = join(folder, 'calls');
  const script = `const fs=require('fs'),f=process.argv[1];fs.appendFileSync(f,'x');process.exitCode=fs.readFileSync(f).length<3?7:0`;
  const command = [process.execPath, '-e', script, file];
  const when = [{ measure: 'max', lead: 1, above: 50 }];
  const sink = await sinkAt(folder, 'trigger', { when, command });
  await sink.open(never);
  const calls = async (): Promise<number> => (await readFile(file)).length;
  for (const tries of [1, 2]) {
    await expect(sink.forecast(growing(1), never)).rejects.toThrow('exit code 7');
    expect(await calls()).toBe(tries);
  }
  await sink.forecast(growing(1), never);
  await sink.forecast(growing(2), never);
  expect(await calls()).toBe(3);
  await sink.close();
});

test('a call that was given up is made at the next forecast; unknown values fulfil nothing', async () => {
  const file = join(folder, 'wishes');
  const script = `const fs=require('fs'),f=process.argv[1];fs.appendFileSync(f,'x');process.exitCode=fs.readFileSync(f).length<2?7:0`;
  const when = [{ measure: 'min', lead: 1, above: -1 }];
  const sink = await sinkAt(folder, 'trigger', { when, command: [process.execPath, '-e', script, file] });
  await sink.open(never);
  const unknown = { frames: growing(1).frames.map(() => NaN) };
  await sink.forecast(growing(1, 'run1', unknown), never);
  await expect(sink.forecast(growing(2), never)).rejects.toThrow('exit code 7');
  for (const position of [3, 4]) await sink.forecast(growing(position), never);
  expect((await readFile(file)).length).toBe(2);
  await sink.close();
});

test.each([
  [{ when: [] }, /when/],
  [{ when: [{ measure: 'mean', lead: 1, above: 1 }], command: ['true'] }, /give a command or a url/],
  [{ when: [{ measure: 'mean', lead: 1 }] }, /give above, below or both/],
  [{ when: [{ measure: 'fraction', lead: 1, above: 0.5 }] }, /needs a threshold/],
  [{ when: [{ measure: 'mean', lead: 0, above: 0.5 }] }, /lead/],
  [{ when: [{ measure: 'process.exit()', lead: 1, above: 0.5 }] }, /measure/],
  [
    { when: [{ measure: 'mean', lead: 1, above: 1 }], url: undefined },
    /give a command or a url; for both, two sinks/,
  ],
])('%j is refused', async (options, message) => {
  await expect(sinkAt(folder, 'trigger', { url: server.url, ...options })).rejects.toThrow(message);
});
