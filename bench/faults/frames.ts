import { createHash } from 'node:crypto';
import { mkdir, open, rename, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { writeAtomically } from '../../src/pipeline/atomic.js';
import { codecForExtension } from '../../src/pipeline/plugins/registry.js';
import { framePath, movingField } from '../../test/support/tiny.js';

/** What was written: by series and number, the SHA-256 of the whole file. */
export type Truth = Map<string, Map<number, string>>;

const SHAPE = [16, 16, 1] as const;

/** A frame that no other has: a moving blob, and its number in a pixel. */
export const frameOf = async (index: number, extension = '.npy', seed = 0): Promise<Buffer> => {
  const data = movingField(index % 40, SHAPE, 60_000, seed);
  data[index % data.length] = index % 60_000;
  const sampleType = extension === '.npy' ? 'float32' : 'uint16';
  const whole = sampleType === 'uint16' ? data.map(Math.round) : data;
  return (await codecForExtension(extension)).encode({ shape: SHAPE, data: whole, sampleType });
};

export const hashOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** Takes down what a file will hold when it is whole. */
export const remember = (truth: Truth, series: string, index: number, bytes: Uint8Array): void => {
  const frames = truth.get(series) ?? new Map<number, string>();
  frames.set(index, hashOf(bytes));
  truth.set(series, frames);
};

/** Ways in which programs write a file. */
export type Manner = 'renamed' | 'halves' | 'part';

export const write = async (path: string, bytes: Buffer, manner: Manner, pause = 20): Promise<void> => {
  if (manner === 'renamed') return writeAtomically(path, bytes);
  if (manner === 'part') {
    await writeFile(`${path}.part`, bytes);
    return rename(`${path}.part`, path);
  }
  const file = await open(path, 'w');
  const middle = Math.floor(bytes.length / 2);
  await file.write(bytes, 0, middle);
  await sleep(pause);
  await file.write(bytes, middle);
  await file.close();
};

/** Frames of one series, renamed into place. */
export const putSeries = async (
  root: string,
  folder: string,
  from: number,
  to: number,
  truth: Truth,
): Promise<void> => {
  await mkdir(join(root, folder), { recursive: true });
  for (let index = from; index < to; index++) {
    const bytes = await frameOf(index);
    const path = framePath(join(root, folder), index, '.npy');
    await write(path, bytes, 'renamed');
    remember(truth, seriesOf(root, path), index, bytes);
  }
};

/** The series of a file, as the source `directory` names it. */
export const seriesOf = (root: string, path: string): string =>
  `${basename(root)}${dirname(path).slice(root.length)}`;
