import { describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor4D } from '@tensorflow/tfjs-core';
import type { Graph } from '../../src/engine/graph.js';
import { knownSums } from '../../src/engine/passes/known-sums.js';
import { mergeBlocks } from '../../src/engine/passes/merge-blocks.js';
import { mergeFolds } from '../../src/engine/passes/merge-folds.js';
import { removeDead } from '../../src/engine/passes/remove-dead.js';
import { sinkTransposes } from '../../src/engine/passes/sink-transposes.js';
import { trace } from '../../src/engine/tracer.js';
import type { Named, Spec, TensorFunction } from '../../src/engine/types.js';
import { channelsToPixels, padBoundary, pixelsToChannels } from '../../src/forecaster/layers.js';
import { randomTensor, relativeError } from '../support/engine-compare.js';
import { runGraph } from '../support/run-graph.js';

const float = (...shape: number[]): Spec => ({ shape, dtype: 'float32' });
const ops = ({ nodes }: Graph): string[] => nodes.map(({ op }) => op);

/** The graph before and after, which compute the same on random inputs. */
const through = async (
  fn: TensorFunction,
  specs: Named<Spec>,
  pass: (graph: Graph) => Graph,
): Promise<[before: Graph, after: Graph]> => {
  const before = removeDead(trace(fn, specs));
  const after = removeDead(pass(before));
  const inputs = Object.fromEntries(
    Object.entries(specs).map(([name, { shape }], k) => [name, randomTensor(shape, 40 + k)]),
  );
  const [expected, actual] = [await runGraph(before, inputs), await runGraph(after, inputs)];
  for (const [name, tensor] of Object.entries(expected)) {
    expect(actual[name]?.shape).toEqual(tensor.shape);
    expect(relativeError(actual[name]!, tensor)).toBeLessThan(1e-6);
  }
  return [before, after];
};

describe('merge-blocks', () => {
  test.each([
    ['DepthToSpace', (x: Tensor4D) => channelsToPixels(x, 2), float(2, 3, 5, 12)],
    ['SpaceToDepth', (x: Tensor4D) => pixelsToChannels(x, 3), float(2, 6, 9, 2)],
  ] as const)('%s, and its gradient, which is the other', async (op, blocks, x) => {
    const fn: TensorFunction = (inputs) => ({ y: blocks(inputs['x'] as Tensor4D) });
    const [before, after] = await through(fn, { x }, mergeBlocks);
    expect(ops(before)).toEqual(['Reshape', 'Transpose', 'Reshape']);
    expect(ops(after)).toEqual(['Transpose', op, 'Transpose']);
    const slope: TensorFunction = (inputs) => ({
      dx: tf.grad((image) => tf.sum(tf.square(blocks(image as Tensor4D))))(inputs['x'] as Tensor),
    });
    const [, gradient] = await through(slope, { x }, (graph) => sinkTransposes(mergeBlocks(graph)));
    const moves = ops(gradient).filter((each) => each.includes('Depth'));
    expect(moves).toEqual([op, op === 'DepthToSpace' ? 'SpaceToDepth' : 'DepthToSpace']);
  });

  test('blocks that are not square, and other ways to put channels into pixels, stay', async () => {
    const moved = (x: Tensor, shape: number[], perm: number[], result: number[]): Tensor =>
      tf.reshape(tf.transpose(tf.reshape(x, shape), perm), result);
    const fn: TensorFunction = ({ x }) => ({
      flat: moved(x as Tensor, [2, 3, 5, 3, 4, 1], [0, 1, 3, 2, 4, 5], [2, 9, 20, 1]),
      channelsFirst: moved(x as Tensor, [2, 3, 5, 3, 2, 2], [0, 1, 4, 2, 5, 3], [2, 6, 10, 3]),
      other: moved(x as Tensor, [2, 3, 5, 2, 2, 3], [0, 1, 3, 2, 4, 5], [2, 10, 6, 3]),
    });
    const [before, after] = await through(fn, { x: float(2, 3, 5, 12) }, mergeBlocks);
    expect(ops(after)).toEqual(ops(before));
  });
});

