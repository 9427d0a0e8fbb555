import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor4D } from '@tensorflow/tfjs-core';
import { eagerEngine, onnxEngine, tensorflowEngine } from '../../src/engine/index.js';
import { instead } from '../../src/engine/kernels/instead.js';
import { kernels } from '../../src/engine/kernels/index.js';
import { compileOnnx } from '../../src/engine/onnx/engine.js';
import { takingTurns } from '../../src/engine/onnx/turns.js';
import type { Engine, HostTensor, Spec, TensorFunction } from '../../src/engine/types.js';
import { workerEngine } from '../../src/engine/worker/engine.js';
import type { Request } from '../../src/engine/worker/loop.js';
import { EngineError } from '../../src/pipeline/errors.js';
import { hasTensorflow } from '../support/tensorflow.js';

const open: Record<string, () => Promise<Engine>> = {
  'onnx cpu': async () => onnxEngine({ provider: 'cpu', threads: 2 }),
  reference: () => eagerEngine('cpu', 'reference'),
  ...(hasTensorflow && { tensorflow: () => tensorflowEngine(2) }),
};

const vector: Spec = { shape: [3], dtype: 'float32' };
const host = (...values: number[]): HostTensor => ({ ...vector, data: Float32Array.from(values) });
const double: TensorFunction = ({ x }) => ({ y: tf.mul(x as Tensor, 2) });

/** What every engine promises, whatever computes. */
describe.each(Object.entries(open))('engine %s', (_, start) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await start();
  });
  afterAll(async () => {
    expect(engine.liveHandles).toBe(0);
    await engine.dispose();
  });
  const valuesOf = async (handle: Parameters<Engine['read']>[0]): Promise<number[]> =>
    Array.from((await engine.read(handle)).data);

  test('says what goes in and out, and computes', async () => {
    const program = await engine.compile(double, { x: vector });
    expect(program.inputs).toEqual({ x: vector });
    expect(program.outputs).toEqual({ y: vector });
    const { y } = await program.run({ x: host(1, 2, 3) });
    expect(await valuesOf(y!)).toEqual([2, 4, 6]);
    y!.release();
    await program.dispose();
  });

  test('results are inputs of later runs, shared while anyone holds them', async () => {
    const program = await engine.compile(double, { x: vector });
    const first = await engine.upload(host(1, 2, 3));
    const second = (await program.run({ x: first })).y!;
    first.retain().release();
    const third = (await program.run({ x: second })).y!;
    expect([await valuesOf(first), await valuesOf(second), await valuesOf(third)]).toEqual([
      [1, 2, 3],
      [2, 4, 6],
      [4, 8, 12],
    ]);
    expect(engine.liveHandles).toBe(3);
    [first, second, third].forEach((handle) => handle.release());
    expect(engine.liveHandles).toBe(0);
    await program.dispose();
  });

  test('a state under one name, an input handed through, one tensor under two names', async () => {
    const program = await engine.compile(
      ({ state, x }) => {
        const sum = tf.add(state as Tensor, x as Tensor);
        return { state: sum, same: sum, x: x as Tensor, fixed: tf.tensor1d([7, 8]) };
      },
      { state: vector, x: vector },
    );
    const once = await program.run({ state: host(0, 0, 0), x: host(1, 2, 3) });
    const twice = await program.run({ state: once['state']!, x: once['x']! });
    Object.values(once).forEach((handle) => handle.release());
    expect(await valuesOf(twice['state']!)).toEqual([2, 4, 6]);
    twice['state']!.release();
    expect(await valuesOf(twice['same']!)).toEqual([2, 4, 6]);
    expect(await valuesOf(twice['x']!)).toEqual([1, 2, 3]);
    expect(await valuesOf(twice['fixed']!)).toEqual([7, 8]);
    ['same', 'x', 'fixed'].forEach((name) => twice[name]!.release());
    await program.dispose();
  });

  test('the caller may change its arrays after handing them over', async () => {
    const values = host(1, 2, 3);
    const handle = await engine.upload(values);
    values.data.fill(9);
    expect(await valuesOf(handle)).toEqual([1, 2, 3]);
    handle.release();
  });

  test('inputs that do not fit are refused by name', async () => {
    const program = await engine.compile(double, { x: vector });
    await expect(program.run({})).rejects.toThrow(/input "x" is missing/);
    await expect(program.run({ x: { ...host(1, 2), shape: [2] } })).rejects.toThrow(
      /input "x" is float32\[2\], but the program was compiled for float32\[3\]/,
    );
    await expect(program.run({ x: { shape: [3], dtype: 'int32', data: new Int32Array(3) } })).rejects.toThrow(
      /int32\[3\].*float32\[3\]/,
    );
    await expect(program.run({ x: host(1, 2) })).rejects.toThrow(/input "x" has 2 values.*takes 3/);
    await program.dispose();
  });

  test('tensors are refused after their last release, and by another engine', async () => {
    const program = await engine.compile(double, { x: vector });
    const handle = await engine.upload(host(1, 2, 3));
    const other = await start();
    await expect(other.read(handle)).rejects.toThrow(/another engine/);
    await other.dispose();
    handle.release();
    await expect(program.run({ x: handle })).rejects.toThrow(/after its last release/);
    await expect(engine.read(handle)).rejects.toThrow(EngineError);
    expect(() => handle.release()).toThrow(/released more often/);
    expect(() => handle.retain()).toThrow(/after its last release/);
    await program.dispose();
  });

  test('nothing works after the engine is disposed, and releasing is still allowed', async () => {
    const other = await start();
    const program = await other.compile(double, { x: vector });
    const handle = await other.upload(host(1, 2, 3));
    await other.dispose();
    await expect(program.run({ x: host(1, 2, 3) })).rejects.toThrow(/disposed/);
    await expect(other.compile(double, { x: vector })).rejects.toThrow(/disposed/);
    await expect(other.upload(host(1, 2, 3))).rejects.toThrow(/disposed/);
    await expect(other.read(handle)).rejects.toThrow(/disposed/);
    handle.release();
    await program.dispose();
    expect(other.liveHandles).toBe(0);
    await other.dispose();
  });
});

