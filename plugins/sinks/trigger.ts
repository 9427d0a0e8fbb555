import { spawn } from 'node:child_process';
import { z } from 'zod';
import { closePipesAtExit } from '../../src/pipeline/delivery/child-pipes.js';
import { messageOf, SinkError } from '../../src/pipeline/errors.js';
import { frameOf, jsonMessage, leadsToSend } from '../../src/pipeline/delivery/forecast-message.js';
import { rangeOf, type Forecast } from '../../src/pipeline/forecast.js';
import { tellOnce } from '../../src/pipeline/tell-once.js';
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

const conditionSchema = z
  .strictObject({
    measure: z.enum(['fraction', 'mean', 'min', 'max', 'spread']),
    /** For `fraction`: pixels above it count. */
    threshold: z.number().optional(),
    lead: z.number().int().positive(),
    channel: z.number().int().nonnegative().default(0),
    scale: z.enum(['physical', 'normalised']).default('physical'),
    above: z.number().optional(),
    below: z.number().optional(),
    /** Whether it holds only where the forecast can be trusted as far as its lead. */
    trusted: z.boolean().default(false),
  })
  .refine(
    (condition) => condition.above !== undefined || condition.below !== undefined,
    'give above, below or both',
  )
  .refine(
    ({ measure, threshold }) => (measure === 'fraction') === (threshold !== undefined),
    'fraction needs a threshold, the share of pixels above which it is; other measures take none',
  );
type Condition = z.output<typeof conditionSchema>;

/** Runs a command or calls a URL when a forecast fulfils declared conditions; docs/sinks.md explains them. */
export const trigger = defineSink({
  name: 'trigger',
  summary: 'a command or a URL that is called when a forecast fulfils conditions',
  options: z
    .strictObject({
      when: z
        .array(conditionSchema)
        .min(1)
        .describe('conditions, such as { measure: fraction, threshold: 0.5, lead: 50, above: 0.9 }'),
      match: z.enum(['all', 'any']).default('all').describe('whether all conditions have to hold, or one'),
      fire: z
        .enum(['once', 'each'])
        .default('once')
        .describe('once: when they begin to hold in a series; each: at each forecast for which they hold'),
      command: z
        .array(z.string().min(1))
        .min(1)
        .optional()
        .describe(
          'the program and its arguments, without a shell; the forecast is its standard input, as JSON',
        ),
      url: httpUrl.optional().describe('where the forecast is posted to, as JSON'),
      headers: headersOption,
      secretEnv: secretOption.describe('the environment variable that holds the secret of the signature'),
      timeout: timeoutOption.describe('seconds that the program, or the answer, may take'),
      frames: messageOptions.frames,
    })
    .refine(({ command, url }) => (command === undefined) !== (url === undefined), {
      path: ['command'],
      message:
        'give a command or a url; for both, two sinks, with `as`: when one fails, only that one is tried again',
    }),
  create: ({ when, match, fire, command, url, headers, secretEnv, timeout, frames }, { log }) => {
    let secret: string | undefined;
    /** Series for which the conditions hold and a call has succeeded since they began to. */
    const told = new Set<string>();
    const tell = tellOnce(log);
    return {
      open: async () => {
        secret = secretFrom(secretEnv);
      },
      forecast: async (forecast, signal) => {
        signal.throwIfAborted();
        when.forEach((condition, k) =>
          tell(`condition ${k}`, () => {
            const why = neverHolds(forecast, condition);
            return why && `trigger: the condition on ${condition.measure} never holds: ${why}`;
          }),
        );
        const values = when.map((condition) => measured(forecast, condition));
        const fulfilled = values.map((value, at) => fulfils(value, when[at]!, forecast.trustedLeads));
        const holds = match === 'all' ? fulfilled.every(Boolean) : fulfilled.some(Boolean);
        if (!holds) told.delete(forecast.series);
        else if (fire === 'each' || !told.has(forecast.series)) {
          const key = `${forecast.id}.trigger`;
          const message = {
            ...jsonMessage({ type: 'forecast', forecast }, leadsToSend(frames)),
            type: 'trigger',
            key,
            conditions: when.map((condition, at) => ({
              ...condition,
              value: values[at] ?? null,
              holds: fulfilled[at],
            })),
          };
          if (command !== undefined)
            await runCommand(command, JSON.stringify(message), timeout * 1000, signal);
          if (url !== undefined)
            await postJson(key, message, { url, headers, secret, timeoutMs: timeout * 1000 }, signal);
          told.add(forecast.series);
          log(`trigger: the conditions hold for ${forecast.series}, frame ${forecast.index}`);
        }
      },
      close: async () => undefined,
    };
  },
});

