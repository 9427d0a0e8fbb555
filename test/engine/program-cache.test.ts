import { spawnSync } from 'node:child_process';
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs-core';
import { cacheFolder } from '../../src/engine/onnx/cache-folder.js';
import { onnxEngine } from '../../src/engine/onnx/engine.js';
import { writeOnnx } from '../../src/engine/onnx/file.js';
import { featuresIn, keyOf, programCache } from '../../src/engine/onnx/program-cache.js';
import { optimise } from '../../src/engine/passes/index.js';
import { trace } from '../../src/engine/tracer.js';
import type { Engine, Handle, Named, TensorFunction } from '../../src/engine/types.js';
import { nobody, nobodyReads } from '../support/nobody.js';

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

const MODULE = new URL('../../src/engine/onnx/program-cache.js', import.meta.url).href;
const testAsNobody = nobodyReads ? test : test.skip;
testAsNobody('a folder that can only be read is read, and what it lacks is compiled once', async () => {
  const cache = join(folder, 'programs');
  const options = { executionProviders: ['cpu'], logSeverityLevel: 3 as const };
  const [known, other] = [2, 3].map((factor) => writeOnnx(optimise(trace(scaled(factor), { x: SPEC }))));
  const programs = programCache();
  await programs.release(await programs.open({ bytes: known!, options, cache }));
  for (const file of await kept()) await chmod(file, 0o444);
  await writeFile(join(folder, 'known'), known!);
  await writeFile(join(folder, 'other'), other!);
  await chmod(folder, 0o755);
  await chmod(cache, 0o555);
  const script = `import { readFileSync } from 'node:fs';
    import ort from 'onnxruntime-node';
    import { programCache } from ${JSON.stringify(MODULE)};
    const { create } = ort.InferenceSession;
    ort.InferenceSession.create = (model, options) => {
      console.log(typeof model === 'string' ? 'loads' : 'compiles');
      return create.call(ort.InferenceSession, model, options);
    };
    for (const name of ['known', 'other'])
      await programCache().open({
        bytes: readFileSync(process.argv[1] + '/' + name),
        options: ${JSON.stringify(options)},
        cache: process.argv[1] + '/programs',
      });`;
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script, folder], {
    ...nobody,
    encoding: 'utf8',
  });
  await chmod(cache, 0o755); // so that it can be removed
  expect(stdout.trim().split('\n')).toEqual(['loads', 'compiles']);
});

test('processors of one name that differ in what they can do have programs of their own', () => {
  const model = { bytes: Uint8Array.of(1), options: {}, cache: undefined };
  const keys = ['fpu avx2', 'fpu avx2 avx512f', undefined].map((features) => keyOf(model, features));
  expect(new Set(keys).size).toBe(3);
  expect(keyOf(model, 'fpu avx2')).toBe(keys[0]);
});

test.each([
  [
    'x86',
    'model name\t: AMD EPYC\nflags\t\t: fpu avx2\nvmx flags\t: vnmi\n\nflags\t\t: of the next',
    'fpu avx2',
  ],
  ['ARM', 'BogoMIPS\t: 50.00\nFeatures\t: fp asimd sve\nCPU part\t: 0xd40\n', 'fp asimd sve'],
  ['others', 'processor 0: version = FF', undefined],
])('what processors can do: %s', (_, cpuinfo, features) => {
  expect(featuresIn(cpuinfo)).toBe(features);
});

test('a user without a home keeps nothing', () => {
  delete process.env['MESOCAST_CACHE'];
  const { XDG_CACHE_HOME: xdg, LOCALAPPDATA: local } = process.env;
  delete process.env['XDG_CACHE_HOME'];
  delete process.env['LOCALAPPDATA'];
  try {
    expect(cacheFolder(() => join('home', 'me'))).toMatch(/^home.*programs$/);
    expect(
      cacheFolder(() => {
        throw new Error('ENOENT: no such file or directory, uv_os_homedir');
      }),
    ).toBeUndefined();
  } finally {
    Object.assign(
      process.env,
      xdg !== undefined && { XDG_CACHE_HOME: xdg },
      local !== undefined && { LOCALAPPDATA: local },
    );
  }
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
