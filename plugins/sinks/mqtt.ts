import type { MqttClient } from 'mqtt';
import { z } from 'zod';
import type { Delivery } from '../../src/pipeline/delivery/delivery.js';
import { messageOf, SinkError } from '../../src/pipeline/errors.js';
import { filledIn, jsonMessage, leadsToSend } from '../../src/pipeline/delivery/forecast-message.js';
import { defineSink } from '../../src/pipeline/plugins/plugin.js';
import { endsWithin } from '../../src/pipeline/delivery/ends-within.js';
import { secretFrom } from '../../src/pipeline/delivery/secret.js';
import { messageOptions, secretOption, timeoutOption } from '../../src/pipeline/delivery/sink-options.js';

/** MQTT 5 reason codes (section 2.4 of the standard) that stay what they are: invalid topic, too large, bad payload. */
const FOR_GOOD = new Set([144, 149, 153]);

/** Each forecast and score as an MQTT message; docs/sinks.md has what arrives. */
export const mqtt = defineSink({
  name: 'mqtt',
  summary: 'an MQTT message of JSON for each forecast and each score',
  options: z.strictObject({
    url: z
      .url({ protocol: /^(mqtts?|wss?)$/ })
      .describe('the broker: mqtt://host:1883, mqtts://, ws:// or wss://'),
    topic: z
      .string()
      .min(1)
      .regex(/^[^#+\0]*$/, 'a topic to publish to has no wildcards (# and +)')
      .default('mesocast/{series}/{type}')
      .describe('with {series} and {type} (forecast or score) filled in'),
    qos: z
      .union([z.literal(0), z.literal(1), z.literal(2)])
      .default(1)
      .describe('0 is not acknowledged by the broker: what is on its way when the connection breaks is lost'),
    retain: z
      .boolean()
      .default(false)
      .describe('the broker keeps the newest message of each topic for late-comers'),
    version: z
      .union([z.literal(4), z.literal(5)])
      .default(5)
      .describe('of the protocol: 5, or 4 for MQTT 3.1.1'),
    username: z.string().optional().describe('for the broker'),
    passwordEnv: secretOption.describe('the environment variable that holds the password'),
    timeout: timeoutOption.describe('seconds that connecting or an acknowledgement may take'),
    ...messageOptions,
  }),
  create: (options) => {
    const { url, topic, qos, retain, version, username, passwordEnv, frames, scores } = options;
    const timeoutMs = options.timeout * 1000;
    /** For messages: without what must not be seen. */
    const shown = new URL(url);
    [shown.username, shown.password] = ['', ''];
    let client: MqttClient | undefined;

    const connect = async (signal: AbortSignal): Promise<MqttClient> => {
      // Loaded when it is used: a run without this sink does without the library.
      const { connectAsync } = await import('mqtt');
      const password = secretFrom(passwordEnv);
      const connected = await connectAsync(
        url,
        {
          protocolVersion: version,
          connectTimeout: timeoutMs,
          reconnectPeriod: 0, // the queue in front of the sink tries again, with growing pauses
          ...(username !== undefined && { username }),
          ...(password !== undefined && { password }),
        },
        false,
      ).catch((cause: unknown) => {
        throw new SinkError(`${shown.href} cannot be reached: ${messageOf(cause) || 'no answer'}`, { cause });
      });
      if (signal.aborted) {
        await connected.endAsync(true); // the sink may be closed already: nobody would end it
        throw signal.reason;
      }
      // Whoever waits for an acknowledgement is told; the next delivery connects anew.
      connected.on('error', () => undefined);
      connected.on('close', () => {
        if (client === connected) client = undefined;
      });
      return connected;
    };
    const drop = async (): Promise<void> => {
      const before = client;
      client = undefined;
      await before?.endAsync(true);
    };
    const publish = async (delivery: Delivery, signal: AbortSignal): Promise<void> => {
      signal.throwIfAborted();
      client ??= await connect(signal);
      // A level of a topic may hold anything but the wildcards.
      const place = filledIn(topic, delivery, (series) => series.replaceAll(/[#+\0]/g, encodeURIComponent));
      const payload = JSON.stringify(jsonMessage(delivery, leadsToSend(frames)));
      const sent = client.publishAsync(place, payload, {
        qos,
        retain,
        ...(version === 5 && { properties: { contentType: 'application/json' } }),
      });
      try {
        await endsWithin(timeoutMs, signal, () => sent);
      } catch (cause) {
        await drop().catch(() => undefined); // what the client still holds must not go out beside the next try
        signal.throwIfAborted();
        const code = typeof cause === 'object' && cause !== null ? Number(Reflect.get(cause, 'code')) : NaN;
        throw new SinkError(
          `${shown.href} did not take a message of ${payload.length} bytes: ${messageOf(cause)}`,
          {
            cause,
            retryable: !FOR_GOOD.has(code),
          },
        );
      }
    };
    return {
      open: async (signal) => {
        client ??= await connect(signal);
      },
      forecast: (forecast, signal) => publish({ type: 'forecast', forecast }, signal),
      ...(scores && { score: (score, signal) => publish({ type: 'score', score }, signal) }),
      close: async () => {
        const before = client;
        client = undefined;
        await before?.endAsync();
      },
    };
  },
});
