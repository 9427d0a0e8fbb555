import { afterAll, beforeAll, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor4D } from '@tensorflow/tfjs-core';
import { eagerEngine, onnxEngine } from '../../src/engine/index.js';
import { trace } from '../../src/engine/tracer.js';
import type { Engine, HostTensor, Named, TensorFunction } from '../../src/engine/types.js';
import { padBoundary } from '../../src/forecaster/layers.js';
import { randomTensor, relativeError, runOnce } from '../support/engine-compare.js';

let engine: Engine;
let oracle: Engine;
beforeAll(async () => {
  oracle = await eagerEngine('cpu', 'reference');
  engine = onnxEngine({ provider: 'cpu', threads: 1 });
});
afterAll(async () => {
  await engine.dispose();
  await oracle.dispose();
});

const ints = (...values: number[]): HostTensor => ({
  ...{ shape: [values.length], dtype: 'int32', data: Int32Array.from(values) },
});
const floats = (...values: number[]): HostTensor => ({
  ...{ shape: [values.length], dtype: 'float32', data: Float32Array.from(values) },
});

// Where what ONNX makes of it is not what tfjs does, or nearly is not.
test.each<[string, TensorFunction, Named<HostTensor>]>([
  [
    'a periodic border around a periodic border',
    ({ x }) => ({ y: padBoundary(padBoundary(x as Tensor4D, 1, 'periodic'), 1, 'periodic') }),
    { x: randomTensor([2, 4, 5, 3], 7) },
  ],
  [
    'a repeated border around a repeated border',
    ({ x }) => ({ y: padBoundary(padBoundary(x as Tensor4D, 1, 'replicate'), 1, 'replicate') }),
    { x: randomTensor([2, 4, 5, 3], 7) },
  ],
  [
    'a convolution whose output is rounded up',
    ({ x, f }) => ({ y: tf.conv2d(x as Tensor4D, f as Tensor4D, 2, 0, 'NHWC', 1, 'ceil') }),
    { x: randomTensor([1, 4, 6, 2], 1), f: randomTensor([3, 3, 2, 2], 2) },
  ],
  [
    'whole numbers that are clipped on one side',
    ({ x }) => ({ least: tf.clipByValue(x!, 0, Infinity), most: tf.clipByValue(x!, -Infinity, 5) }),
    { x: ints(3, -7, 2 ** 30) },
  ],
  [
    'the mean of a signal of one pixel taken from it',
    ({ x, f }) => {
      const signal = tf.conv2d(x as Tensor4D, f as Tensor4D, 1, 'same');
      return { y: tf.sub(signal, tf.mean(signal, 2)) };
    },
    { x: randomTensor([1, 1, 8, 1], 3), f: randomTensor([1, 3, 1, 1], 4) },
  ],
  [
    // A native division would end the process.
    'whole numbers by 0, and the least one by -1',
    ({ a, b }) => ({
      ...{ rest: tf.mod(a!, b!), quotient: tf.floorDiv(a!, b!) },
      ...{
        restOfOne: tf.mod(a!, tf.scalar(-1, 'int32')),
        quotientOfOne: tf.floorDiv(a!, tf.scalar(-1, 'int32')),
      },
      ...{ restOfSome: tf.mod(a!, tf.tensor1d([0, -1, 3, 0, -4], 'int32')) },
    }),
    { a: ints(-(2 ** 31), -(2 ** 31), 7, 5, 0), b: ints(-1, 0, 0, -1, 0) },
  ],
  [
    'a slice backwards that takes nothing',
    ({ x }) => ({ y: tf.stridedSlice(x!, [-5], [-10], [-1]) }),
    { x: floats(1, 2, 3) },
  ],
  [
    'a whole constant that is given as a fraction, under a division',
    ({ a }) => ({ y: tf.mod(a!, tf.fill([2], 0.5, 'int32')), z: tf.add(a!, tf.fill([2], -1.5, 'int32')) }),
    { a: ints(7, -3) },
  ],
  [
    'a constant of both zeros',
    ({ x }) => ({ y: tf.clipByValue(tf.div(x!, tf.tensor1d([0, -0])), -1, 1) }),
    { x: floats(1, 1) },
  ],
  [
    'a list of places, each by its one index',
    ({ x }) => ({ y: tf.tensorScatterUpdate(x!, tf.tensor1d([0, 2], 'int32'), tf.tensor1d([9, 8])) }),
    { x: floats(1, 2, 3, 4) },
  ],
  [
    'batches that are counted from behind',
    ({ x, i }) => ({ y: tf.gather(x!, i!, 1, -1) }),
    { x: randomTensor([2, 3, 4], 8), i: { ...ints(0, 1, 2, 2, 1, 0, 1, 0, 0, 2), shape: [2, 5] } },
  ],
  [
    'a periodic border wider than what it is around',
    ({ x }) => ({ y: padBoundary(x as Tensor4D, 3, 'periodic') }),
    { x: randomTensor([1, 1, 2, 2], 9) },
  ],
  ['logarithms of one and more', ({ x }) => ({ y: tf.log1p(x!) }), { x: floats(0, 1e-9, 2, Infinity) }],
])('%s', async (_, fn, inputs) => {
  const [actual, expected] = [await runOnce(engine, fn, inputs), await runOnce(oracle, fn, inputs)];
  for (const [name, value] of Object.entries(expected)) {
    expect(actual[name]?.shape).toEqual(value.shape);
    expect(relativeError(actual[name]!, value)).toBeLessThan(1e-5);
  }
});

