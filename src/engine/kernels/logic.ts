import { backend_util, upcastType } from '@tensorflow/tfjs-core';
import { uniform, type Value } from '../graph.js';
import type { DType } from '../types.js';
import { cast, compare, operand, where } from './operands.js';
import { reshape } from './layout.js';
import type { Rule } from './rule.js';

const comparison =
  (op: string): Rule =>
  (inputs, _, graph) => {
    const [a, b] = [operand(inputs, 'a'), operand(inputs, 'b')];
    return compare(graph, op, a, b, backend_util.assertAndGetBroadcastShape([...a.shape], [...b.shape]));
  };

const logical =
  (op: string): Rule =>
  (inputs, _, graph) => {
    const [a, b] = [operand(inputs, 'a'), operand(inputs, 'b')];
    return graph.add(op, [a, b], backend_util.assertAndGetBroadcastShape([...a.shape], [...b.shape]), {
      dtype: 'bool',
    });
  };

/** A question about floats; whole numbers are never infinite or undefined. */
const question =
  (op: string): Rule =>
  (inputs, _, graph) => {
    const x = operand(inputs, 'x');
    return x.dtype === 'float32'
      ? graph.add(op, [x], x.shape, { dtype: 'bool' })
      : uniform(0, x.shape, 'bool');
  };

export const logic: Record<string, Rule> = {
  Greater: comparison('Greater'),
  GreaterEqual: comparison('GreaterOrEqual'),
  Less: comparison('Less'),
  LessEqual: comparison('LessOrEqual'),
  Equal: comparison('Equal'),
  NotEqual: (inputs, attributes, graph) => {
    const equal = comparison('Equal')(inputs, attributes, graph) as Value;
    return graph.add('Not', [equal], equal.shape);
  },
  LogicalAnd: logical('And'),
  LogicalOr: logical('Or'),
  LogicalNot: (inputs, _, graph) => {
    const x = operand(inputs, 'x');
    return graph.add('Not', [x], x.shape);
  },
  IsNan: question('IsNaN'),
  IsInf: question('IsInf'),
  IsFinite: (inputs, attributes, graph) => {
    const x = operand(inputs, 'x');
    const unusual = ['IsNaN', 'IsInf'].map((op) => question(op)(inputs, attributes, graph) as Value);
    return graph.add('Not', [graph.add('Or', unusual, x.shape)], x.shape);
  },
  /** A condition of rank 1 chooses whole rows. */
  Select: (inputs, _, graph) => {
    const [condition, t, e] = [operand(inputs, 'condition'), operand(inputs, 't'), operand(inputs, 'e')];
    const rows = condition.shape.length === 1 && t.shape.length > 1;
    const shaped = rows
      ? reshape(graph, condition, [...condition.shape, ...t.shape.slice(1).fill(1)])
      : condition;
    const dtype = upcastType(t.dtype as DType, e.dtype as DType) as DType;
    return where(graph, shaped, cast(graph, t, dtype), cast(graph, e, dtype), t.shape);
  },
};