/** Why no forecast of a run that makes forecasts like this one can fulfil a condition, if so. */
const neverHolds = (
  { horizon, shape, uncertainty }: Forecast,
  { measure, lead, channel }: Condition,
): string | undefined => {
  if (lead > horizon) return `it is at lead ${lead}, and forecasts reach ${horizon}`;
  if (channel >= shape[2]) return `it is on channel ${channel}, and frames have ${shape[2]}, counted from 0`;
  if (measure === 'spread' && uncertainty?.spread === undefined) return 'forecasts carry no spread';
  return undefined;
};

/** The quantity that a condition speaks of; undefined where the forecast does not reach so far, has no such values, or knows none. */
const measured = (forecast: Forecast, condition: Condition): number | undefined => {
  const { measure, lead, channel, scale, threshold = 0 } = condition;
  const channels = forecast.shape[2];
  const source = measure === 'spread' ? forecast.uncertainty?.spread : forecast.frames;
  if (lead > forecast.horizon || channel >= channels || source === undefined) return undefined;
  const { low, high } = rangeOf(forecast.normalisation, channel);
  const [offset, unit] = scale === 'physical' ? [0, 1] : [measure === 'spread' ? 0 : low, high - low];
  const frame = frameOf({ frames: source, shape: forecast.shape }, lead);
  let [min, max, sum, above, count] = [Infinity, -Infinity, 0, 0, 0];
  for (let at = channel; at < frame.length; at += channels) {
    const value = (frame[at]! - offset) / unit;
    if (Number.isNaN(value)) continue;
    min = Math.min(min, value);
    max = Math.max(max, value);
    sum += value;
    if (value > threshold) above++;
    count++;
  }
  if (count === 0) return undefined;
  return { min, max, mean: sum / count, spread: sum / count, fraction: above / count }[measure];
};

const fulfils = (
  value: number | undefined,
  { above, below, trusted, lead }: Condition,
  trustedLeads: number,
): boolean =>
  value !== undefined &&
  (above === undefined || value > above) &&
  (below === undefined || value < below) &&
  (!trusted || lead <= trustedLeads);

/** @throws SinkError unless it ends with exit code 0 in time */
const runCommand = (command: readonly string[], input: string, timeoutMs: number, signal: AbortSignal) =>
  new Promise<void>((resolve, reject) => {
    const [program = '', ...args] = command;
    const child = spawn(program, args, {
      stdio: ['pipe', 'ignore', 'pipe'],
      timeout: timeoutMs,
      killSignal: 'SIGKILL',
      signal,
    });
    let said = '';
    child.stderr.on('data', (chunk: Buffer) => (said = `${said}${chunk.toString()}`.slice(-500)));
    child.stdin.on('error', () => undefined); // a program need not read it
    child.on('error', (cause) => reject(new SinkError(`${program}: ${messageOf(cause)}`, { cause })));
    closePipesAtExit(child);
    child.on('close', (code, killed) => {
      if (code === 0) return resolve();
      const how = killed === null ? `exit code ${code}` : `${killed} (it may take ${timeoutMs / 1000} s)`;
      reject(
        new SinkError(
          `${program} ended with ${how}${said === '' ? '' : `: ${said.trim().split('\n').at(-1)}`}`,
        ),
      );
    });
    child.stdin.end(input);
  });
