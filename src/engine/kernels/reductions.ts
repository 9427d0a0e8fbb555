import { util } from '@tensorflow/tfjs-core';
import { ints, uniform, type Builder, type Value } from '../graph.js';
import { axisOf } from './layout.js';
import { cast, operand } from './operands.js';
import type { Rule } from './rule.js';

/** Max says `reductionIndices`, all others `axis`. */
interface ReductionAttributes {
  readonly axis?: number | number[];
  readonly reductionIndices?: number | number[];
  readonly keepDims?: boolean;
}

const reduce = (graph: Builder, op: string, x: Value, attributes: ReductionAttributes): Value => {
  const { axis, reductionIndices, keepDims = false } = attributes;
  const axes = util.parseAxisParam((axis ?? reductionIndices) as number | number[], [...x.shape]);
  if (axes.length === 0) return x;
  const kept = x.shape.map((d, i) => (axes.includes(i) ? 1 : d));
  const shape = keepDims ? kept : kept.filter((_, i) => !axes.includes(i));
  return graph.add(op, [x, ints(axes)], shape, { attributes: { keepdims: keepDims ? 1 : 0 } });
};

/** An ONNX reduction; axes that are summed over vanish unless `keepDims`. */
const reduction =
  (op: string): Rule =>
  (inputs, attributes: ReductionAttributes, graph) =>
    reduce(graph, op, operand(inputs, 'x'), attributes);

/** Truth values as 0 and 1: all is their minimum, any their maximum. */
const quantifier =
  (op: string): Rule =>
  (inputs, attributes: ReductionAttributes, graph) =>
    cast(graph, reduce(graph, op, cast(graph, operand(inputs, 'x'), 'int32'), attributes), 'bool');

/** Index of the first extreme value along an axis, int32. */
const position =
  (op: string): Rule =>
  (inputs, { axis }: { axis: number }, graph) => {
    const given = operand(inputs, 'x');
    const x = given.dtype === 'bool' ? cast(graph, given, 'int32') : given;
    const at = axisOf(axis, x);
    const shape = x.shape.filter((_, i) => i !== at);
    const index = graph.add(op, [x], shape, { dtype: 'int64', attributes: { axis: at, keepdims: 0 } });
    return cast(graph, index, 'int32');
  };

interface CumulativeAttributes {
  readonly axis: number;
  readonly exclusive: boolean;
  readonly reverse: boolean;
}

/** `x` moved `by` places along the axis, ones moving in at the start (at the end in reverse). */
const shifted = (graph: Builder, x: Value, axis: number, by: number, reverse: boolean): Value => {
  const pads = x.shape.map(() => [0, 0]);
  // A negative pad cuts off what moves out.
  pads[axis] = reverse ? [-by, by] : [by, -by];
  const [begin, end] = [pads.map((p) => p[0] as number), pads.map((p) => p[1] as number)];
  return graph.add('Pad', [x, ints([...begin, ...end]), uniform(1, [], x.dtype)], x.shape);
};

/** Products of 1, 2, 4, ... neighbours: log2(n) steps, and right for zeros and negative numbers. */
const cumulativeProduct: Rule = (inputs, { axis, exclusive, reverse }: CumulativeAttributes, graph) => {
  const x = operand(inputs, 'x');
  const at = axisOf(axis, x);
  let product = exclusive ? shifted(graph, x, at, 1, reverse) : x;
  for (let reach = 1; reach < (x.shape[at] ?? 0); reach *= 2) {
    product = graph.add('Mul', [product, shifted(graph, product, at, reach, reverse)], x.shape);
  }
  return product;
};

export const reductions: Record<string, Rule> = {
  Sum: reduction('ReduceSum'),
  Mean: (inputs, attributes: ReductionAttributes, graph) =>
    reduce(graph, 'ReduceMean', cast(graph, operand(inputs, 'x'), 'float32'), attributes),
  Max: reduction('ReduceMax'),
  Min: reduction('ReduceMin'),
  Prod: reduction('ReduceProd'),
  All: quantifier('ReduceMin'),
  Any: quantifier('ReduceMax'),
  ArgMax: position('ArgMax'),
  ArgMin: position('ArgMin'),
  Cumsum: (inputs, { axis, exclusive, reverse }: CumulativeAttributes, graph) => {
    const x = operand(inputs, 'x');
    const attributes = { exclusive: exclusive ? 1 : 0, reverse: reverse ? 1 : 0 };
    return graph.add('CumSum', [x, uniform(axisOf(axis, x), [], 'int32')], x.shape, { attributes });
  },
  Cumprod: cumulativeProduct,
};
