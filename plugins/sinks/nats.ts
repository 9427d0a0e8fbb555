import type { JetStreamClient } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { z } from 'zod';
import type { Delivery } from '../../src/pipeline/delivery/delivery.js';
import { messageOf, SinkError } from '../../src/pipeline/errors.js';
import { filledIn, jsonMessage, keyOf, leadsToSend } from '../../src/pipeline/delivery/forecast-message.js';
import { defineSink } from '../../src/pipeline/plugins/plugin.js';
import { secretFrom } from '../../src/pipeline/delivery/secret.js';
import { messageOptions, secretOption, timeoutOption } from '../../src/pipeline/delivery/sink-options.js';

/** Each forecast and score as a message in a JetStream stream; docs/sinks.md has what arrives. */
export const nats = defineSink({
  name: 'nats',
  summary: 'a NATS JetStream message of JSON for each forecast and each score, without repeats',
  options: z.strictObject({
    servers: z
      .array(z.string().min(1))
      .min(1)
      .default(['localhost:4222'])
      .describe('host:port of one or several servers of a cluster'),
    subject: z
      .string()
      .regex(/^[^\s*>]+$/, 'a subject to publish to has no spaces and no wildcards (* and >)')
      .default('mesocast.{series}.{type}')
      .describe('with {series} and {type} (forecast or score) filled in; a stream has to listen to it'),
    stream: z.string().optional().describe('the stream that has to take it; default: whichever does'),
    tokenEnv: secretOption.describe('the environment variable that holds the token'),
    user: z.string().optional().describe('for the server'),
    passwordEnv: secretOption.describe('the environment variable that holds the password'),
    timeout: timeoutOption.describe('seconds that connecting or an acknowledgement may take'),
    ...messageOptions,
  }),
  create: ({ servers, subject, stream, tokenEnv, user, passwordEnv, timeout, frames, scores }) => {
    const where = servers.join(', ');
    let connection: NatsConnection | undefined;
    let jetstream: JetStreamClient | undefined;

    const connected = async (signal: AbortSignal): Promise<JetStreamClient> => {
      if (connection !== undefined && !connection.isClosed() && jetstream !== undefined) return jetstream;
      // Loaded when they are used: a run without this sink does without them.
      const { connect } = await import('@nats-io/transport-node');
      const library = await import('@nats-io/jetstream');
      const [token, pass] = [secretFrom(tokenEnv), secretFrom(passwordEnv)];
      let made: NatsConnection;
      try {
        made = await connect({
          servers,
          name: 'mesocast',
          timeout: timeout * 1000,
          maxReconnectAttempts: -1,
          ...(token !== undefined && { token }),
          ...(user !== undefined && { user }),
          ...(pass !== undefined && { pass }),
        });
      } catch (cause) {
        throw new SinkError(`${where} cannot be reached: ${messageOf(cause)}`, { cause });
      }
      if (signal.aborted) {
        await made.close(); // the sink may be closed already: nobody would end it
        throw signal.reason;
      }
      connection = made;
      return (jetstream = library.jetstream(made));
    };
    const publish = async (delivery: Delivery, signal: AbortSignal): Promise<void> => {
      signal.throwIfAborted();
      const client = await connected(signal);
      // Levels of a series become levels of the subject; what a level may not hold becomes "_".
      const place = filledIn(subject, delivery, (series) =>
        series.replaceAll(/[\s*>.]/g, '_').replaceAll('/', '.'),
      );
      const payload = JSON.stringify(jsonMessage(delivery, leadsToSend(frames)));
      const most = connection?.info?.max_payload ?? Infinity;
      const size = Buffer.byteLength(payload);
      if (size > most)
        throw new SinkError(`${where} takes messages of ${most} bytes, this one has ${size}`, {
          retryable: false,
          hint: 'send fewer frames (option frames), or raise max_payload of the server',
        });
      try {
        await client.publish(place, payload, {
          msgID: keyOf(delivery),
          timeout: timeout * 1000,
          ...(stream !== undefined && { expect: { streamName: stream } }),
        });
      } catch (cause) {
        signal.throwIfAborted();
        const noStream =
          cause instanceof Error && /^(NoRespondersError|JetStreamNotEnabled)$/.test(cause.name);
        const reason = noStream ? `no stream listens to ${place}` : messageOf(cause);
        throw new SinkError(`${where} did not take a message: ${reason}`, { cause });
      }
    };
    return {
      open: async (signal) => {
        await connected(signal);
      },
      forecast: (forecast, signal) => publish({ type: 'forecast', forecast }, signal),
      ...(scores && { score: (score, signal) => publish({ type: 'score', score }, signal) }),
      close: async () => {
        const before = connection;
        connection = jetstream = undefined;
        await before?.close();
      },
    };
  },
});
