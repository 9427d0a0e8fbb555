import { expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor4D } from '@tensorflow/tfjs-core';
import type { Graph } from '../../src/engine/graph.js';
import { mergeBoundary } from '../../src/engine/passes/merge-boundary.js';
import { removeDead } from '../../src/engine/passes/remove-dead.js';
import { trace } from '../../src/engine/tracer.js';
import type { Spec, TensorFunction } from '../../src/engine/types.js';
import { padBoundary } from '../../src/forecaster/layers.js';
import { randomTensor } from '../support/engine-compare.js';
import { runGraph } from '../support/run-graph.js';

const specs: Record<string, Spec> = { x: { shape: [2, 4, 5, 3], dtype: 'float32' } };
const ops = ({ nodes }: Graph): string[] => nodes.map(({ op }) => op);

const merged = async (fn: TensorFunction): Promise<{ before: string[]; after: Graph }> => {
  const before = trace(fn, specs);
  const after = removeDead(mergeBoundary(before));
  const inputs = { x: randomTensor([2, 4, 5, 3], 7) };
  const [expected, actual] = [await runGraph(before, inputs), await runGraph(after, inputs)];
  expect(actual['y']?.shape).toEqual(expected['y']?.shape);
  expect([...(actual['y']?.data ?? [])]).toEqual([...(expected['y']?.data ?? [])]);
  return { before: ops(before), after };
};

const STRIPS = ['Slice', 'Slice', 'Concat'];

test.each([
  ['replicate', 1, 'edge', ['Pad']],
  ['replicate', 2, 'edge', [...STRIPS, ...STRIPS]],
  ['periodic', 1, 'wrap', [...STRIPS, ...STRIPS]],
  ['periodic', 2, 'wrap', [...STRIPS, ...STRIPS]],
] as const)(
  '%s of width %i becomes one padding, corners included',
  async (boundary, width, mode, written) => {
    const { before, after } = await merged(({ x }) => ({ y: padBoundary(x as Tensor4D, width, boundary) }));
    expect(before).toEqual(written);
    expect(ops(after)).toEqual(['Pad']);
    expect(after.nodes[0]?.attributes).toEqual({ mode });
  },
);

test.each([
  ['replicate', ['Split', 'ReduceSum', 'ReduceSum', 'Concat']],
  ['periodic', ['Split', 'Add', 'Add', 'Concat']],
] as const)('the gradient of a %s border folds it back, columns then rows', (boundary, folded) => {
  const fn: TensorFunction = ({ x, dy }) => ({
    dx: tf.grad((image) => padBoundary(image as Tensor4D, 1, boundary))(x as Tensor4D, dy),
  });
  const dy: Spec = { shape: [2, 6, 7, 3], dtype: 'float32' };
  expect(ops(removeDead(trace(fn, { ...specs, dy })))).toEqual([...folded, ...folded]);
});

test('a concatenation of other strips stays what it is', async () => {
  const strip = (x: Tensor4D, row: number): Tensor4D => tf.slice(x, [0, row, 0, 0], [2, 1, 5, 3]);
  const { after } = await merged(({ x }) => {
    const image = x as Tensor4D;
    return { y: tf.concat([strip(image, 1), image, strip(image, 3)], 1) };
  });
  expect(ops(after)).toContain('Concat');
  expect(ops(after)).not.toContain('Pad');
});

test('strips of another image are not taken for a border', async () => {
  const { after } = await merged(({ x }) => {
    const image = x as Tensor4D;
    const other = tf.neg(image);
    return { y: tf.concat([tf.slice(other, [0, 0, 0, 0], [2, 1, 5, 3]), image], 1) };
  });
  expect(ops(after)).not.toContain('Pad');
});
