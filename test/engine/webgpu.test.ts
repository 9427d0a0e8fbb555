import { afterAll, beforeAll, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor4D } from '@tensorflow/tfjs-core';
import { onnxEngine, type Engine, type HostTensor, type TensorFunction } from '../../src/engine/index.js';
import { compileOnnx } from '../../src/engine/onnx/engine.js';
import { onnxRuntime } from '../../src/engine/onnx/runtime.js';
import { workerEngine } from '../../src/engine/worker/engine.js';
import { answering } from '../../src/engine/worker/loop.js';
import { createRunner, type StateHandles } from '../../src/forecaster/programs.js';
import { randomTensor, relativeError, runOnce } from '../support/engine-compare.js';
import { everyNetwork, trainingStepOf } from '../support/every-network.js';
import { forecastWith, largestDifference } from '../support/forecast-with.js';
import { movingField, tinyForecaster } from '../support/tiny.js';
import { describeOnWebgpu } from '../support/webgpu.js';

const BOUND = 1e-4;
/** Milliseconds; a driver in software computes the widest networks slowly. */
const SLOW = 300_000;
const shape = [16, 16, 1] as const;
const networks = await everyNetwork();

describeOnWebgpu('ONNX Runtime on WebGPU', () => {
  let webgpu: Engine;
  let cpu: Engine;
  beforeAll(() => {
    webgpu = onnxEngine({ provider: 'webgpu' });
    cpu = onnxEngine({ provider: 'cpu', threads: 2 });
  });
  afterAll(async () => {
    expect(webgpu.liveHandles).toBe(0);
    await webgpu.dispose();
    await cpu.dispose();
  });
  /** Largest relative error of any output, with the output's name. */
  const worst = async (fn: TensorFunction, given: Record<string, HostTensor>): Promise<[string, number]> => {
    const [actual, expected] = [await runOnce(webgpu, fn, given), await runOnce(cpu, fn, given)];
    expect(Object.keys(actual)).toEqual(Object.keys(expected));
    const errors = Object.entries(expected).map(([name, tensor]): [string, number] => [
      name,
      relativeError(actual[name]!, tensor),
    ]);
    return errors.reduce((most, error) => (error[1] <= most[1] ? most : error));
  };

  test.each(networks)('%s: forecasts as on the CPU', async (_, forecaster) => {
    const frames = [0, 1, 2].map((t) => movingField(t, shape));
    const expected = await forecastWith(cpu, forecaster, shape, frames, 4);
    const actual = await forecastWith(webgpu, forecaster, shape, frames, 4);
    expect(largestDifference(actual, expected)).toBeLessThan(BOUND);
    expect(largestDifference([actual[3]!], [actual[0]!])).toBeGreaterThan(1e-3);
  });

  test.each(networks)(
    '%s: a training step as on the CPU',
    async (_, forecaster) => {
      const { fn, given } = trainingStepOf(forecaster);
      const [name, error] = await worst(fn, given);
      expect([name, error < BOUND || error]).toEqual([name, true]);
    },
    SLOW,
  );

  test('a roll-out of 50 leads, more than a shader can take at once', async () => {
    const forecaster = await tinyForecaster();
    const frames = [0, 1, 2].map((t) => movingField(t, shape));
    const expected = await forecastWith(cpu, forecaster, shape, frames, 50);
    expect(
      largestDifference(await forecastWith(webgpu, forecaster, shape, frames, 50), expected),
    ).toBeLessThan(BOUND);
  });

  test('several series in one run', async () => {
    const forecaster = await tinyForecaster();
    const [first, second, third] = await Promise.all(
      [webgpu, cpu].flatMap(async (engine) => {
        const runner = createRunner(forecaster, engine);
        const batch = [0, 1, 2].map((seed) => ({
          frame: movingField(1, shape, 1, seed),
          previous: movingField(0, shape, 1, seed),
          state: undefined,
        }));
        const states = await runner.observe(shape, batch);
        const rolled = await runner.rollOut(
          shape,
          batch.map((input, k) => ({ ...input, state: states[k] })),
          3,
        );
        const tensor = await engine.read(rolled);
        rolled.release();
        states.flat().forEach((handle) => handle.release());
        await runner.dispose();
        return tensor;
      }),
    );
    expect(third).toBeUndefined();
    expect(relativeError(first!, second!)).toBeLessThan(BOUND);
  });

  test.each<[string, TensorFunction]>([
    [
      // In its layout of choice the provider gets this wrong.
      'a convolution of 6 channels to 8',
      ({ x, w }) => ({ y: tf.conv2d(x as Tensor4D, w as Tensor4D, 1, 'same') }),
    ],
    [
      'the gradient of a maximum pool',
      ({ x }) => ({
        y: tf.grad((image: Tensor) => tf.sum(tf.maxPool(image as Tensor4D, 2, 1, 'valid')))(x!),
      }),
    ],
    ['a slice backwards from the middle', ({ x }) => ({ y: tf.stridedSlice(x!, [0, 2], [2, 0], [1, -1]) })],
    ['a power that broadcasts', ({ p, q }) => ({ y: tf.pow(tf.abs(p!), q!) })],
  ])('%s, which the provider alone would get wrong', async (_, fn) => {
    const given = {
      x: randomTensor([2, 5, 4, 6], 1),
      w: randomTensor([3, 3, 6, 8], 2),
      p: randomTensor([2, 1], 3),
      q: randomTensor([2, 4], 4),
    };
    const [, error] = await worst(fn, given);
    expect(error).toBeLessThan(BOUND);
  });

  test('two engines at once, one of which is disposed while the other computes', async () => {
    const spec = { shape: [4096], dtype: 'float32' as const };
    const given: HostTensor = { ...spec, data: new Float32Array(4096).fill(1) };
    const other = onnxEngine({ provider: 'webgpu' });
    const doubled = async (engine: Engine): Promise<number> => {
      const program = await engine.compile(({ x }) => ({ x: tf.mul(x!, 2) }), { x: spec });
      let x = await engine.upload(given);
      for (let k = 0; k < 10; k++) {
        const next = (await program.run({ x })).x!;
        x.release();
        x = next;
      }
      const { data } = await engine.read(x);
      x.release();
      await program.dispose();
      return data[4095]!;
    };
    expect(await Promise.all([doubled(webgpu), doubled(other)])).toEqual([1024, 1024]);
    const last = doubled(webgpu);
    await other.dispose();
    expect(await last).toBe(1024);
  });
});

