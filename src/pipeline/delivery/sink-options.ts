import { z } from 'zod';

/** What sinks that send JSON to other programs have in common. */
export const messageOptions = {
  frames: z
    .union([z.literal('none'), z.literal('all'), z.array(z.number().int().positive()).min(1)])
    .default('none')
    .describe('the leads whose frames are sent along, as base64 of float32: none, all or [1, 10, 50]'),
  scores: z.boolean().default(true).describe('scores are sent too'),
};

const holdsCredentials = (url: string): boolean => {
  if (!URL.canParse(url)) return false;
  const { username, password } = new URL(url);
  return username !== '' || password !== '';
};

/** An HTTP address. `fetch` refuses one with a user name or password. */
export const httpUrl = z
  .url({ protocol: /^https?$/ })
  .refine(
    (url) => !holdsCredentials(url),
    'no user name and no password in it; give them as headers: { authorization: Basic ... }',
  );

/** Of an HTTP request, by name. */
export const headersOption = z.record(z.string(), z.string()).default({}).describe('sent with each request');

/** Seconds that something may take before it counts as failed. */
export const timeoutOption = z.number().positive().max(86_400).default(10);

/** The name of an environment variable that holds a secret. */
export const secretOption = z.string().min(1).optional();