describe('merge-folds', () => {
  const gradient =
    (boundary: 'replicate' | 'periodic', width: number): TensorFunction =>
    ({ x, dy }) => ({
      dx: tf.grad((image) => padBoundary(image as Tensor4D, width, boundary))(x as Tensor, dy),
    });

  test.each([
    ['replicate', 1],
    ['replicate', 2],
    ['periodic', 1],
    ['periodic', 2],
  ] as const)('the gradient of a border, %s of width %i, is two products', async (boundary, width) => {
    const specs = { x: float(2, 5, 7, 3), dy: float(2, 5 + 2 * width, 7 + 2 * width, 3) };
    const sum = boundary === 'periodic' ? 'Add' : 'ReduceSum';
    const [before, after] = await through(gradient(boundary, width), specs, mergeFolds);
    expect(ops(before)).toEqual([0, 1].flatMap(() => ['Split', sum, sum, 'Concat']));
    expect(ops(after)).toEqual([0, 1].flatMap(() => ['Transpose', 'MatMul', 'Transpose']));
  });

  test.each([
    [30, 2],
    [80, 0],
  ])('long lines are cut and joined as before, unless there are few: of %i channels', async (c, products) => {
    const specs = { x: float(1, 40, 40, c), dy: float(1, 42, 42, c) };
    const [, after] = await through(gradient('replicate', 1), specs, mergeFolds);
    expect(ops(after).filter((op) => op === 'MatMul')).toHaveLength(products);
  });

  test('strips of which nothing is added up stay', async () => {
    const swapped: TensorFunction = ({ x }) => {
      const [a, b] = tf.split(x as Tensor4D, 2, 1) as [Tensor4D, Tensor4D];
      return { y: tf.concat([b, a], 1) };
    };
    const [, same] = await through(swapped, { x: float(2, 4, 3, 1) }, mergeFolds);
    expect(ops(same)).toEqual(['Split', 'Concat']);
  });

  test('strips of two images, and along another axis, stay', async () => {
    const fn: TensorFunction = ({ x, z }) => {
      const strips = (image: Tensor | undefined, axis: number): Tensor4D[] =>
        tf.split(image as Tensor4D, 2, axis);
      const [a, b, c] = [...strips(x, 1), ...strips(z, 1)] as [Tensor4D, Tensor4D, Tensor4D];
      const [left, right] = strips(x, 2) as [Tensor4D, Tensor4D];
      return { two: tf.concat([tf.add(a, c), b], 1), across: tf.concat([tf.add(left, right), left], 1) };
    };
    const [before, after] = await through(fn, { x: float(2, 4, 4, 1), z: float(2, 4, 4, 1) }, mergeFolds);
    expect(ops(after)).toEqual(ops(before));
  });
});

describe('known-sums', () => {
  const specs = { a: float(6), b: float(6), c: float(6) };
  /** Sums of three vectors, and of the same part of each. */
  const sums =
    (parts: readonly number[]): TensorFunction =>
    ({ a, b, c }) => {
      const all = [a, b, c] as Tensor[];
      const added = (values: readonly Tensor[]): Tensor => values.reduce((sum, value) => tf.add(sum, value));
      const part = (value: Tensor, k: number): Tensor =>
        tf.split(value, [1, 2, 3])[parts[k] as number] as Tensor;
      return { sum: added(all), part: added(all.map(part)) };
    };

  test('the sum of a part of vectors that are added up too is a part of their sum', async () => {
    const [before, after] = await through(sums([1, 1, 1]), specs, knownSums);
    expect(ops(before).sort()).toEqual(['Add', 'Add', 'Add', 'Add', 'Split', 'Split', 'Split']);
    expect(ops(after)).toEqual(['Add', 'Add', 'Split']);
  });

  test('different parts are added as they are', async () => {
    const fn: TensorFunction = ({ a, b }) => {
      const [x, y] = [tf.split(a as Tensor, 3), tf.split(b as Tensor, 3)] as [Tensor[], Tensor[]];
      return { sum: tf.add(a as Tensor, b as Tensor), part: tf.add(x[0] as Tensor, y[1] as Tensor) };
    };
    const [before, after] = await through(fn, specs, knownSums);
    expect(ops(after)).toEqual(ops(before));
  });
});
