import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { readFileSync } from 'node:fs';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor5D } from '@tensorflow/tfjs-core';
import { loss, shapes, type WorkSize } from '../../bench/reference-work.js';
import { onnxEngine } from '../../src/engine/index.js';
import type { Engine, HostTensor, TensorFunction } from '../../src/engine/types.js';
import { readSafetensors, type Weight } from '../../src/forecaster/safetensors.js';
import { relativeError, runOnce } from '../support/engine-compare.js';

const SIZE: WorkSize = { n: 2, t: 4, size: 16, channels: 8, kernel: 3 };
const NAMES = Object.keys(shapes(SIZE));
const { tensors } = readSafetensors(readFileSync('test/engine/golden/reference-work.safetensors'));

/** PyTorch's OIHW to HWIO; vectors as they are. */
const fromTorch = ({ shape, data }: Weight): HostTensor => {
  if (shape.length !== 4) return { shape, dtype: 'float32', data };
  const [o, i, h, w] = shape as [number, number, number, number];
  const out = new Float32Array(data.length);
  data.forEach((value, at) => {
    const [x, y, ci, co] = [
      at % w,
      Math.floor(at / w) % h,
      Math.floor(at / (w * h)) % i,
      Math.floor(at / (w * h * i)),
    ];
    out[((y * w + x) * i + ci) * o + co] = value;
  });
  return { shape: [h, w, i, o], dtype: 'float32', data: out };
};
const golden = (name: string): HostTensor => fromTorch(tensors[name] as Weight);

/** The order of the gates in the last axis of a recurrent layer's weights, as the network takes it. */
type Gates = readonly [number, number, number, number];

/** Weights as a network sees them that takes the gates in another order. */
const taken = (name: string, weight: Tensor, gates: Gates): Tensor => {
  if (!name.startsWith('lstm')) return weight;
  const parts = tf.split(weight, 4, -1);
  return tf.concat(
    gates.map((gate) => parts[gate] as Tensor),
    -1,
  );
};

/** Loss and the gradient of every weight. */
const step =
  (gates: Gates): TensorFunction =>
  ({ clip, ...weights }) => {
    const { value, grads } = tf.valueAndGrads((...w: Tensor[]) =>
      loss(
        clip as Tensor5D,
        Object.fromEntries(NAMES.map((name, k) => [name, taken(name, w[k] as Tensor, gates)])),
        SIZE,
      ),
    )(NAMES.map((name) => weights[name] as Tensor));
    const gradients = NAMES.map((name, k) => [`grad.${name}`, grads[k] as Tensor] as const);
    return { loss: tf.reshape(value, [1]), ...Object.fromEntries(gradients) };
  };

let engine: Engine;
beforeAll(() => {
  engine = onnxEngine({ provider: 'cpu', threads: 2 });
});
afterAll(() => engine.dispose());

/** Relative errors of loss and gradients against PyTorch's, by name. */
const errors = async (gates: Gates): Promise<Record<string, number>> => {
  const { n, t, size } = SIZE;
  const clip: HostTensor = {
    shape: [n, t, size, size, 1],
    dtype: 'float32',
    data: (tensors['clip'] as Weight).data,
  };
  const weights = Object.fromEntries(NAMES.map((name) => [name, golden(name)]));
  const results = await runOnce(engine, step(gates), { ...weights, clip });
  return Object.fromEntries(
    Object.entries(results).map(([name, actual]) => {
      const expected = golden(name);
      expect({ name, shape: actual.shape }).toEqual({ name, shape: expected.shape });
      return [name, relativeError(actual, expected, 1e-9)];
    }),
  );
};

test('loss and every gradient of the reference work are those of PyTorch', async () => {
  const found = await errors([0, 1, 2, 3]);
  expect(Object.keys(found).sort()).toEqual(['loss', ...NAMES.map((name) => `grad.${name}`)].sort());
  expect(Object.entries(found).filter(([, error]) => !(error < 1e-4))).toEqual([]);
});

test.each<[string, Gates]>([
  ['i and f', [1, 0, 2, 3]],
  ['f and o', [0, 2, 1, 3]],
  ['i and o', [2, 1, 0, 3]],
  ['o and g', [0, 1, 3, 2]],
])('a network that swaps the gates %s is found out', async (_, gates) => {
  const found = await errors(gates);
  expect(Math.max(...Object.values(found))).toBeGreaterThan(1e-3); // ten times what the test above allows
});
