import type { Stats } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { forecastLine } from '../../src/pipeline/delivery/forecast-message.js';
import { defineSink } from '../../src/pipeline/plugins/plugin.js';

/** One line of JSON for each forecast in `forecasts.jsonl`, and for each score in `scores.jsonl`; see docs/output.md. */
export const jsonl = defineSink({
  name: 'jsonl',
  summary: 'one line of JSON for each forecast and each score',
  options: z.strictObject({
    rotateBytes: z
      .number()
      .int()
      .positive()
      .optional()
      .describe(
        'a file that reaches this size is set aside as NAME.000001.jsonl and a new one begun; default: never',
      ),
    rotateDaily: z
      .boolean()
      .default(false)
      .describe('so is a file whose last line is of an earlier day (UTC)'),
    keepRotated: z
      .number()
      .int()
      .positive()
      .optional()
      .describe(
        'files set aside that are kept, of forecasts and of scores; the oldest go first; default: all',
      ),
  }),
  create: (rotation, { out, log }) => {
    const forecasts = lineFile(out, 'forecasts', rotation, log);
    const scores = lineFile(out, 'scores', rotation, log);
    return {
      open: async () => {
        await mkdir(out, { recursive: true });
        await forecasts.open();
        await scores.open();
      },
      forecast: (forecast, signal) => forecasts.append(forecastLine(forecast), signal),
      score: (score, signal) => scores.append(score, signal),
      close: async () => {
        await forecasts.close();
        await scores.close();
      },
    };
  },
});

interface Rotation {
  readonly rotateBytes?: number | undefined;
  readonly rotateDaily: boolean;
  readonly keepRotated?: number | undefined;
}

/** A moment's day in UTC: 2026-01-31. */
const dayOf = (ms: number): string => new Date(ms).toISOString().slice(0, 10);

/** A file that only ever holds whole lines, whatever interrupted its writer. */
const lineFile = (
  folder: string,
  name: string,
  { rotateBytes = Infinity, rotateDaily, keepRotated = Infinity }: Rotation,
  log: (message: string) => void,
) => {
  const path = join(folder, `${name}.jsonl`);
  let handle: FileHandle | undefined;
  /** Which file is open. */
  let opened: Stats | undefined;
  let size = 0;
  /** Of the last line. */
  let day = '';
  let last: Promise<void> = Promise.resolve();

  /** Behind the last whole line: what comes after it is cut off. */
  const start = async (): Promise<FileHandle> => {
    const file = await open(path, 'a+');
    try {
      opened = await file.stat();
      const { size: found, mtimeMs } = opened;
      day = dayOf(mtimeMs);
      size = await endOfLastLine(file, found);
      if (size < found) {
        await file.truncate(size);
        log(
          `${path}: removed the last ${found - size} bytes, a line that was cut off; it will be written again`,
        );
      }
      return file;
    } catch (error) {
      await file.close().catch(() => undefined); // the first error is the one to report
      throw error;
    }
  };
  /** The next line goes to whatever is at the path by then. */
  const letGo = async (): Promise<void> => {
    const before = handle;
    handle = undefined;
    await before?.close();
  };
  /** What is open is still what is at the path, with all that was written: nobody has moved, removed or emptied it. */
  const isInPlace = async (): Promise<boolean> => {
    const found = await stat(path).catch(() => undefined);
    return found?.ino === opened?.ino && found?.dev === opened?.dev && (found?.size ?? 0) >= size;
  };
  const setAside = async (): Promise<FileHandle> => {
    const pattern = new RegExp(`^${name}\\.(\\d+)\\.jsonl$`);
    const numberOf = (file: string): number => Number(pattern.exec(file)?.[1] ?? 0);
    const rotated = (await readdir(folder)).filter((file) => pattern.test(file));
    rotated.sort((a, b) => numberOf(a) - numberOf(b));
    await letGo();
    const next = numberOf(rotated.at(-1) ?? '') + 1;
    await rename(path, join(folder, `${name}.${String(next).padStart(6, '0')}.jsonl`));
    for (const file of rotated.slice(0, Math.max(0, rotated.length + 1 - keepRotated)))
      await rm(join(folder, file), { force: true });
    return start();
  };
  const write = async (line: Buffer): Promise<void> => {
    if (handle !== undefined && !(await isInPlace())) await letGo().catch(() => undefined);
    handle ??= await start();
    const today = dayOf(Date.now());
    const isFull = size + line.length > rotateBytes || (rotateDaily && day < today);
    if (size > 0 && isFull) handle = await setAside();
    try {
      await handle.appendFile(line);
      size += line.length;
      day = today;
    } catch (error) {
      // The next try opens what is there then, and does not begin in the middle of a line.
      await letGo().catch(() => undefined);
      throw error;
    }
  };

  return {
    open: async () => {
      handle ??= await start();
    },
    append: (value: unknown, signal: AbortSignal): Promise<void> => {
      const line = Buffer.from(`${JSON.stringify(value)}\n`);
      const written = last.then(() => {
        signal.throwIfAborted();
        return write(line);
      });
      last = written.catch(() => undefined);
      return written;
    },
    close: async () => {
      await last;
      await letGo();
    },
  };
};

/** Offset behind the last line feed before `size`; 0 if there is none. */
const endOfLastLine = async (handle: FileHandle, size: number): Promise<number> => {
  const chunk = Buffer.alloc(64 * 1024);
  for (let end = size; end > 0;) {
    const start = Math.max(0, end - chunk.length);
    const { bytesRead } = await handle.read(chunk, 0, end - start, start);
    const at = chunk.subarray(0, bytesRead).lastIndexOf(0x0a);
    if (at >= 0) return start + at + 1;
    end = start;
  }
  return 0;
};
