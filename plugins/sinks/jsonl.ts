import type { FileHandle } from 'node:fs/promises';
import { mkdir, open, readdir, rename } from 'node:fs/promises';
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
  }),
  create: ({ rotateBytes }, { out, log }) => {
    const forecasts = lineFile(out, 'forecasts', rotateBytes, log);
    const scores = lineFile(out, 'scores', rotateBytes, log);
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

/** A file that only ever holds whole lines, whatever interrupted its writer. */
const lineFile = (
  folder: string,
  name: string,
  rotateBytes: number | undefined,
  log: (message: string) => void,
) => {
  const path = join(folder, `${name}.jsonl`);
  let handle: FileHandle | undefined;
  let size = 0;
  let last: Promise<void> = Promise.resolve();

  const start = async (): Promise<FileHandle> => {
    const opened = await open(path, 'a+');
    const { size: found } = await opened.stat();
    size = await endOfLastLine(opened, found);
    if (size < found) {
      await opened.truncate(size);
      log(
        `${path}: removed the last ${found - size} bytes, a line that was cut off; it will be written again`,
      );
    }
    return opened;
  };
  const setAside = async (opened: FileHandle): Promise<FileHandle> => {
    const pattern = new RegExp(`^${name}\\.(\\d+)\\.jsonl$`);
    const numbers = (await readdir(folder)).map((file) => Number(pattern.exec(file)?.[1] ?? 0));
    await opened.close();
    handle = undefined;
    await rename(path, join(folder, `${name}.${String(Math.max(0, ...numbers) + 1).padStart(6, '0')}.jsonl`));
    return start();
  };
  const write = async (line: Buffer): Promise<void> => {
    handle ??= await start();
    if (rotateBytes !== undefined && size > 0 && size + line.length > rotateBytes)
      handle = await setAside(handle);
    try {
      await handle.appendFile(line);
      size += line.length;
    } catch (error) {
      await handle.truncate(size).catch(() => undefined); // the next try must not begin in the middle of a line
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
      const open = handle;
      handle = undefined;
      await open?.close();
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
