import { existsSync } from 'node:fs';
import { mkdir, open, readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { shippedFolder, shippedForecasters } from '../../forecaster/folder.js';
import { codeOf } from '../../pipeline/errors.js';

/** One line of learning/log.jsonl: a forecaster that began to make the forecasts, and why. */
const changeSchema = z.object({
  at: z.string().describe('ISO 8601'),
  name: z.string(),
  hash: z.string(),
  /** Where it is; absent for none at all. */
  folder: z.string().optional(),
  why: z.string(),
  /** Errors on frames that it had not learned from, when it was judged. */
  evidence: z
    .object({
      windows: z.number(),
      leads: z.number(),
      rmse: z.number(),
      /** Of the one before. */
      champion: z.number().optional(),
      persistence: z.number(),
      linear: z.number(),
    })
    .optional(),
});
export type Change = z.output<typeof changeSchema>;
export type Evidence = NonNullable<Change['evidence']>;

/** Where learning keeps its things, below a state folder. */
export const learningFolder = (state: string): string => join(state, 'learning');
const fileOf = (state: string): string => join(learningFolder(state), 'log.jsonl');

/**
 * Where the forecaster of a change is by now: a version, which is named after its folder, is beside the log, wherever the
 * state folder was when it was learned, and one that ships where mesocast is installed, wherever that was. One of another
 * run's versions stays where it is.
 */
const found = async (state: string, change: Change): Promise<Change> => {
  const { folder } = change;
  if (folder === undefined) return change;
  const [kind, name] = [basename(dirname(folder)), basename(folder)];
  if (kind === 'versions' && change.name.endsWith(name)) {
    const here = join(learningFolder(state), 'versions', name);
    return existsSync(here) || !existsSync(folder) ? { ...change, folder: here } : change;
  }
  const isMoved = !existsSync(folder) && (await shippedForecasters()).includes(name);
  return isMoved ? { ...change, folder: shippedFolder(name) } : change;
};

/** Every change so far, oldest first; a line that a crash cut short is left out. */
export const readChanges = async (state: string): Promise<Change[]> => {
  const text = await readFile(fileOf(state), 'utf8').catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return '';
    throw error;
  });
  const changes = text.split('\n').flatMap((line) => {
    try {
      return [changeSchema.parse(JSON.parse(line))];
    } catch {
      return [];
    }
  });
  return Promise.all(changes.map((change) => found(state, change)));
};

export const appendChange = async (state: string, change: Change): Promise<void> => {
  const file = fileOf(state);
  await mkdir(dirname(file), { recursive: true });
  const log = await open(file, 'a+');
  try {
    // A full disk may have cut the last line short.
    const { size } = await log.stat();
    const { buffer, bytesRead } = await log.read(Buffer.alloc(1), 0, 1, Math.max(0, size - 1));
    const isWhole = bytesRead === 0 || buffer.toString() === '\n';
    await log.appendFile(`${isWhole ? '' : '\n'}${JSON.stringify(change)}\n`);
    await log.sync(); // the ledger may name the forecaster from now on: a power cut must not take it back
  } finally {
    await log.close();
  }
};
