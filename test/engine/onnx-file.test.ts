import { expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor4D } from '@tensorflow/tfjs-core';
import ort from 'onnxruntime-node';
import { inputs, step } from '../../bench/reference-work.js';
import { eagerEngine, onnxEngine } from '../../src/engine/index.js';
import { callOnnxModel } from '../../src/engine/onnx/call.js';
import { outputName, writeOnnx } from '../../src/engine/onnx/file.js';
import { readOnnxModel } from '../../src/engine/onnx/model.js';
import { optimise } from '../../src/engine/passes/index.js';
import { trace } from '../../src/engine/tracer.js';
import type { HostTensor, Spec, TensorFunction } from '../../src/engine/types.js';
import { randomTensor, relativeError, runOnce } from '../support/engine-compare.js';
import { runGraph } from '../support/run-graph.js';

const float = (...shape: number[]): Spec => ({ shape, dtype: 'float32' });

test('ONNX Runtime loads the bytes, with the names that the function gave', async () => {
  const fn: TensorFunction = ({ state, 'x y': x }) => {
    const next = tf.add(state as Tensor, x as Tensor);
    return { state: next, 'total.of/all': tf.sum(next) };
  };
  const graph = optimise(trace(fn, { state: float(2, 3), 'x y': float(3) }));
  const session = await ort.InferenceSession.create(writeOnnx(graph));
  expect(session.inputNames).toEqual(['state', 'x y']);
  expect(session.outputNames).toEqual(['state.next', 'total.of/all']);
  expect(outputName(graph, 'state')).toBe('state.next');
  expect(session.outputMetadata.map((each) => [each.name, 'shape' in each && each.shape])).toEqual([
    ['state.next', [2, 3]],
    ['total.of/all', []],
  ]);
  await session.release();
});

test('names that the file needs besides are none that the function gave', async () => {
  const fn: TensorFunction = ({ h, 'h.next.2': taken, x, 'c.4': c }) => {
    const steps: Record<string, Tensor> = {};
    let y = tf.add(tf.mul(x as Tensor, tf.tensor1d([3, 4])), c as Tensor);
    for (let k = 0; k < 12; k++) {
      y = tf.sin(y);
      steps[`t.${k}`] = y;
    }
    return { h: tf.neg(h as Tensor), 'h.next': tf.exp(h as Tensor), 'h.next.2': taken as Tensor, ...steps };
  };
  const names = ['h', 'h.next.2', 'x', 'c.4'];
  const specs = Object.fromEntries(names.map((name) => [name, float(2)]));
  const given = Object.fromEntries(names.map((name, k) => [name, randomTensor([2], k)]));
  const reference = await eagerEngine('cpu', 'reference');
  const engine = onnxEngine({ provider: 'cpu', threads: 1 });
  const expected = await runOnce(reference, fn, given);
  for (const actual of [await runOnce(engine, fn, given), await runGraph(optimise(trace(fn, specs)), given)])
    for (const [name, tensor] of Object.entries(expected))
      expect([name, relativeError(actual[name]!, tensor) < 1e-5]).toEqual([name, true]);
  await engine.dispose();
  await reference.dispose();
});

test('nor are the names in a model that is put in', async () => {
  const model = await readOnnxModel('test/forecaster/golden/onnx-stages/control-flow.onnx');
  const added = async (name: string): Promise<number[]> => {
    const fn: TensorFunction = ({ latent, frame, [name]: more }) => ({
      y: tf.add(callOnnxModel(model, [latent!, frame!], [[1, 1, 2, 2]])[0]!, more!),
    });
    const given = {
      ...{ latent: randomTensor([1, 3, 1, 1], 1), frame: randomTensor([1, 1, 2, 2], 2) },
      [name]: randomTensor([2], 3),
    };
    const { y } = await runGraph(optimise(trace(fn, given)), given);
    return [...y!.data];
  };
  // The model has a value "change".
  expect(await added('p0.change')).toEqual(await added('more'));
});

