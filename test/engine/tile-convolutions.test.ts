import { expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor4D } from '@tensorflow/tfjs-core';
import fc from 'fast-check';
import type { Graph } from '../../src/engine/graph.js';
import { lowerConvolutions } from '../../src/engine/passes/lower-convolutions.js';
import { mergeEqual } from '../../src/engine/passes/merge-equal.js';
import { mergeFilterGradients } from '../../src/engine/passes/merge-filter-gradients.js';
import { mergePadding } from '../../src/engine/passes/merge-padding.js';
import { removeDead } from '../../src/engine/passes/remove-dead.js';
import { tileConvolutions } from '../../src/engine/passes/tile-convolutions.js';
import { trace } from '../../src/engine/tracer.js';
import type { Spec, TensorFunction } from '../../src/engine/types.js';
import { randomTensor, relativeError } from '../support/engine-compare.js';
import { runGraph } from '../support/run-graph.js';

const float = (...shape: number[]): Spec => ({ shape, dtype: 'float32' });
const ours = ({ nodes }: Graph): string[] =>
  nodes.filter(({ domain }) => domain === 'mesocast').map(({ op }) => op);

type Pads = readonly [top: number, left: number, bottom: number, right: number];
interface Case {
  readonly kernel: number;
  readonly image: readonly number[];
  readonly filters: number;
  readonly pads: Pads;
  readonly stride?: number;
  readonly dilation?: number;
}

/** A convolution used on two images, its result, and its gradients. */
const graphOf = ({ kernel, image, filters, pads, stride = 1, dilation = 1 }: Case): Graph => {
  const [top, left, bottom, right] = pads;
  const apply = (x: Tensor4D, w: Tensor4D): Tensor4D =>
    tf.conv2d(
      tf.pad(x, [
        [0, 0],
        [top, bottom],
        [left, right],
        [0, 0],
      ]),
      w,
      stride,
      'valid',
      'NHWC',
      dilation,
    );
  const fn: TensorFunction = ({ x, z, w }) => {
    const [a, b, filter] = [x as Tensor4D, z as Tensor4D, w as Tensor4D];
    const { grads } = tf.valueAndGrads((...[p, v]) =>
      tf.sum(tf.add(tf.square(apply(p as Tensor4D, v as Tensor4D)), tf.square(apply(b, v as Tensor4D)))),
    )([a, filter]);
    return { y: apply(a, filter), dx: grads[0] as Tensor4D, dw: grads[1] as Tensor4D };
  };
  const [n = 1, h = 1, w = 1, c = 1] = image;
  const graph = trace(fn, {
    x: float(n, h, w, c),
    z: float(n, h, w, c),
    w: float(kernel, kernel, c, filters),
  });
  return [mergePadding, mergeFilterGradients, mergeEqual, removeDead].reduce<Graph>(
    (g, pass) => pass(g),
    graph,
  );
};

const errors = async (before: Graph, after: Graph): Promise<Record<string, number>> => {
  const inputs = Object.fromEntries(
    Object.entries(before.inputs).map(([name, { shape }], k) => [name, randomTensor(shape, 7 + k)]),
  );
  const [expected, actual] = [
    await runGraph(lowerConvolutions(before), inputs),
    await runGraph(lowerConvolutions(after), inputs),
  ];
  return Object.fromEntries(
    Object.entries(expected).map(([name, tensor]) => [name, relativeError(actual[name]!, tensor)]),
  );
};

const CONV = ['Conv', 'Conv', 'ConvFilterGradient', 'ConvInputGradient'];

test('3 x 3: the gradient of the filter becomes products of tiles, the rest stays', async () => {
  const before = graphOf({ kernel: 3, image: [2, 8, 6, 80], filters: 96, pads: [1, 1, 1, 1] });
  const after = tileConvolutions(before);
  expect(ours(before)).toEqual(CONV);
  expect(ours(after)).toEqual(['Conv', 'Conv', 'ConvInputGradient']);
  const { dw = 1, ...rest } = await errors(before, after);
  expect(dw).toBeLessThan(1e-5);
  expect(rest).toEqual({ y: 0, dx: 0 });
});

test('5 x 5: everything becomes products of tiles', async () => {
  const before = graphOf({ kernel: 5, image: [2, 8, 6, 80], filters: 96, pads: [2, 2, 2, 2] });
  const after = tileConvolutions(before);
  expect(ours(before)).toEqual(CONV);
  expect(ours(after)).toEqual([]);
});

test('images and borders of any size give what the plain convolution gives', async () => {
  const pad = fc.integer({ min: 0, max: 2 });
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(3, 5),
      fc.tuple(pad, pad, pad, pad),
      fc.tuple(
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 4 }),
      ),
      fc.constantFrom([80, 80] as const, [72, 92] as const, [92, 72] as const),
      async (kernel, pads, [n, down, across], [c, filters]) => {
        const [h, w] = [
          2 * down + kernel - 1 - pads[0] - pads[2],
          2 * across + kernel - 1 - pads[1] - pads[3],
        ];
        fc.pre(h > 0 && w > 0);
        const before = graphOf({ kernel, image: [n, h, w, c], filters, pads });
        const after = tileConvolutions(before);
        expect(ours(after)).not.toContain('ConvFilterGradient');
        const { y = 1, dx = 1, dw = 1 } = await errors(before, after);
        expect(y).toBeLessThan(1e-5);
        expect(Math.max(dx, dw)).toBeLessThan(2e-5);
      },
    ),
    { numRuns: 6, seed: 4, endOnFailure: true },
  );
});

const some: Case = { kernel: 5, image: [1, 8, 8, 96], filters: 96, pads: [2, 2, 2, 2] };
test.each<[string, Case]>([
  ['few channels', { ...some, image: [1, 8, 8, 24] }],
  ['another kernel', { ...some, kernel: 7, pads: [3, 3, 3, 3] }],
  ['a stride', { ...some, stride: 2 }],
  ['a dilation', { ...some, dilation: 2, pads: [4, 4, 4, 4] }],
  ['an odd height', { ...some, image: [1, 7, 8, 96] }],
  ['long lines', { ...some, image: [1, 2, 64, 96] }],
])('what it does not pay for stays: %s', (_, one) => {
  const graph = graphOf(one);
  expect(ours(tileConvolutions(graph))).toEqual(ours(graph));
});
