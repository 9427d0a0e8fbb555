import { backend_util } from '@tensorflow/tfjs-core';
import { numbersOf, uniform, type Builder, type Value } from '../graph.js';
import type { DType } from '../types.js';
import { cast, compare, operand, where } from './operands.js';
import type { Rule } from './rule.js';

/** An ONNX operation on one tensor of any number type, same shape out. */
const unary =
  (op: string): Rule =>
  (inputs, _, graph) => {
    const x = operand(inputs, 'x');
    return graph.add(op, [x], x.shape);
  };

/** An ONNX operation that is defined on floats; whole numbers become floats first. */
const floating =
  (op: string): Rule =>
  (inputs, _, graph) => {
    const x = cast(graph, operand(inputs, 'x'), 'float32');
    return graph.add(op, [x], x.shape);
  };

/** An ONNX operation that is defined on floats, and leaves whole numbers as they are. */
const rounding =
  (op: string): Rule =>
  (inputs, _, graph) => {
    const x = operand(inputs, 'x');
    return x.dtype === 'float32' ? graph.add(op, [x], x.shape) : x;
  };

/** Two tensors that broadcast, and the shape that comes out. */
const pair = (inputs: Record<string, Value>): [Value, Value, number[]] => {
  const [a, b] = [operand(inputs, 'a'), operand(inputs, 'b')];
  return [a, b, backend_util.assertAndGetBroadcastShape([...a.shape], [...b.shape])];
};

/** An ONNX operation on two tensors that broadcast. */
const binary =
  (op: string): Rule =>
  (inputs, _, graph) => {
    const [a, b, shape] = pair(inputs);
    return graph.add(op, [a, b], shape);
  };

/** A formula in other operations. */
const formula =
  (write: (x: Value, graph: Builder, attributes: Record<string, number>) => Value): Rule =>
  (inputs, attributes, graph) =>
    write(operand(inputs, 'x'), graph, attributes as Record<string, number>);

/** Whole divisors with which a native division may end the process: 0 under any number, -1 under the least. */
const UNSAFE = [0, -1];

/** A whole divisor with 1 in the place of those, and where they are; as it is for a constant that has none. */
const guarded = (graph: Builder, b: Value): { readonly divisor: Value; readonly unsafe?: Value } => {
  const known = b.constant !== undefined && 'uniform' in b.constant ? [b.constant.uniform] : numbersOf(b);
  if (b.constant !== undefined && !UNSAFE.some((value) => known.includes(value))) return { divisor: b };
  const hits = UNSAFE.map((value) => compare(graph, 'Equal', b, uniform(value, [], 'int32'), b.shape));
  const unsafe = graph.add('Or', hits, b.shape);
  return { divisor: where(graph, unsafe, uniform(1, [], 'int32'), b, b.shape), unsafe };
};

/**
 * ONNX's remainder of whole numbers has the sign of the divisor, as tfjs's; that of floats that of the dividend. By 0, as
 * by 1 and -1, tfjs's of whole numbers is 0.
 */
const remainder = (graph: Builder, a: Value, b: Value, shape: readonly number[]): Value => {
  if (a.dtype !== 'float32') return graph.add('Mod', [a, guarded(graph, b).divisor], shape);
  const fmod = (p: Value, q: Value): Value => graph.add('Mod', [p, q], shape, { attributes: { fmod: 1 } });
  const rest = fmod(a, b);
  const signsDiffer = graph.add(
    'Xor',
    [compare(graph, 'Less', a, uniform(0), a.shape), compare(graph, 'Less', b, uniform(0), b.shape)],
    shape,
    { dtype: 'bool' },
  );
  return where(graph, signsDiffer, fmod(graph.add('Add', [rest, b], shape), b), rest, shape);
};

/** Whole numbers: exact, and 0 where the divisor is 0, which is the product then; so is the quotient by -1. */
const wholeDivision = (graph: Builder, a: Value, b: Value, shape: readonly number[]): Value => {
  const { divisor, unsafe } = guarded(graph, b);
  const multiple = graph.add('Sub', [a, graph.add('Mod', [a, divisor], shape)], shape);
  const quotient = graph.add('Div', [multiple, divisor], shape);
  if (unsafe === undefined) return quotient;
  return where(graph, unsafe, graph.add('Mul', [a, b], shape), quotient, shape);
};