test('what waits for its turn on webgpu is as it was when it was handed over', async () => {
  const sent: Request<unknown>[] = [];
  const connection = takingTurns<unknown>({
    ask: async (message) => {
      sent.push(message);
      return { request: 0 };
    },
    terminate: async () => undefined,
  });
  const engine = workerEngine('webgpu, nowhere', connection, compileOnnx({ provider: 'webgpu' }), () =>
    Promise.reject(new Error('not asked for here')),
  );
  const program = await engine.compile(double, { x: vector });
  const [uploaded, given] = [host(1, 2, 3), host(4, 5, 6)];
  const asked = [engine.upload(uploaded), program.run({ x: given })];
  for (const { data } of [uploaded, given]) data.fill(9);
  await Promise.all(asked);
  const arrays = sent.flatMap((message) => {
    if (message.kind === 'upload') return [message.tensor.data];
    return message.kind === 'run' ? [(message.inputs['x'] as HostTensor).data] : [];
  });
  expect(arrays.map((data) => [...data])).toEqual([
    [1, 2, 3],
    [4, 5, 6],
  ]);
});

describe('what cannot be compiled', () => {
  let engine: Engine;
  beforeAll(async () => {
    await tf.setBackend('cpu');
    engine = onnxEngine({ provider: 'cpu', threads: 1 });
  });
  afterAll(() => engine.dispose());
  const image: Spec = { shape: [1, 4, 4, 2], dtype: 'float32' };
  const refused = (fn: TensorFunction, spec = image): Promise<unknown> =>
    engine.compile(fn, { x: spec }).then(
      () => undefined,
      (error: unknown) => error,
    );

  test('an operation without a rule is named, with what to do', async () => {
    const crop: TensorFunction = ({ x }) => ({
      y: tf.image.cropAndResize(
        x as Tensor4D,
        tf.tensor2d([[0, 0, 1, 1]]),
        tf.tensor1d([0], 'int32'),
        [2, 2],
      ),
    });
    expect(await refused(crop)).toMatchObject({
      message: 'the tfjs kernel CropAndResize has no rule in the tracer',
      hint: expect.stringContaining('tf.image.resizeBilinear'),
    });
  });

  test('every operation of tfjs without a rule has advice', () => {
    const all = tf.getKernelsForBackend('cpu').map(({ kernelName }) => kernelName);
    expect(all.filter((name) => !(name in kernels) && !(name in instead))).toEqual([]);
    expect(Object.keys(instead).filter((name) => name in kernels)).toEqual([]);
  });

  test('random numbers, which would be the same in every run; a mask from outside is taken', async () => {
    const draws: TensorFunction[] = [
      ({ x }) => ({ y: tf.add(x as Tensor, tf.randomNormal(image.shape as number[])) }),
      ({ x }) => ({ y: tf.add(x as Tensor, tf.randomUniform(image.shape as number[])) }),
      ({ x }) => ({ y: tf.add(x as Tensor, tf.truncatedNormal(image.shape as number[])) }),
      ({ x }) => ({ y: tf.dropout(x as Tensor, 0.5) }),
    ];
    for (const draw of draws) {
      expect(await refused(draw)).toMatchObject({
        message: expect.stringMatching(/^random numbers \(tf\.\w+\) were drawn inside a function/),
        hint: expect.stringContaining('pass them in as an input'),
      });
    }
  });

  test('a value that is read', async () => {
    const reads: TensorFunction[] = [
      ({ x }) => ({ y: tf.scalar((x as Tensor).dataSync()[0] as number) }),
      ({ x }) => ({ y: tf.scalar((tf.sum(x as Tensor).arraySync() as number) > 0 ? 1 : 2) }),
    ];
    for (const read of reads) {
      expect(await refused(read)).toMatchObject({
        message: expect.stringMatching(/read .* inside a function that is being compiled/),
        hint: expect.stringContaining('tf.where'),
      });
    }
  });

  test('a function that waits, or returns something else than tensors', async () => {
    const waits = async ({ x }: Parameters<TensorFunction>[0]) => ({
      y: tf.scalar((await (x as Tensor).data())[0]!),
    });
    expect(await refused(waits as never)).toMatchObject({ message: 'the function is async' });
    expect(await refused((() => ({ y: 3 })) as never)).toMatchObject({
      message: 'output "y" is not a tensor',
    });
  });

  test('sizes that do not fit are refused by name', async () => {
    const product: TensorFunction = ({ x }) => ({ y: tf.matMul(x as Tensor, tf.zeros([1, 4, 3, 2])) });
    expect(await refused(product)).toMatchObject({
      message: expect.stringMatching(/BatchMatMul cannot be compiled: .*\[1,4,4,2\].*\[1,4,3,2\]/),
    });
    const pool: TensorFunction = ({ x }) => ({ y: tf.maxPool(x as Tensor4D, 2, 1, 2, 'floor') });
    expect(await refused(pool)).toMatchObject({
      message: expect.stringMatching(/MaxPool cannot be compiled: .*padding/),
    });
  });

  test('a failed trace leaves nothing behind: the backend is back, and the next function compiles', async () => {
    const before = { backend: tf.getBackend(), tensors: tf.memory().numTensors };
    const fails: TensorFunction = ({ x }) => {
      tf.mul(x as Tensor, 2);
      throw new Error('thrown by the function');
    };
    expect(await refused(fails)).toMatchObject({ message: 'thrown by the function' });
    expect({ backend: tf.getBackend(), tensors: tf.memory().numTensors }).toEqual(before);
    const program = await engine.compile(double, { x: vector });
    expect({ backend: tf.getBackend(), tensors: tf.memory().numTensors }).toEqual(before);
    const { y } = await program.run({ x: host(1, 2, 3) });
    expect(Array.from((await engine.read(y!)).data)).toEqual([2, 4, 6]);
    y!.release();
    await program.dispose();
  });

  test('tensors from outside become constants, and stay good outside', async () => {
    const outside = tf.tensor1d([1, 10, 100]);
    const times: TensorFunction = ({ x }) => ({ y: tf.mul(x as Tensor, outside) });
    for (let i = 0; i < 2; i++) {
      const program = await engine.compile(times, { x: vector });
      const { y } = await program.run({ x: host(1, 2, 3) });
      expect(Array.from((await engine.read(y!)).data)).toEqual([1, 20, 300]);
      y!.release();
      await program.dispose();
    }
    expect(Array.from(tf.add(outside, 1).dataSync())).toEqual([2, 11, 101]);
    outside.dispose();
    expect(engine.liveHandles).toBe(0);
  });
});
