import { link, mkdir, readFile, unlink, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import sharp from 'sharp';
import { uniformNumbers } from '../../src/pipeline/random.js';
import { codecForExtension } from '../../src/pipeline/plugins/registry.js';
import { framePath, movingField } from '../../test/support/tiny.js';
import { keyOf } from './follower.js';

const SIDE = 512;
/** Images that differ; each is in the pool many times. */
const IMAGES = 20;
/** Grey levels of 65,536: a camera's noise. */
const NOISE = 40;

/** Files that are linked from, again and again. */
export interface Pool {
  readonly paths: readonly string[];
  /** Mean size of a file. */
  readonly bytes: number;
}

/** 512 x 512 PNGs of 16 bits: a blob on a slope, with a camera's noise. */
export const makePool = async (folder: string, files: number): Promise<Pool> => {
  await mkdir(folder);
  const random = uniformNumbers(1);
  const png = await codecForExtension('.png');
  const paths: string[] = [];
  let bytes = 0;
  const images: Buffer[] = [];
  for (let t = 0; t < Math.min(files, IMAGES); t++) {
    const shape = [SIDE, SIDE, 1] as const;
    const data = movingField(t, shape, 65_535).map((value) => Math.round(value + NOISE * random()));
    images.push(await png.encode({ shape, data, sampleType: 'uint16' }));
  }
  for (let k = 0; k < files; k++) {
    const image = images[k % images.length] as Buffer;
    bytes += image.length / files;
    paths.push(framePath(folder, k));
    await writeFile(framePath(folder, k), image);
  }
  return { paths, bytes };
};

/** Frames a second that sharp decodes into 16-bit values, as many at once as make it fastest, files in the page cache. */
export const sharpAlone = async ({ paths }: Pool, seconds: number): Promise<number> => {
  const end = performance.now() + seconds * 1000;
  const began = performance.now();
  let frames = 0;
  const work = async (first: number): Promise<void> => {
    for (let k = first; performance.now() < end; k += LANES, frames++)
      await sharp(await readFile(paths[k % paths.length] as string))
        .toColourspace('grey16')
        .raw({ depth: 'ushort' })
        .toBuffer();
  };
  const LANES = 4;
  await Promise.all(Array.from({ length: LANES }, (_, lane) => work(lane)));
  return frames / ((performance.now() - began) / 1000);
};

/** Puts frames into the folders of some series, in turn, as links that appear whole. The oldest go where there are more than `most`. */
export const feeder = async (root: string, series: number, { paths }: Pool, most = Infinity) => {
  const names = Array.from({ length: series }, (_, k) => `s${k}`);
  for (const name of names) await mkdir(join(root, name), { recursive: true });
  const put = new Map<string, number>();
  const pathOf = (k: number): string =>
    framePath(join(root, names[k % series] as string), Math.floor(k / series));
  return {
    /** When each frame was put, milliseconds since the epoch. */
    put: put as ReadonlyMap<string, number>,
    next: async (): Promise<void> => {
      const k = put.size;
      await link(paths[k % paths.length] as string, pathOf(k));
      put.set(
        keyOf(`${basename(root)}/${names[k % series]}`, Math.floor(k / series)),
        performance.timeOrigin + performance.now(),
      );
      if (k >= most) await unlink(pathOf(k - most));
    },
  };
};
