import { z } from 'zod';
import type { Delivery } from '../../src/pipeline/delivery/delivery.js';
import { jsonMessage, keyOf, leadsToSend } from '../../src/pipeline/delivery/forecast-message.js';
import { defineSink } from '../../src/pipeline/plugins/plugin.js';
import { postJson } from '../../src/pipeline/delivery/post-json.js';
import { secretFrom } from '../../src/pipeline/delivery/secret.js';
import {
  headersOption,
  httpUrl,
  messageOptions,
  secretOption,
  timeoutOption,
} from '../../src/pipeline/delivery/sink-options.js';

/** Each forecast and score as a signed HTTP POST of JSON; docs/sinks.md has what arrives. */
export const webhook = defineSink({
  name: 'webhook',
  summary: 'a signed HTTP POST of JSON for each forecast and each score',
  options: z.strictObject({
    url: httpUrl.describe('where to post to'),
    secretEnv: secretOption.describe(
      'the environment variable that holds the secret of the HMAC-SHA256 signature; default: not signed',
    ),
    headers: headersOption,
    timeout: timeoutOption.describe('seconds that an answer may take'),
    ...messageOptions,
  }),
  create: ({ url, secretEnv, headers, timeout, frames, scores }) => {
    let secret: string | undefined;
    const post = (delivery: Delivery, signal: AbortSignal): Promise<void> =>
      postJson(
        keyOf(delivery),
        jsonMessage(delivery, leadsToSend(frames)),
        { url, headers, secret, timeoutMs: timeout * 1000 },
        signal,
      );
    return {
      open: async () => {
        secret = secretFrom(secretEnv);
      },
      forecast: (forecast, signal) => post({ type: 'forecast', forecast }, signal),
      ...(scores && { score: (score, signal) => post({ type: 'score', score }, signal) }),
      close: async () => undefined,
    };
  },
});
