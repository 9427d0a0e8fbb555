import { readdirSync, readFileSync } from 'node:fs';
import { bytesOf } from '../../src/pipeline/bytes.js';
import { MesocastError, messageOf } from '../../src/pipeline/errors.js';
import type { Field } from '../../src/pipeline/frame.js';
import { sizeOf } from '../../src/pipeline/frame.js';
import type { Codec } from '../../src/pipeline/plugins/plugin.js';
import { createPlugin } from '../../src/pipeline/plugins/registry.js';

/** A whole file and what is in it. */
export interface FuzzSeed {
  readonly name: string;
  readonly format: string;
  readonly codec: Codec;
  readonly bytes: Buffer;
  readonly frames: readonly Field[];
}

/** What became of mutated files of one format. */
export interface FuzzTally {
  cut: number;
  cutRefused: number;
  flipped: number;
  flippedRefused: number;
  /** Flips that changed nothing, such as in a comment. */
  harmless: number;
  /** Flips that were read as other values. */
  changed: number;
  garbled: number;
  /** What must never be, in words. */
  readonly failures: string[];
  slowest: number;
}

const FORMATS: Readonly<Record<string, string>> = {
  jpg: 'jpeg',
  tif: 'tiff',
  h5: 'hdf5',
  nxs: 'hdf5',
  vtr: 'vti',
};
/** Every bit of a frame in these is under a checksum. */
const CHECKED = new Set(['png', 'npz']);
/** Milliseconds after which a file counts as one that hangs its reader: it is validated, counted and read, and HDF5 is given up after 15 s each time. */
const HANGS = 50_000;

interface Golden {
  readonly file?: string;
  readonly options?: Record<string, unknown>;
  readonly refused?: string;
}

const read = async (codec: Codec, bytes: Buffer): Promise<Field[]> => {
  if (codec.stack === undefined) return [await codec.decode(bytes)];
  const { count } = await codec.stack.count(bytesOf(bytes));
  const frames: Field[] = [];
  for (let item = 0; item < Math.min(count, 4); item++)
    frames.push(await codec.stack.decode(bytesOf(bytes), item));
  return frames;
};

/** Every golden file that is read, with the options that it is read with. */
export const fuzzSeeds = async (folder: URL): Promise<FuzzSeed[]> => {
  const seeds: FuzzSeed[] = [];
  for (const part of ['./', './scientific/']) {
    const base = new URL(part, folder);
    const goldens = JSON.parse(readFileSync(new URL('golden.json', base), 'utf8')) as Record<string, Golden>;
    const there = new Set(readdirSync(base));
    for (const [key, { file = key, options = {}, refused }] of Object.entries(goldens)) {
      if (refused !== undefined || !there.has(file)) continue;
      const ending = file.slice(file.lastIndexOf('.') + 1);
      const format = FORMATS[ending] ?? ending;
      const codec = await createPlugin('codec', format, options, undefined);
      const bytes = readFileSync(new URL(file, base));
      seeds.push({ name: key, format, codec, bytes, frames: await read(codec, bytes) });
    }
  }
  const raw = await createPlugin('codec', 'raw', { height: 5, width: 7, header: 16 }, undefined);
  const bytes = Buffer.from(Uint8Array.from({ length: 16 + 70 }, (_, i) => i * 37));
  seeds.push({ name: 'raw', format: 'raw', codec: raw, bytes, frames: await read(raw, bytes) });
  return seeds;
};

export const newTally = (): FuzzTally => ({
  cut: 0,
  cutRefused: 0,
  flipped: 0,
  flippedRefused: 0,
  harmless: 0,
  changed: 0,
  garbled: 0,
  failures: [],
  slowest: 0,
});

const same = (a: readonly Field[], b: readonly Field[]): boolean =>
  a.length === b.length &&
  a.every(({ data }, f) => {
    const other = b[f]?.data;
    return data.length === other?.length && data.every((value, i) => Object.is(value, other[i]));
  });

