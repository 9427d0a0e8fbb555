import { open } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { readFully } from '../bytes.js';
import type { PhysicalTime } from '../frame.js';

/** Times of frames, by their numbers or by the absolute paths of their files. */
export type Times = Map<number | string, PhysicalTime>;

/** A table of times as far as it was read: to the end of its last whole line. */
export interface TimesTable {
  readonly times: Times;
  readonly inode: number;
  readonly size: number;
  readonly end: number;
  /** The last whole line: while it is where it was, what comes before it is taken for what was read. */
  readonly line: Buffer;
  readonly unit: string | undefined;
}

const NEWLINE = 10;

/**
 * Lines `frame,time`: the frame by its number or its file's name. Separators are commas, semicolons or blanks. A head may
 * name the columns, and the unit: `frame,time [s]`. Only whole lines count.
 */
export const parseTimesCsv = (text: string, folder: string): Times => {
  const times: Times = new Map();
  addLines(times, text.slice(0, text.lastIndexOf('\n') + 1), folder, undefined);
  return times;
};

/** Adds the times of whole lines. Gives their unit, as they or those before them say it. */
const addLines = (
  times: Times,
  lines: string,
  folder: string,
  before: string | undefined,
): string | undefined => {
  let unit = before;
  for (const line of lines.split(/\r?\n/)) {
    const [, frame = '', rest = ''] = /^\s*"?([^,;\s"]+)"?\s*[,;\s]\s*(.+?)\s*$/.exec(line) ?? [];
    const value = Number(rest.replaceAll('"', ''));
    if (frame === '' || frame.startsWith('#') || !Number.isFinite(value)) {
      unit ??= /[[(]([^\])]+)[\])]/.exec(rest)?.[1];
      continue;
    }
    const key = /^\d+$/.test(frame) ? Number(frame) : resolve(folder, frame);
    times.set(key, { value, ...(unit !== undefined && { unit }) });
  }
  return unit;
};

/**
 * The first `size` bytes of a table. One that has only grown since it was read is read on from there, its times added to
 * those that there were.
 * @throws the system's error when it cannot be read
 */
export const readTimesTable = async (
  path: string,
  { size, ino: inode }: { readonly size: number; readonly ino: number },
  before: TimesTable | undefined,
): Promise<TimesTable> => {
  const file = await open(path, 'r');
  const take = (table: TimesTable, bytes: Buffer): TimesTable => {
    const end = bytes.lastIndexOf(NEWLINE) + 1;
    if (end === 0) return { ...table, size };
    const unit = addLines(table.times, bytes.toString('utf8', 0, end), dirname(path), table.unit);
    const from = bytes.subarray(0, end - 1).lastIndexOf(NEWLINE) + 1;
    const line = Buffer.from(bytes.subarray(from, end)); // a copy, which does not hold the rest
    return { ...table, size, end: table.end + end, line, unit };
  };
  try {
    if (before?.inode === inode && before.size < size) {
      const { end, line } = before;
      const bytes = await readFully(file, end - line.length, size - end + line.length);
      if (bytes.subarray(0, line.length).equals(line)) return take(before, bytes.subarray(line.length));
    }
    const none = { times: new Map(), inode, size, end: 0, line: Buffer.alloc(0), unit: undefined };
    return take(none, await readFully(file, 0, size));
  } finally {
    await file.close();
  }
};
