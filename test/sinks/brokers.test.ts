import { jetstreamManager } from '@nats-io/jetstream';
import type { JetStreamManager } from '@nats-io/jetstream';
import { connect as connectNats } from '@nats-io/transport-node';
import { connectAsync } from 'mqtt';
import type { MqttClient } from 'mqtt';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { exampleForecast, exampleFrame, exampleScore } from '../../src/testing/examples.js';
import { createPlugin } from '../../src/pipeline/plugins/registry.js';
import { until } from '../support/runs.js';
import type { Server } from '../support/servers.js';
import { freePort, hasProgram, mosquitto, natsServer } from '../support/servers.js';
import { describeSink } from '../support/sink-conformance.js';
import { sinkAt } from '../support/sinks.js';

const never = new AbortController().signal;
const at = (position: number, series = 'run1') =>
  exampleForecast(exampleFrame(position, (k) => k, { series }));
const missing = (program: string): string =>
  hasProgram(program) ? '' : ` (skipped: ${program} is not installed, see MESOCAST_SYSTEM_PACKAGES)`;
interface Message {
  readonly type: string;
  readonly key: string;
  readonly series: string;
  readonly index: number;
}
const places = (messages: readonly { readonly message: Message }[]): string[] =>
  messages.flatMap(({ message }) =>
    message.type === 'forecast' ? [`${message.series}/${message.index}`] : [],
  );

const withMosquitto = hasProgram('mosquitto') ? describe : describe.skip;
withMosquitto(`mqtt with mosquitto${missing('mosquitto')}`, () => {
  let server: Server;
  let listener: MqttClient;
  const got: { topic: string; message: Message }[] = [];
  const listen = async (): Promise<void> => {
    listener = await connectAsync(`mqtt://127.0.0.1:${server.port}`);
    listener.on('message', (topic, payload) => {
      got.push({ topic, message: JSON.parse(payload.toString()) as Message });
    });
    await listener.subscribeAsync('#', { qos: 1 });
  };
  beforeAll(async () => {
    server = await mosquitto();
    await server.start();
    await listen();
  });
  afterAll(async () => {
    await listener.endAsync(true);
    await server.remove();
  });
  /** An acknowledgement comes from the broker; subscribers hear of a message a moment later. A message of our own shows that all before it came. */
  const flush = async (): Promise<void> => {
    const marker = `flush/${Math.random()}`;
    await listener.publishAsync(marker, '{}', { qos: 1 });
    await until('the marker', () => got.some(({ topic }) => topic === marker));
  };
  /** What comes late belongs to what was before. */
  const forget = async (): Promise<void> => {
    await flush();
    got.length = 0;
  };
  const options = () => ({ url: `mqtt://127.0.0.1:${server.port}` });

  describeSink('mqtt', {
    create: (context) => createPlugin('sink', 'mqtt', options(), context),
    begin: forget,
    delivered: async () => {
      await flush();
      return places(got);
    },
  });

  test('a delivery that is interrupted while it connects is not made', async () => {
    await forget();
    const [sink, stop] = [await sinkAt('.', 'mqtt', options()), new AbortController()];
    const delivering = sink.forecast(at(1), stop.signal);
    stop.abort(new Error('interrupted'));
    await expect(delivering).rejects.toThrow('interrupted');
    await flush();
    expect(places(got)).toEqual([]);
  });

  test('topics are made of the series, without wildcards, and a large message goes through', async () => {
    await forget();
    const sink = await sinkAt('.', 'mqtt', { ...options(), topic: 'lab/{type}/{series}', frames: 'all' });
    await sink.open(never);
    const large = exampleForecast(exampleFrame(1, () => 0, { series: 'a/b#+', shape: [256, 256, 1] }));
    await sink.forecast(large, never);
    await sink.score?.(exampleScore(large), never);
    await sink.close();
    await flush();
    expect(got.slice(0, 2).map(({ topic }) => topic)).toEqual([
      'lab/forecast/a/b%23%2B',
      'lab/score/a/b%23%2B',
    ]);
    expect(got[0]?.message).toMatchObject({ key: large.id, frames: { shape: [3, 256, 256, 1] } });
    expect(got[1]?.message.key).toBe(`${large.id}.score`);
  });

  test('a broker that goes away can be tried again, and takes what comes once it is back', async () => {
    await forget();
    const sink = await sinkAt('.', 'mqtt', { ...options(), timeout: 2 });
    await sink.open(never);
    await server.stop();
    await expect(sink.forecast(at(1), never)).rejects.toMatchObject({ tag: 'sink', retryable: true });
    await listener.endAsync(true);
    await server.start();
    await listen();
    await sink.forecast(at(1), never);
    await sink.close();
    await flush();
    expect(places(got)).toEqual(['run1/10']);
  });
});