describeOnWebgpu('the state of a series on WebGPU', () => {
  test('stays on the GPU from frame to frame, has the values of the CPU, and is freed', async () => {
    const runtime = onnxRuntime('webgpu');
    /** Where each state that a run took or gave lay, and which tensors were made and not freed. */
    const places: string[] = [];
    const alive = new Set<unknown>();
    const answer = answering<
      Parameters<typeof runtime.create>[0],
      Awaited<ReturnType<typeof runtime.create>>,
      ReturnType<typeof runtime.toTensor>
    >({
      ...runtime,
      run: async (session, inputs, wanted) => {
        const results = await runtime.run(session, inputs, wanted);
        for (const [name, tensor] of Object.entries(inputs))
          if (name.startsWith('state.')) places.push(`in ${tensor.location}`);
        for (const tensor of Object.values(results)) {
          places.push(`out ${tensor.location}`);
          alive.add(tensor);
        }
        return results;
      },
      free: (tensor) => {
        alive.delete(tensor);
        runtime.free(tensor);
      },
    });
    // The engine's own loop, without its thread: so that the tensors can be looked at.
    const webgpu = workerEngine(
      'webgpu, here',
      {
        ask: async (message) => ({ request: 0, ...(await answer(message)) }),
        terminate: async () => undefined,
      },
      compileOnnx({ provider: 'webgpu' }),
      () => Promise.reject(new Error('not asked for here')),
    );
    const cpu = onnxEngine({ provider: 'cpu', threads: 1 });
    const forecaster = await tinyForecaster();
    const observed = async (engine: Engine): Promise<HostTensor[]> => {
      const runner = createRunner(forecaster, engine);
      let state: StateHandles | undefined;
      for (let t = 0; t < 20; t++) {
        const previous = movingField(Math.max(0, t - 1), shape);
        const [next] = await runner.observe(shape, [{ frame: movingField(t, shape), previous, state }]);
        state?.forEach((handle) => handle.release());
        state = next;
      }
      const tensors = await Promise.all(state!.map((handle) => engine.read(handle)));
      state!.forEach((handle) => handle.release());
      await runner.dispose();
      return tensors;
    };
    const [actual, expected] = [await observed(webgpu), await observed(cpu)];
    await cpu.dispose();
    const states = expected.length;
    expect(states).toBeGreaterThan(1);
    // The first frame begins with zeros from here.
    expect(places.filter((place) => place === 'in cpu')).toHaveLength(states);
    expect(places.filter((place) => place === 'in gpu-buffer')).toHaveLength(19 * states);
    expect(places.filter((place) => place === 'out gpu-buffer')).toHaveLength(20 * states);
    expect(places).toHaveLength(40 * states);
    expected.forEach((tensor, k) => expect(relativeError(actual[k]!, tensor)).toBeLessThan(BOUND));
    expect([webgpu.liveHandles, alive.size]).toEqual([0, 0]);
  });
});
