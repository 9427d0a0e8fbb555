import { createHmac } from 'node:crypto';
import { getEventListeners } from 'node:events';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { exampleForecast, exampleFrame, exampleScore } from '../../src/testing/examples.js';
import { endsWithin } from '../../src/pipeline/delivery/ends-within.js';
import { createPlugin } from '../../src/pipeline/plugins/registry.js';
import { httpServer } from '../support/servers.js';
import { describeSink } from '../support/sink-conformance.js';
import { sinkAt } from '../support/sinks.js';

let answer: { status: number; headers?: Record<string, string> } = { status: 204 };
let server: Awaited<ReturnType<typeof httpServer>>;
beforeAll(async () => {
  server = await httpServer(() => answer);
  process.env.MESOCAST_TEST_SECRET = 'sesame';
});
afterAll(() => server.close());
afterEach(() => {
  answer = { status: 204 };
  server.received.length = 0;
});
const never = new AbortController().signal;
const forecast = exampleForecast(exampleFrame(1));

describeSink('webhook', {
  create: (context) => createPlugin('sink', 'webhook', { url: server.url }, context),
  begin: () => (server.received.length = 0),
  delivered: () =>
    server.received
      .map(({ body }) => JSON.parse(body) as { type: string; series: string; index: number })
      .filter(({ type }) => type === 'forecast')
      .map(({ series, index }) => `${series}/${index}`),
  breaks: () => {
    answer = { status: 500 };
  },
});

test('a request is signed, carries its key, and the frames that were asked for', async () => {
  const options = {
    url: server.url,
    secretEnv: 'MESOCAST_TEST_SECRET',
    frames: [3, 9],
    headers: { 'x-lab': 'b12', 'Content-Type': 'application/vnd.lab+json' },
  };
  const sink = await sinkAt('.', 'webhook', options);
  await sink.open(never);
  await sink.forecast(forecast, never);
  await sink.score?.(exampleScore(forecast), never);
  const [first, second] = server.received;
  const [, seconds, signature] =
    /^t=(\d+),v1=([0-9a-f]{64})$/.exec(String(first?.headers['mesocast-signature'])) ?? [];
  expect(createHmac('sha256', 'sesame').update(`${seconds}.${first?.body}`).digest('hex')).toBe(signature);
  expect(first?.headers).toMatchObject({
    ...{ 'idempotency-key': forecast.id, 'x-lab': 'b12' },
    'content-type': 'application/vnd.lab+json',
  });
  const message = JSON.parse(first?.body ?? '') as {
    frames: { base64: string; leads: number[]; shape: number[] };
  };
  expect(message).toMatchObject({ type: 'forecast', id: forecast.id, horizon: 3 });
  expect(message.frames).toMatchObject({ leads: [3], shape: [1, 8, 9, 1], dtype: '<f4' });
  const bytes = Buffer.from(message.frames.base64, 'base64');
  expect([bytes.length, bytes.readFloatLE(0), bytes.readFloatLE(4 * 71)]).toEqual([4 * 72, 9, 80]);
  expect(second?.headers['idempotency-key']).toBe(`${forecast.id}.score`);
  expect(JSON.parse(second?.body ?? '')).toMatchObject({ type: 'score', status: 'expired' });
});

test.each([
  [503, true],
  [429, true],
  [400, false],
  [410, false],
  [302, false],
])('an answer of %i can be tried again: %s', async (status, retryable) => {
  answer = { status, headers: { 'retry-after': '7', location: '/elsewhere' } };
  const sink = await sinkAt('.', 'webhook', { url: server.url });
  await sink.open(never);
  await expect(sink.forecast(forecast, never)).rejects.toMatchObject({ retryable, retryAfterMs: 7000 });
});

test('a server that is away can be tried again; a secret that is not set cannot start', async () => {
  const gone = await httpServer();
  await gone.close();
  const sink = await sinkAt('.', 'webhook', { url: gone.url });
  await sink.open(never);
  await expect(sink.forecast(forecast, never)).rejects.toMatchObject({ tag: 'sink', retryable: true });
  const unset = await sinkAt('.', 'webhook', { url: server.url, secretEnv: 'MESOCAST_TEST_NO_SUCH' });
  await expect(unset.open(never)).rejects.toThrow('MESOCAST_TEST_NO_SUCH is not set');
  await expect(sinkAt('.', 'webhook', { url: 'file:///etc/passwd' })).rejects.toThrow('option url');
});

test.each([
  [
    'a header that is not Latin-1',
    () => ({ url: server.url, headers: { lab: '\u2713' } }),
    /cannot be called: .*ByteString/,
  ],
  ['a port that is blocked', () => ({ url: 'http://127.0.0.1:6000' }), /cannot be called: bad port/],
])('%s is no trouble that passes', async (_, options, message) => {
  const sink = await sinkAt('.', 'webhook', options());
  await sink.open(never);
  await expect(sink.forecast(forecast, never)).rejects.toMatchObject({
    retryable: false,
    message: expect.stringMatching(message),
  });
});

test('a URL has no password in it', async () => {
  for (const url of ['http://me:sesame@127.0.0.1/', 'https://me@127.0.0.1/'])
    await expect(sinkAt('.', 'webhook', { url })).rejects.toThrow('no user name and no password');
});

test('what has to end in time is not waited for, and leaves nothing on the signal', async () => {
  const stop = new AbortController();
  const endless = () => endsWithin(30, stop.signal, () => new Promise<void>(() => undefined));
  await expect(endless()).rejects.toThrow('no answer within 0.03 s');
  const stopped = endsWithin(60_000, stop.signal, () => new Promise<void>(() => undefined));
  expect(getEventListeners(stop.signal, 'abort')).toHaveLength(1);
  stop.abort(new Error('stopped'));
  await expect(stopped).rejects.toThrow('stopped');
  await expect(endless()).rejects.toThrow('stopped');
  expect(await endsWithin(60_000, never, async () => 'done')).toBe('done');
  for (const signal of [stop.signal, never]) expect(getEventListeners(signal, 'abort')).toEqual([]);
});