test('constants of every type, scalars, and outputs that are inputs or constants are written as they are', async () => {
  const fn: TensorFunction = ({ x }) => ({
    x: x as Tensor,
    again: x as Tensor,
    floats: tf.tensor2d([
      [1.5, -2],
      [NaN, Infinity],
    ]),
    wholes: tf.tensor1d([2 ** 31 - 1, -(2 ** 31)], 'int32'),
    truths: tf.tensor1d([true, false], 'bool'),
    scalar: tf.scalar(3),
    uniform: tf.fill([2, 2], 7, 'int32'),
    empty: tf.tensor2d([], [0, 3]),
  });
  const x = randomTensor([2], 1);
  const results = await runGraph(optimise(trace(fn, { x: float(2) })), { x });
  const plain = Object.fromEntries(
    Object.entries(results).map(([name, { shape, dtype, data }]) => [
      name,
      [dtype, shape, Array.from(data, Number)],
    ]),
  );
  expect(plain).toEqual({
    x: ['float32', [2], Array.from(x.data)],
    again: ['float32', [2], Array.from(x.data)],
    floats: ['float32', [2, 2], [1.5, -2, NaN, Infinity]],
    wholes: ['int32', [2], [2 ** 31 - 1, -(2 ** 31)]],
    truths: ['bool', [2], [1, 0]],
    scalar: ['float32', [], [3]],
    uniform: ['int32', [2, 2], [7, 7, 7, 7]],
    empty: ['float32', [0, 3], []],
  });
});

test('a node of ours that no pass has lowered is not written', () => {
  const fn: TensorFunction = ({ x, w }) => ({ y: tf.conv2d(x as Tensor4D, w as Tensor4D, 1, 'same') });
  const graph = trace(fn, { x: float(1, 4, 4, 1), w: float(3, 3, 1, 1) });
  expect(() => writeOnnx(graph)).toThrow(/Conv was not lowered/);
});

const SIZE = { n: 2, t: 4, size: 16, channels: 8, kernel: 3 };
const specs = Object.fromEntries(
  Object.entries(inputs(SIZE)).map(([name, { shape, dtype }]): [string, Spec] => [name, { shape, dtype }]),
);

test('the same function gives the same bytes', () => {
  const bytes = (): Buffer => Buffer.from(writeOnnx(optimise(trace(step(SIZE), specs))));
  expect(bytes().equals(bytes())).toBe(true);
});

test('a training step gives the same bits for the same inputs, run after run and session after session', async () => {
  const engine = onnxEngine({ provider: 'cpu', threads: 2 });
  const bits = (results: Record<string, HostTensor>): string[] =>
    Object.entries(results).map(
      ([name, { data }]) =>
        `${name} ${Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('base64')}`,
    );
  const program = await engine.compile(step(SIZE), specs);
  const runs: string[][] = [];
  for (let i = 0; i < 3; i++) {
    const handles = await program.run(inputs(SIZE));
    const results: Record<string, HostTensor> = {};
    for (const [name, handle] of Object.entries(handles)) {
      results[name] = await engine.read(handle);
      handle.release();
    }
    runs.push(bits(results));
  }
  await program.dispose();
  runs.push(bits(await runOnce(engine, step(SIZE), inputs(SIZE))));
  await engine.dispose();
  expect(runs[1]).toEqual(runs[0]);
  expect(runs[2]).toEqual(runs[0]);
  expect(runs[3]).toEqual(runs[0]);
});

test('equal constants are written once, and -0 is not 0', async () => {
  const fn: TensorFunction = ({ x }) => {
    const [a, b] = [tf.tensor([0, 1, 2]), tf.tensor([-0, 1, 2])];
    return {
      y: tf.maximum(tf.div(1, tf.mul(a, tf.abs(x as Tensor))), tf.add(a, x as Tensor)),
      z: tf.div(1, b),
    };
  };
  const graph = trace(fn, { x: float(3) });
  const results = await runGraph(graph, {
    x: { shape: [3], dtype: 'float32', data: Float32Array.of(1, 2, 4) },
  });
  expect([...results['y']!.data]).toEqual([Infinity, 3, 6]);
  expect([...results['z']!.data]).toEqual([-Infinity, 1, 0.5]);
  const text = Buffer.from(writeOnnx(graph)).toString('latin1');
  const floats = Buffer.from(Float32Array.of(0, 1, 2).buffer).toString('latin1');
  expect(text.split(floats)).toHaveLength(2);
});
