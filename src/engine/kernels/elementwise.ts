import { backend_util } from '@tensorflow/tfjs-core';
import { uniform, type Builder, type Value, type ValueType } from '../graph.js';
import type { Rule } from './rule.js';

const input = (inputs: Record<string, Value>, name: string): Value => {
  const value = inputs[name];
  if (value === undefined) throw new Error(`kernel input ${name} is missing`);
  return value;
};

/** An ONNX operation on one tensor, same shape out. */
const unary =
  (op: string): Rule =>
  (inputs, _, graph) => {
    const x = input(inputs, 'x');
    return graph.add(op, [x], x.shape);
  };

/** An ONNX operation on two tensors that broadcast. */
const binary =
  (op: string, dtype?: ValueType): Rule =>
  (inputs, _, graph) => {
    const a = input(inputs, 'a');
    const b = input(inputs, 'b');
    const shape = backend_util.assertAndGetBroadcastShape([...a.shape], [...b.shape]);
    return graph.add(op, [a, b], shape, { dtype: dtype ?? a.dtype });
  };

/** A formula in other operations. */
const formula =
  (write: (x: Value, graph: Builder, attributes: Record<string, number>) => Value): Rule =>
  (inputs, attributes, graph) =>
    write(input(inputs, 'x'), graph, attributes as Record<string, number>);

const select: Rule = (inputs, _, graph) => {
  const [condition, t, e] = [input(inputs, 'condition'), input(inputs, 't'), input(inputs, 'e')];
  return graph.add('Where', [condition, t, e], t.shape, { dtype: t.dtype });
};

export const elementwise: Record<string, Rule> = {
  Add: binary('Add'),
  Sub: binary('Sub'),
  Multiply: binary('Mul'),
  RealDiv: binary('Div'),
  Maximum: binary('Max'),
  Minimum: binary('Min'),
  Pow: binary('Pow'),
  Greater: binary('Greater', 'bool'),
  GreaterEqual: binary('GreaterOrEqual', 'bool'),
  Less: binary('Less', 'bool'),
  LessEqual: binary('LessOrEqual', 'bool'),
  Equal: binary('Equal', 'bool'),
  LogicalAnd: binary('And', 'bool'),
  LogicalOr: binary('Or', 'bool'),
  SquaredDifference: (inputs, _, graph) => {
    const difference = binary('Sub')(inputs, _, graph) as Value;
    return graph.add('Mul', [difference, difference], difference.shape);
  },
  AddN: (inputs, _, graph) => {
    const terms = Object.values(inputs);
    return graph.add('Sum', terms, (terms[0] as Value).shape);
  },

  Sigmoid: unary('Sigmoid'),
  Tanh: unary('Tanh'),
  Relu: unary('Relu'),
  Sqrt: unary('Sqrt'),
  Neg: unary('Neg'),
  Abs: unary('Abs'),
  Exp: unary('Exp'),
  Log: unary('Log'),
  Sin: unary('Sin'),
  Cos: unary('Cos'),
  Erf: unary('Erf'),
  Floor: unary('Floor'),
  Ceil: unary('Ceil'),
  Round: unary('Round'),
  Sign: unary('Sign'),
  Softplus: unary('Softplus'),
  Elu: unary('Elu'),
  Reciprocal: unary('Reciprocal'),
  LogicalNot: unary('Not'),
  Identity: (inputs) => input(inputs, 'x'),
  Square: formula((x, graph) => graph.add('Mul', [x, x], x.shape)),
  Rsqrt: formula((x, graph) => graph.add('Reciprocal', [graph.add('Sqrt', [x], x.shape)], x.shape)),
  Relu6: formula((x, graph) => graph.add('Clip', [x, uniform(0), uniform(6)], x.shape)),
  ClipByValue: formula((x, graph, { clipValueMin = 0, clipValueMax = 0 }) =>
    graph.add('Clip', [x, uniform(clipValueMin), uniform(clipValueMax)], x.shape),
  ),
  LeakyRelu: formula((x, graph, { alpha = 0.2 }) =>
    graph.add('LeakyRelu', [x], x.shape, { attributes: { alpha: { float: alpha } } }),
  ),
  /** 1 above zero, alpha below: the derivative that tfjs uses for abs and relu. */
  Step: formula((x, graph, { alpha = 0 }) =>
    graph.add('Where', [graph.add('Greater', [x, uniform(0)], x.shape, { dtype: 'bool' }), uniform(1), uniform(alpha)], x.shape, {
      dtype: 'float32',
    }),
  ),
  Select: select,
  Cast: (inputs, { dtype }: { dtype: ValueType }, graph) => {
    const x = input(inputs, 'x');
    return x.dtype === dtype ? x : graph.add('Cast', [x], x.shape, { dtype, attributes: { to: dtype } });
  },
  ZerosLike: (inputs) => uniform(0, input(inputs, 'x').shape, input(inputs, 'x').dtype),
  OnesLike: (inputs) => uniform(1, input(inputs, 'x').shape, input(inputs, 'x').dtype),
  Fill: (_, { shape, value, dtype }: { shape: number[]; value: number; dtype?: ValueType }) =>
    uniform(value, shape, dtype ?? 'float32'),
};