test('a border wider than a periodic image repeats it', async () => {
  const x: HostTensor = { shape: [1, 1, 3, 1], dtype: 'float32', data: Float32Array.of(1, 2, 3) };
  const { y } = await runOnce(engine, (t) => ({ y: padBoundary(t['x'] as Tensor4D, 4, 'periodic') }), { x });
  const row = [3, 1, 2, 3, 1, 2, 3, 1, 2, 3, 1];
  expect([...y!.data]).toEqual(Array(9).fill(row).flat());
});

test.each<[string, TensorFunction]>([
  ['a convolution', ({ x }) => ({ y: tf.conv2d(x as Tensor4D, tf.ones([3, 1, 1, 1]), 1, 0) })],
  [
    'a depthwise convolution',
    ({ x }) => ({ y: tf.depthwiseConv2d(x as Tensor4D, tf.ones([3, 1, 1, 1]), 1, 0) }),
  ],
  ['a pool', ({ x }) => ({ y: tf.maxPool(x as Tensor4D, [3, 1], 1, 0) })],
])('%s with a window that is not square, padded by a number, is refused', async (_, fn) => {
  const x = randomTensor([1, 6, 6, 1], 1);
  await expect(runOnce(engine, fn, { x })).rejects.toThrow('padded by a number');
});

test('whole numbers by a constant that is no trap are one operation', () => {
  const fn: TensorFunction = ({ a }) => ({
    y: tf.mod(a!, tf.scalar(3, 'int32')),
    z: tf.mod(a!, tf.tensor1d([1, 2, -3], 'int32')),
  });
  const { nodes } = trace(fn, { a: { shape: [3], dtype: 'int32' } });
  expect(nodes.map(({ op }) => op)).toEqual(['Mod', 'Mod']);
});

test.each([2, -1])('row %i of a batch of two rows is refused, not taken from another', async (index) => {
  const fn: TensorFunction = ({ x, i }) => ({ y: tf.gather(x!, i!, 1, 1) });
  const inputs: Named<HostTensor> = {
    x: randomTensor([2, 2, 3], 5),
    i: { ...ints(1, index), shape: [2, 1] },
  };
  await expect(runOnce(engine, fn, inputs)).rejects.toThrow(/out of data bounds/);
  const other = { ...inputs, i: { ...ints(index, 1), shape: [2, 1] } };
  await expect(runOnce(engine, fn, other)).rejects.toThrow(/out of data bounds/);
});

test('a tensor that cannot be sent is refused, and nobody waits for it', async () => {
  const data = new Float32Array(4);
  structuredClone(data, { transfer: [data.buffer] });
  await expect(engine.upload({ shape: [4], dtype: 'float32', data })).rejects.toThrow();
});