type Outcome = { readonly frames: Field[] } | { readonly refused: string } | { readonly failure: string };

const attempt = async (codec: Codec, bytes: Buffer): Promise<Outcome> => {
  let timer: NodeJS.Timeout | undefined;
  const hanging = new Promise<Outcome>((resolve) => {
    timer = setTimeout(resolve, HANGS, { failure: 'hangs' });
  });
  const work = async (): Promise<Outcome> => {
    try {
      const verdict = await codec.validate(bytesOf(bytes));
      const frames = await read(codec, bytes);
      if (frames.some(({ data, shape }) => data.length !== sizeOf(shape)))
        return { failure: 'the values do not fill the shape' };
      // Frames of a torn stack are good as far as they go; a whole file has to be whole.
      return verdict === undefined || codec.stack !== undefined ? { frames } : { refused: verdict };
    } catch (error) {
      return error instanceof MesocastError
        ? { refused: error.message }
        : { failure: `throws ${messageOf(error)}` };
    }
  };
  const outcome = await Promise.race([work(), hanging]);
  clearTimeout(timer);
  return outcome;
};

const EXTREMES = [0, 1, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff];

/**
 * Mutates a whole file in one of three ways, reads it, and adds up what came of it.
 * @param random uniform in 0..1, seeded
 */
export const fuzzOnce = async (seed: FuzzSeed, random: () => number, tally: FuzzTally): Promise<void> => {
  const { name, format, codec, bytes, frames } = seed;
  const below = (n: number): number => Math.floor(random() * n);
  const kind = below(3);
  const began = performance.now();
  let mutated = Buffer.from(bytes);
  let what: string;
  if (kind === 0) {
    const length = below(bytes.length);
    mutated = mutated.subarray(0, length);
    what = `cut to ${length} bytes`;
  } else if (kind === 1) {
    const at = below(bytes.length);
    const bit = below(8);
    mutated[at] = (mutated[at] ?? 0) ^ (1 << bit);
    what = `bit ${bit} of byte ${at} flipped`;
  } else {
    const at = below(Math.max(1, bytes.length - 8));
    what = `garbled at byte ${at}`;
    for (let times = 1 + below(3); times > 0; times--) {
      const place = below(Math.max(1, bytes.length - 8));
      const how = below(3);
      if (how === 0)
        mutated.writeUInt32LE(EXTREMES[below(EXTREMES.length)] ?? 0, Math.min(place, mutated.length - 4));
      else if (how === 1)
        mutated.writeUInt32BE(EXTREMES[below(EXTREMES.length)] ?? 0, Math.min(place, mutated.length - 4));
      else for (let i = 0; i < 8; i++) mutated[place + i] = below(256);
    }
  }
  const outcome = await attempt(codec, mutated);
  tally.slowest = Math.max(tally.slowest, performance.now() - began);
  const fail = (why: string): void => {
    tally.failures.push(`${name}, ${what}: ${why}`);
  };
  if ('failure' in outcome) fail(outcome.failure);
  if (kind === 0) {
    tally.cut++;
    const got = 'frames' in outcome ? outcome.frames : [];
    if (!same(got, frames.slice(0, got.length))) fail('a torn frame is accepted');
    // What has all its values may lack padding, or arrays that nobody asked for; what has not must not pass as whole.
    if (got.length < frames.length && (await codec.validate(bytesOf(mutated))) === undefined)
      fail('it passes as whole');
    if (got.length < frames.length) tally.cutRefused++;
  } else if (kind === 1) {
    tally.flipped++;
    if ('refused' in outcome) tally.flippedRefused++;
    else if ('frames' in outcome && same(outcome.frames, frames)) tally.harmless++;
    else if ('frames' in outcome && outcome.frames.length === 0) tally.flippedRefused++;
    else if ('frames' in outcome) {
      tally.changed++;
      if (CHECKED.has(format)) fail('a flip under a checksum is accepted');
    }
  } else tally.garbled++;
};
