import { mkdir, open, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { writeAtomically } from '../pipeline/atomic.js';
import { UsageError, codeOf } from '../pipeline/errors.js';
import { FULL_SCALE, type FrameShape, type SampleType } from '../pipeline/frame.js';
import { PARAMETERS } from '../pipeline/intake/run-parameters.js';
import type { Codec } from '../pipeline/plugins/plugin.js';

/** How frames are put on disk. */
export interface FrameFormat {
  readonly codec: Codec;
  readonly extension: string;
  readonly sampleType: SampleType;
  /** Write in pieces under the final name, as careless programs do, with this many milliseconds between them. */
  readonly tornMs: number | undefined;
}

/** Pieces of a file that is written in place. */
const PIECES = 4;

/** Makes the folder. @throws UsageError when frames lie in it already, unless they may be replaced */
export const prepareFolder = async (folder: string, overwrite: boolean): Promise<void> => {
  await mkdir(folder, { recursive: true }).catch((cause: unknown) => {
    throw new UsageError(`cannot write to ${folder}: ${codeOf(cause) ?? String(cause)}`, { cause });
  });
  const old = (await readdir(folder)).filter((name) => /^frame_\d+\./.test(name));
  if (old.length === 0) return;
  if (!overwrite)
    throw new UsageError(`${folder} already has frames (${old[0]})`, {
      hint: 'give another --out, or --overwrite',
    });
  // All of them: what is left of a longer run would be taken for the rest of the new one.
  for (const name of [...old, PARAMETERS]) await rm(join(folder, name), { force: true });
};

/** File name of a frame without its ending: frame_000012. */
const frameName = (index: number): string => `frame_${String(index).padStart(6, '0')}`;

const writeInPlace = async (path: string, bytes: Buffer, ms: number): Promise<void> => {
  const handle = await open(path, 'w');
  try {
    const size = Math.ceil(bytes.length / PIECES);
    for (let at = 0; at < bytes.length; at += size) {
      if (at > 0) await pause(ms);
      await handle.writeFile(bytes.subarray(at, at + size));
    }
  } finally {
    await handle.close();
  }
};

/** Writes one frame of physical values; integer formats map `range` to their full scale. */
export const writeFrame = async (
  folder: string,
  index: number,
  frame: {
    readonly shape: FrameShape;
    readonly data: Float32Array;
    readonly range: readonly [number, number];
  },
  { codec, extension, sampleType, tornMs }: FrameFormat,
): Promise<void> => {
  const scale = FULL_SCALE[sampleType];
  const [low, high] = frame.range;
  const data =
    scale === undefined ? frame.data : frame.data.map((value) => ((value - low) / (high - low)) * scale);
  const bytes = await codec.encode({ shape: frame.shape, data, sampleType });
  const path = join(folder, `${frameName(index)}${extension}`);
  if (tornMs === undefined) await writeAtomically(path, bytes);
  else await writeInPlace(path, bytes, tornMs);
};
