import { expect, test } from '@jest/globals';
import { builder, constantOf, type Graph, type Node, type Value } from '../../src/engine/graph.js';
import { worthOptimising } from '../../src/engine/onnx/worth-optimising.js';

const SIZE = 2 ** 15;

/** A chain of so many products with this value. */
const chain = (length: number, factor: Value): Graph => {
  const out = builder();
  const x: Value = { shape: [SIZE], dtype: 'float32' };
  let y = x;
  for (let k = 0; k < length; k++) y = out.add('Mul', [y, factor], [SIZE]);
  return { inputs: { x }, outputs: { y }, nodes: out.nodes };
};
const input: Value = { shape: [SIZE], dtype: 'float32' };
const weight = constantOf(new Float32Array(SIZE), [SIZE], 'float32');
/** Of a border's gradient (merge-folds.ts), times a number: any constant that is not one number. */
const matrix = constantOf(new Float32Array(64 * 66), [64, 66], 'float32');

test.each([
  ['a short program', chain(10, input), true],
  ['a long one whose weights are inputs', chain(6000, input), false],
  ['a long one with a small matrix', chain(6000, matrix), false],
  ['a long one with a weight', chain(6000, weight), true],
])('%s: worth optimising %#', (_, graph, worth) => {
  expect(worthOptimising(graph)).toBe(worth);
});

test("a long program with somebody's model in it is worth optimising", () => {
  const { nodes, ...rest } = chain(6000, input);
  const placed = { ...(nodes[0] as Node), op: 'OnnxModel', model: {} as NonNullable<Node['model']> };
  expect(worthOptimising({ ...rest, nodes: [...nodes, placed] })).toBe(true);
});
