import { stat } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';
import { CodecError, codeOf, hintOf, messageOf, StartupError } from '../errors.js';
import type { Entry, Field } from '../frame.js';
import { bySeries } from '../frame.js';
import { globOf, validator, type Codecs } from './input.js';
import { misfit, numberingOf, placeOf } from './numbering.js';
import { readFrame } from './read-frame.js';
import { filesOf, type FilesOptions } from '../config/root-options.js';
import { createPlugin } from '../plugins/registry.js';
import { withStacks } from './stacks.js';

/** A frame that lies on disk, at its place in the series: missing numbers leave places empty. */
export interface RecordedFrame extends Entry {
  readonly place: number;
}

/** A series that lies on disk: frames by place, one at the most for each. */
export interface Recorded {
  /** As `attach` calls it: the folder's name and what is below it, and a file of several frames behind them. */
  readonly name: string;
  readonly frames: readonly RecordedFrame[];
}

/** Which files are frames, as `attach` has it. */
export interface RecordedOptions extends FilesOptions {
  readonly codecs: Codecs;
  readonly notice: (message: string) => void;
}

/** All entries below a folder, as a scan of `attach` finds them once everything stands still. */
const entriesOf = async (
  directory: string,
  { codecs, notice, ...files }: RecordedOptions,
): Promise<readonly Entry[]> => {
  const source = await createPlugin(
    'source',
    'directory',
    { directory, ...filesOf(files) },
    { log: notice, extensions: codecs.extensions, stackExtensions: codecs.stackExtensions },
  );
  const { signal } = new AbortController();
  try {
    await source.open(signal);
    const frames = withStacks(source, {
      ledger: { frame: () => undefined },
      codecFor: codecs.for,
      notice,
      validate: validator(codecs.for),
    });
    await frames.source.scan(signal);
    return await frames.source.scan(signal); // the second look tells of files that are torn at their end
  } finally {
    await source.close();
  }
};

/** A folder and those below it, or one file, of which its folder may hold the rest of the series. */
const entriesAt = async (path: string, options: RecordedOptions): Promise<readonly Entry[]> => {
  const found = await stat(path).catch((cause: unknown) => {
    throw new StartupError(
      codeOf(cause) === 'ENOENT' ? `there is no ${path}` : `cannot read ${path}: ${messageOf(cause)}`,
      { cause },
    );
  });
  if (found.isDirectory()) return entriesOf(path, options);
  return entriesOf(dirname(path), { ...options, include: [globOf(basename(path))] });
};

/** By folder, one below the other: which series come last must depend neither on the disk nor on the locale. */
const inOrder = (a: string, b: string): number => {
  const [left, right] = [a.split('/'), b.split('/')];
  const at = left.findIndex((part, k) => part !== right[k]);
  if (at < 0) return left.length - right.length;
  const other = right[at];
  return other === undefined || (left[at] as string) > other ? 1 : -1;
};

const placed = (
  name: string,
  entries: readonly Entry[],
  notice: RecordedOptions['notice'],
): RecordedFrame[] => {
  const sorted = entries.toSorted((a, b) => a.index - b.index);
  const numbering = numberingOf(sorted.map(({ index }) => index));
  return sorted.flatMap((entry, k) => {
    const before = sorted[k - 1];
    if (before?.index === entry.index)
      throw new StartupError(
        `${before.path} and ${basename(entry.path)} both have number ${entry.index}: a series has one frame for each`,
        { hint: 'say which files are meant with --include, such as "*.png"' },
      );
    const place = placeOf(entry.index, numbering);
    if (place !== undefined) return [{ ...entry, place }];
    notice(`${name}: ${basename(entry.path)} is left out: ${misfit(entry.index, numbering)}`);
    return [];
  });
};

/**
 * The series that lie in a folder and those below it, or in one file: what `attach` would follow there, in a fixed order.
 * Nothing is decoded. None where there are no frames.
 * @throws StartupError when there is no such path, or two files have one number
 */
export const listRecorded = async (where: string, options: RecordedOptions): Promise<Recorded[]> => {
  const path = resolve(where);
  return [...bySeries(await entriesAt(path, options))]
    .sort(([a], [b]) => inOrder(a, b))
    .map(([name, entries]) => ({ name, frames: placed(name, entries, options.notice) }));
};

export const noFramesIn = (path: string): StartupError =>
  new StartupError(`there are no frames in ${path}`, {
    hint: 'frames are numbered files like frame_0001.png, .tif or .npy, or files of several frames: docs/formats.md',
  });

/** A frame's values, and the hash by which it is known. @throws CodecError naming the file */
export const readRecorded = async (
  entry: Entry,
  codecs: Codecs,
): Promise<{ readonly field: Field; readonly contentHash: string }> => {
  try {
    return await readFrame(entry, codecs.for(entry.path));
  } catch (cause) {
    const of = entry.item === undefined ? '' : `, frame ${entry.item}`;
    throw new CodecError(`${entry.path}${of}: ${messageOf(cause)}`, {
      cause,
      hint: hintOf(cause) ?? 'remove it, or write it again',
    });
  }
};