const withNats = hasProgram('nats-server') ? describe : describe.skip;
withNats(`nats with nats-server${missing('nats-server')}`, () => {
  let server: Server;
  /** A connection of its own each time: one from before the server was away would lose what it asks until it is back. */
  const managing = async <T>(act: (manager: JetStreamManager) => Promise<T>): Promise<T> => {
    const connection = await connectNats({ servers: `127.0.0.1:${server.port}` });
    try {
      return await act(await jetstreamManager(connection));
    } finally {
      await connection.close();
    }
  };
  const made = { name: 'FORECASTS', subjects: ['mesocast.>'] };
  beforeAll(async () => {
    server = await natsServer();
    await server.start();
    await managing((manager) => manager.streams.add(made));
  });
  afterAll(() => server.remove());
  const stored = (): Promise<{ subject: string; message: Message }[]> =>
    managing(async ({ streams }) => {
      const { state } = await streams.info(made.name);
      const messages: { subject: string; message: Message }[] = [];
      for (let seq = Math.max(1, state.first_seq); seq <= state.last_seq; seq++) {
        const found = await streams.getMessage(made.name, { seq });
        if (found) messages.push({ subject: found.subject, message: found.json<Message>() });
      }
      return messages;
    });
  /** A new stream, so that it remembers no keys either. */
  const begin = (): Promise<void> =>
    managing(async ({ streams }) => {
      await streams.delete(made.name);
      await streams.add(made);
    });
  const options = () => ({ servers: [`127.0.0.1:${server.port}`] });

  describeSink('nats', {
    create: (context) => createPlugin('sink', 'nats', options(), context),
    begin,
    delivered: async () => places(await stored()),
  });

  test('a delivery that is interrupted while it connects is not made', async () => {
    await begin();
    const [sink, stop] = [await sinkAt('.', 'nats', options()), new AbortController()];
    const delivering = sink.forecast(at(1), stop.signal);
    stop.abort(new Error('interrupted'));
    await expect(delivering).rejects.toThrow('interrupted');
    expect(places(await stored())).toEqual([]);
  });

  test('a repeat is stored once, and subjects are made of the series', async () => {
    await begin();
    for (const life of [1, 2]) {
      const sink = await sinkAt('.', 'nats', { ...options(), stream: 'FORECASTS' });
      await sink.open(never);
      for (const forecast of [at(life, 'a.b/c d'), at(2)]) {
        await sink.forecast(forecast, never);
        await sink.score?.(exampleScore(forecast), never);
      }
      await sink.close();
    }
    expect((await stored()).map(({ subject, message }) => `${subject} ${message.index}`)).toEqual([
      'mesocast.a_b.c_d.forecast 10',
      'mesocast.a_b.c_d.score 10',
      'mesocast.run1.forecast 20',
      'mesocast.run1.score 20',
      'mesocast.a_b.c_d.forecast 20',
      'mesocast.a_b.c_d.score 20',
    ]);
  });

  test('no stream, and a server that is away, can be tried again; what is too large cannot', async () => {
    await begin();
    const nowhere = await sinkAt('.', 'nats', { ...options(), subject: 'elsewhere.{series}' });
    await nowhere.open(never);
    await expect(nowhere.forecast(at(1), never)).rejects.toMatchObject({
      retryable: true,
      message: expect.stringContaining('no stream listens to elsewhere.run1'),
    });
    await nowhere.close();
    const large = await sinkAt('.', 'nats', { ...options(), frames: 'all' });
    await large.open(never);
    const huge = exampleForecast(exampleFrame(1, () => 0, { shape: [512, 512, 1] }));
    await expect(large.forecast(huge, never)).rejects.toMatchObject({
      retryable: false,
      message: expect.stringMatching(/takes messages of 1048576 bytes, this one has \d+/),
    });
    await large.close();

    const sink = await sinkAt('.', 'nats', { ...options(), timeout: 2 });
    await sink.open(never);
    await server.stop();
    await expect(sink.forecast(at(3), never)).rejects.toMatchObject({ tag: 'sink', retryable: true });
    await server.start();
    await until('the server takes it', () =>
      sink.forecast(at(3), never).then(
        () => true,
        () => false,
      ),
    );
    await sink.close();
    expect(places(await stored())).toEqual(['run1/30']);
  });
});

test.each([
  ['mqtt', { url: 'mqtt://127.0.0.1' }],
  ['nats', { servers: ['127.0.0.1'] }],
])('%s cannot start without a server, and says where it looked', async (name, options) => {
  const port = await freePort();
  const text = JSON.stringify(options).replace('127.0.0.1', `127.0.0.1:${port}`);
  const sink = await sinkAt('.', name, JSON.parse(text) as Record<string, unknown>);
  await expect(sink.open(never)).rejects.toThrow(
    new RegExp(`127.0.0.1:${port} cannot be reached: .*(REFUSED|refused)`),
  );
  await sink.close();
});

test.each([
  ['mqtt', { url: 'http://127.0.0.1' }, 'option url'],
  ['mqtt', { url: 'mqtt://127.0.0.1', topic: 'a/#' }, 'no wildcards'],
  ['nats', { subject: 'a.>' }, 'no wildcards'],
  ['nats', { servers: [] }, 'option servers'],
])('%s refuses %j', async (name, options, message) => {
  await expect(sinkAt('.', name, options)).rejects.toThrow(message);
});
