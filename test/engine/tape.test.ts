import { expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import type { Tensor, Tensor4D } from '@tensorflow/tfjs-core';
import { inputs, step } from '../../bench/reference-work.js';
import { callOnnxModel } from '../../src/engine/onnx/call.js';
import { readOnnxModel } from '../../src/engine/onnx/model.js';
import { tapeOf, type Tape } from '../../src/engine/tensorflow/tape.js';
import { tapePlayer } from '../../src/engine/tensorflow/tape-player.js';
import { trace } from '../../src/engine/tracer.js';
import type { HostTensor, Named, Spec, TensorFunction } from '../../src/engine/types.js';

/** Tapes are for TensorFlow; here they are played on tfjs's own cpu backend, which everyone has. */
await tf.setBackend('cpu');
tf.env().set('PROD', true); // no greeting
const { load, play, unload, toTensor } = tapePlayer(tf);

const tapeFor = (fn: TensorFunction, given: Named<HostTensor>): Tape => tapeOf(trace(fn, given));
const played = (tape: Tape, given: Named<HostTensor>): Named<readonly number[]> => {
  const loaded = load(tape);
  const tensors = Object.fromEntries(Object.entries(given).map(([name, t]) => [name, toTensor(t)]));
  const results = play(loaded, tensors);
  const values = Object.entries(results).map(([name, t]) => [name, [...t.dataSync()]] as const);
  tf.dispose([results, tensors]);
  unload(loaded);
  return Object.fromEntries(values);
};
const vector = (...values: number[]): HostTensor => ({
  shape: [values.length],
  dtype: 'float32',
  data: Float32Array.from(values),
});

test('a training step: what tfjs computes directly, to the bit, and nothing is left behind in 5 runs', () => {
  const size = { n: 1, t: 2, size: 4, channels: 2, kernel: 3 };
  const given = inputs(size);
  const direct = tf.tidy(() => {
    const results = step(size)(Object.fromEntries(Object.entries(given).map(([n, t]) => [n, toTensor(t)])));
    return Object.fromEntries(Object.entries(results).map(([name, t]) => [name, [...t.dataSync()]]));
  });
  const tape = tapeFor(step(size), given);
  const before = tf.memory().numTensors;
  expect(played(tape, given)).toEqual(direct);
  for (let run = 0; run < 4; run++) played(tape, given);
  expect(tf.memory().numTensors).toBe(before);
});

test('calls that no output needs are left out, and each tensor is freed after its last use', () => {
  const tape = tapeFor(
    ({ x }) => {
      const double = tf.mul(x as Tensor, 2);
      tf.exp(double);
      return { y: tf.sqrt(tf.add(double, double)) };
    },
    { x: vector(2, 8) },
  );
  expect(tape.steps.map(({ kernel, done }) => `${kernel} ${done.length}`)).toEqual([
    'Multiply 0',
    'Add 1',
    'Sqrt 1',
  ]);
  expect(played(tape, { x: vector(2, 8) })['y']).toEqual([
    Math.fround(Math.sqrt(8)),
    Math.fround(Math.sqrt(32)),
  ]);
});

test('an input handed through, a constant, one tensor under two names, some outputs of a kernel', () => {
  const fn: TensorFunction = ({ x }) => {
    const [first, , last] = tf.split(x as Tensor, 3);
    const sum = tf.add(first as Tensor, last as Tensor);
    return {
      sum,
      same: sum,
      x: tf.reshape(x as Tensor, [3]),
      fixed: tf.tensor1d([7, 8]),
      ones: tf.ones([2]),
    };
  };
  const given = { x: vector(1, 2, 4) };
  expect(played(tapeFor(fn, given), given)).toEqual({
    sum: [5],
    same: [5],
    x: [1, 2, 4],
    fixed: [7, 8],
    ones: [1, 1],
  });
});

test('a backend that returns another type than tfjs promises is mended, another shape is refused', () => {
  const given = { x: vector(-1, 2) };
  const tape = tapeFor(({ x }) => ({ y: tf.relu(x as Tensor) }), given);
  const expecting = (change: object): Tape => ({
    ...tape,
    steps: tape.steps.map((each) => ({
      ...each,
      outputs: each.outputs.map((output) => output && { ...output, ...change }),
    })),
  });
  const loaded = load(expecting({ dtype: 'int32' }));
  const before = tf.memory().numTensors;
  const { y } = tf.tidy(() => play(loaded, { x: toTensor(given.x) }));
  expect(y?.dtype).toBe('int32');
  y?.dispose();
  expect(() => played(expecting({ shape: [1, 2] }), given)).toThrow(
    'Relu has the shape [2] in TensorFlow, but [1, 2] in TensorFlow.js',
  );
  expect(tf.memory().numTensors).toBe(before + 1); // the input of the call that failed
});

test('what TensorFlow does not have, or tfjs-node does not tell it, is refused by name', async () => {
  const given: Named<HostTensor> = {
    x: { shape: [1, 4, 4, 1], dtype: 'float32', data: new Float32Array(16) },
  };
  const conv =
    (pad: number | 'same'): TensorFunction =>
    ({ x }) => ({ y: tf.conv2d(x as Tensor4D, tf.ones([3, 3, 1, 1]), 1, pad) });
  expect(() => tapeFor(conv(1), given)).toThrow(
    "TensorFlow computes Conv2D with the padding 'same' or 'valid' only",
  );
  expect(played(tapeFor(conv('same'), given), given)['y']).toHaveLength(16);
  expect(played(tapeFor(conv(0), given), given)['y']).toHaveLength(4);
  const path = 'test/forecaster/golden/onnx-stages/control-flow.onnx';
  const model = await readOnnxModel(path);
  const called: TensorFunction = ({ latent, frame }) => ({
    y: callOnnxModel(model, [latent!, frame!], [[1, 1, 2, 2]])[0]!,
  });
  const float = (...shape: number[]): Spec => ({ shape, dtype: 'float32' });
  const traced = trace(called, { latent: float(1, 3, 1, 1), frame: float(1, 1, 2, 2) });
  expect(() => tapeOf(traced)).toThrow(`${path} needs ONNX Runtime, which does not run here`);
  const resized = (centres: boolean): TensorFunction => {
    const fn = (x: Tensor) => tf.sum(tf.image.resizeBilinear(x as Tensor4D, [8, 8], false, centres));
    return ({ x }) => ({ y: tf.grad(fn)(x as Tensor) });
  };
  expect(() => tapeFor(resized(true), given)).toThrow('as if halfPixelCenters were false');
  expect(tapeFor(resized(false), given).steps.length).toBeGreaterThan(0);
});
