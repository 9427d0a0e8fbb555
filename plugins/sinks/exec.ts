import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import { closePipesAtExit } from '../../src/pipeline/delivery/child-pipes.js';
import type { Delivery } from '../../src/pipeline/delivery/delivery.js';
import { messageOf, SinkError } from '../../src/pipeline/errors.js';
import { jsonMessage, keyOf, leadsToSend } from '../../src/pipeline/delivery/forecast-message.js';
import { defineSink } from '../../src/pipeline/plugins/plugin.js';
import { messageOptions, timeoutOption } from '../../src/pipeline/delivery/sink-options.js';

/** A child may take so long to end after its standard input was closed, and after SIGTERM. */
const GRACE_MS = 5_000;

/** What a child says of a delivery, one JSON object a line. */
const answerSchema = z.union([
  z.object({ ack: z.string() }),
  z.object({
    nack: z.string(),
    reason: z.string().default('no reason given'),
    retryable: z.boolean().default(true),
  }),
]);

/** Each forecast and score to a program in any language, which acknowledges it; docs/sinks.md has an example. */
export const exec = defineSink({
  name: 'exec',
  summary: 'a line of JSON for each forecast and each score to a program of yours, which acknowledges it',
  options: z.strictObject({
    command: z
      .array(z.string().min(1))
      .min(1)
      .describe('the program and its arguments, without a shell: [python3, sink.py]'),
    cwd: z.string().optional().describe('where it is started; default: where mesocast was'),
    env: z
      .record(z.string(), z.string())
      .default({})
      .describe('environment variables besides those of mesocast'),
    timeout: timeoutOption.describe(
      'seconds that an acknowledgement may take; then the program is started anew',
    ),
    ...messageOptions,
  }),
  create: ({ command, cwd, env, timeout, frames, scores }, { out, log }) => {
    const [program = '', ...args] = command;
    let child: Child | undefined;
    const deliver = async (delivery: Delivery, signal: AbortSignal): Promise<void> => {
      signal.throwIfAborted();
      if (child?.isRunning() !== true)
        child = await startChild(program, args, cwd, { ...env, MESOCAST_OUT: out }, log);
      await child.deliver(
        keyOf(delivery),
        jsonMessage(delivery, leadsToSend(frames)),
        timeout * 1000,
        signal,
      );
    };
    return {
      open: async () => {
        child ??= await startChild(program, args, cwd, { ...env, MESOCAST_OUT: out }, log);
      },
      forecast: (forecast, signal) => deliver({ type: 'forecast', forecast }, signal),
      ...(scores && { score: (score, signal) => deliver({ type: 'score', score }, signal) }),
      close: async () => {
        const before = child;
        child = undefined;
        await before?.end();
      },
    };
  },
});

interface Child {
  isRunning(): boolean;
  /** @throws SinkError when it is refused, not answered in time, or the program ends */
  deliver(key: string, message: unknown, timeoutMs: number, signal: AbortSignal): Promise<void>;
  /** Lets it finish, then makes it. */
  end(): Promise<void>;
}

/** @throws SinkError when the program cannot be started */
const startChild = async (
  program: string,
  args: readonly string[],
  cwd: string | undefined,
  env: Readonly<Record<string, string>>,
  log: (message: string) => void,
): Promise<Child> => {
  const child = spawn(program, args, {
    stdio: 'pipe',
    env: { ...process.env, ...env },
    ...(cwd !== undefined && { cwd }),
  });
  let ended: string | undefined;
  const exited = new Promise<void>((resolve) => {
    child.on('close', (code, signal) => {
      ended ??= `${program} ended with ${signal ?? `exit code ${code}`}`;
      for (const { reject } of waiting.values()) reject(new SinkError(ended));
      waiting.clear();
      resolve();
    });
  });
  /** Deliveries that were handed over, by key. */
  const waiting = new Map<string, { resolve: () => void; reject: (error: Error) => void }>();
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', (cause) => {
      reject(new SinkError(`${program} cannot be started: ${messageOf(cause)}`, { cause }));
    });
  });
  child.on('error', () => undefined); // a signal that came too late
  closePipesAtExit(child);
  child.stdin.on('error', () => undefined); // the end of the program says more

  createInterface({ input: child.stderr }).on('line', (line) => log(`${program}: ${line}`));
  createInterface({ input: child.stdout }).on('line', (line) => {
    const answer = answerSchema.safeParse(jsonOf(line)).data;
    if (answer === undefined) {
      log(`${program} said what is no acknowledgement: ${line.slice(0, 200)}`);
      return;
    }
    const key = 'ack' in answer ? answer.ack : answer.nack;
    const delivery = waiting.get(key);
    waiting.delete(key);
    if ('ack' in answer) delivery?.resolve();
    else delivery?.reject(new SinkError(`${program}: ${answer.reason}`, { retryable: answer.retryable }));
  });

  return {
    isRunning: () => ended === undefined,
    deliver: async (key, message, timeoutMs, signal) => {
      const given = new AbortController();
      try {
        await new Promise<void>((resolve, reject) => {
          waiting.set(key, { resolve, reject });
          signal.addEventListener('abort', () => reject(signal.reason), { signal: given.signal });
          const hung = setTimeout(() => {
            ended = `${program} did not answer in ${timeoutMs / 1000} s`;
            reject(new SinkError(ended));
            child.kill('SIGKILL'); // a new one gets the delivery again
          }, timeoutMs);
          given.signal.addEventListener('abort', () => clearTimeout(hung));
          child.stdin.write(`${JSON.stringify(message)}\n`);
        });
      } finally {
        waiting.delete(key);
        given.abort();
      }
    },
    end: async () => {
      child.stdin.end();
      const timers = [
        setTimeout(() => child.kill('SIGTERM'), GRACE_MS),
        setTimeout(() => child.kill('SIGKILL'), 2 * GRACE_MS),
      ];
      await exited;
      timers.forEach(clearTimeout);
    },
  };
};

const jsonOf = (line: string): unknown => {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
};