/** The angle of (x = b, y = a) in all four quadrants. */
const angle: Rule = (inputs, _, graph) => {
  const [y, x, shape] = pair(inputs);
  const slope = graph.add('Atan', [graph.add('Div', [y, x], shape)], shape);
  const below = compare(graph, 'Less', y, uniform(0), y.shape);
  const turn = where(graph, below, uniform(-Math.PI), uniform(Math.PI), y.shape);
  const left = where(
    graph,
    compare(graph, 'Less', x, uniform(0), x.shape),
    graph.add('Add', [slope, turn], shape),
    slope,
    shape,
  );
  const upright = graph.add('Mul', [graph.add('Sign', [y], y.shape), uniform(Math.PI / 2)], y.shape);
  return where(graph, compare(graph, 'Equal', x, uniform(0), x.shape), upright, left, shape);
};

export const elementwise: Record<string, Rule> = {
  Add: binary('Add'),
  Sub: binary('Sub'),
  Multiply: binary('Mul'),
  RealDiv: binary('Div'),
  Maximum: binary('Max'),
  Minimum: binary('Min'),
  Pow: binary('Pow'),
  Atan2: angle,
  Mod: (inputs, _, graph) => {
    const [a, b, shape] = pair(inputs);
    return remainder(graph, a, b, shape);
  },
  FloorDiv: (inputs, _, graph) => {
    const [a, b, shape] = pair(inputs);
    if (a.dtype !== 'float32') return wholeDivision(graph, a, b, shape);
    // Whole numbers come out, whatever goes in.
    return cast(graph, graph.add('Floor', [graph.add('Div', [a, b], shape)], shape), 'int32');
  },
  SquaredDifference: (inputs, _, graph) => {
    const [a, b, shape] = pair(inputs);
    const difference = graph.add('Sub', [a, b], shape);
    return graph.add('Mul', [difference, difference], shape);
  },
  /** ONNX's Sum takes floats only. */
  AddN: (inputs, _, graph) => {
    const terms = Object.values(inputs);
    const [first] = terms as [Value];
    if (first.dtype === 'float32') return graph.add('Sum', terms, first.shape);
    return terms.reduce((sum, term) => graph.add('Add', [sum, term], first.shape));
  },

  Neg: unary('Neg'),
  Abs: unary('Abs'),
  Sign: unary('Sign'),
  Floor: rounding('Floor'),
  Ceil: rounding('Ceil'),
  Round: rounding('Round'),
  Sqrt: floating('Sqrt'),
  Exp: floating('Exp'),
  Log: floating('Log'),
  Erf: floating('Erf'),
  Reciprocal: floating('Reciprocal'),
  Sin: floating('Sin'),
  Cos: floating('Cos'),
  Tan: floating('Tan'),
  Asin: floating('Asin'),
  Acos: floating('Acos'),
  Atan: floating('Atan'),
  Sinh: floating('Sinh'),
  Cosh: floating('Cosh'),
  Asinh: floating('Asinh'),
  Acosh: floating('Acosh'),
  Atanh: floating('Atanh'),
  Identity: (inputs) => operand(inputs, 'x'),
  Square: formula((x, graph) => graph.add('Mul', [x, x], x.shape)),
  Rsqrt: formula((x, graph) => graph.add('Reciprocal', [graph.add('Sqrt', [x], x.shape)], x.shape)),
  /** e^x - 1 = tanh(x/2) (e^x + 1), which keeps its digits near zero. */
  Expm1: formula((x, graph) => {
    const half = graph.add('Tanh', [graph.add('Mul', [x, uniform(0.5)], x.shape)], x.shape);
    return graph.add(
      'Mul',
      [half, graph.add('Add', [graph.add('Exp', [x], x.shape), uniform(1)], x.shape)],
      x.shape,
    );
  }),
  /** log(1 + x), corrected for what the rounding of u = 1 + x took: log(u) x / (u - 1). */
  Log1p: formula((x, graph) => {
    const u = graph.add('Add', [x, uniform(1)], x.shape);
    const taken = graph.add('Sub', [u, uniform(1)], x.shape);
    const ratio = graph.add('Div', [x, taken], x.shape);
    const corrected = graph.add('Mul', [graph.add('Log', [u], x.shape), ratio], x.shape);
    const finite = where(graph, compare(graph, 'Equal', u, uniform(1), x.shape), x, corrected, x.shape);
    return where(graph, compare(graph, 'Equal', u, uniform(Infinity), x.shape), u, finite, x.shape);
  }),
  ClipByValue: formula((x, graph, { clipValueMin = 0, clipValueMax = 0 }) => {
    // Whole numbers know no infinity.
    const bound = (value: number): number =>
      x.dtype === 'float32' ? value : Math.min(2 ** 31 - 1, Math.max(-(2 ** 31), value));
    const [least, most] = [bound(clipValueMin), bound(clipValueMax)];
    return graph.add('Clip', [x, uniform(least, [], x.dtype), uniform(most, [], x.dtype)], x.shape);
  }),
  Cast: (inputs, { dtype }: { dtype: DType }, graph) => cast(graph, operand(inputs, 'x'), dtype),
};
