import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs-core';
import { onnxEngine } from '../../src/engine/onnx/engine.js';
import type { Engine, Handle, Named, TensorFunction } from '../../src/engine/types.js';

const SPEC = { shape: [2, 3], dtype: 'float32' as const };
const INPUT = { ...SPEC, data: Float32Array.of(1, 2, 3, 4, 5, 6) };

let folder: string;
const before = process.env['MESOCAST_CACHE'];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mesocast-programs-'));
  process.env['MESOCAST_CACHE'] = folder;
});
afterEach(async () => {
  if (before === undefined) delete process.env['MESOCAST_CACHE'];
  else process.env['MESOCAST_CACHE'] = before;
  await rm(folder, { recursive: true });
});

const scaled =
  (factor: number): TensorFunction =>
  ({ x }) => ({ y: tf.mul(tf.exp(x as tf.Tensor), factor) });

const withEngine = async <T>(use: (engine: Engine) => Promise<T>): Promise<T> => {
  const engine = onnxEngine({ provider: 'cpu', threads: 1 });
  try {
    return await use(engine);
  } finally {
    await engine.dispose();
  }
};
const valuesOf = async (engine: Engine, { y }: Named<Handle>): Promise<number[]> => {
  const { data } = await engine.read(y as Handle);
  y?.release();
  return [...data];
};
/** What a new engine, as in a new process, gives. */
const once = (fn: TensorFunction): Promise<number[]> =>
  withEngine(async (engine) =>
    valuesOf(engine, await (await engine.compile(fn, { x: SPEC })).run({ x: INPUT })),
  );
const kept = async (): Promise<string[]> =>
  (await readdir(join(folder, 'programs'))).map((name) => join(folder, 'programs', name));

test('a program is kept on disk, and a later engine runs what it finds there', async () => {
  const first = await once(scaled(2));
  const [file = ''] = await kept();
  const other = await once(scaled(3));
  const [otherFile = ''] = (await kept()).filter((path) => path !== file);
  expect(await once(scaled(2))).toEqual(first);
  expect(await kept()).toHaveLength(2);
  // The proof that the file is what runs: another program in its place is run instead.
  await writeFile(file, await readFile(otherFile));
  expect(await once(scaled(2))).toEqual(other);
});

test('a damaged file is made anew', async () => {
  const first = await once(scaled(2));
  const [file = ''] = await kept();
  const whole = await readFile(file);
  await writeFile(file, whole.subarray(0, whole.length / 2));
  expect(await once(scaled(2))).toEqual(first);
  expect(await readFile(file)).toEqual(whole);
});

test('a folder that cannot be written is done without', async () => {
  await writeFile(join(folder, 'programs'), 'not a folder');
  expect(await once(scaled(2))).toHaveLength(6);
});

test('MESOCAST_CACHE=off keeps nothing', async () => {
  process.env['MESOCAST_CACHE'] = 'off';
  expect(await once(scaled(2))).toHaveLength(6);
  expect(await readdir(folder)).toEqual([]);
});

test('the same program compiled twice lives until both are disposed of', async () => {
  await withEngine(async (engine) => {
    const [one, two] = [
      await engine.compile(scaled(2), { x: SPEC }),
      await engine.compile(scaled(2), { x: SPEC }),
    ];
    const first = await valuesOf(engine, await one.run({ x: INPUT }));
    await one.dispose();
    expect(await valuesOf(engine, await two.run({ x: INPUT }))).toEqual(first);
    await two.dispose();
    await expect(two.run({ x: INPUT })).rejects.toThrow(/released/);
  });
});

test('a long program without weights is not optimised, so it is not kept', async () => {
  const long: TensorFunction = ({ x }) => {
    let y = x as tf.Tensor;
    for (let k = 0; k < 6000; k++) y = tf.neg(y);
    return { y };
  };
  expect(await once(long)).toEqual([1, 2, 3, 4, 5, 6]);
  await expect(kept()).rejects.toThrow('ENOENT');
});
