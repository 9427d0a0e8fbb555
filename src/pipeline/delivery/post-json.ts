import { createHmac } from 'node:crypto';
import { messageOf, SinkError } from '../errors.js';
import { isRetryable } from './delivery.js';
import { endsWithin } from './ends-within.js';

export interface PostOptions {
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Signs the request; see `signatureOf`. */
  readonly secret?: string | undefined;
  readonly timeoutMs: number;
}

/** HMAC-SHA256 of "SECONDS.BODY", hex: proves who sent a request, and when. */
export const signatureOf = (secret: string, seconds: number, body: string): string =>
  createHmac('sha256', secret).update(`${seconds}.${body}`).digest('hex');

/** Answers that may be others in a while; all that are not 2xx and not here are for good. */
const MAY_PASS = new Set([408, 409, 423, 425, 429]);

/** `fetch` says why it failed in the cause; what it refuses to send at all, such as a header that is not Latin-1, has none. */
const causeOf = (error: unknown): unknown =>
  typeof error === 'object' && error !== null ? Reflect.get(error, 'cause') : undefined;

/**
 * POSTs JSON with its key as `Idempotency-Key` and, with a secret, `Mesocast-Signature: t=SECONDS,v1=HEX`.
 * @throws SinkError: retryable when the server cannot be reached, is busy or broken (408, 425, 429, 5xx, ...)
 */
export const postJson = async (
  key: string,
  message: unknown,
  { url, headers = {}, secret, timeoutMs }: PostOptions,
  signal: AbortSignal,
): Promise<void> => {
  signal.throwIfAborted();
  const body = JSON.stringify(message);
  const seconds = Math.floor(Date.now() / 1000);
  let response: Response;
  try {
    const all = new Headers({
      'content-type': 'application/json',
      'idempotency-key': key,
      ...(secret !== undefined && {
        'mesocast-signature': `t=${seconds},v1=${signatureOf(secret, seconds, body)}`,
      }),
    });
    // Instead of ours, however they are written.
    for (const [name, value] of Object.entries(headers)) all.set(name, value);
    response = await endsWithin(timeoutMs, signal, async (limit) => {
      const answer = await fetch(url, {
        method: 'POST',
        body,
        // A POST that follows a redirection arrives as something else.
        redirect: 'manual',
        headers: all,
        signal: limit,
      });
      await answer.arrayBuffer(); // frees the connection
      return answer;
    });
  } catch (cause) {
    signal.throwIfAborted();
    const deeper = causeOf(cause);
    // It would be refused again: a mistake in what is to be sent, or a port that browsers block.
    const retryable = deeper === undefined ? isRetryable(cause) : messageOf(deeper) !== 'bad port';
    const reason = messageOf(deeper ?? cause);
    throw new SinkError(`${url} cannot be ${retryable ? 'reached' : 'called'}: ${reason}`, {
      cause,
      retryable,
    });
  }
  if (response.ok) return;
  const after = Number(response.headers.get('retry-after'));
  throw new SinkError(`${url} answered ${response.status} ${response.statusText}`.trim(), {
    retryable: response.status >= 500 || MAY_PASS.has(response.status),
    ...(after > 0 && { retryAfterMs: Math.min(after, 3600) * 1000 }),
  });
};
