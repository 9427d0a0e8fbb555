import * as tf from '@tensorflow/tfjs-core';
import type { Tensor } from '@tensorflow/tfjs-core';
import { at, cases, type Case } from './case.js';

type Binary = (a: Tensor, b: Tensor) => Tensor;

/** Two floats that broadcast, each in a range. */
const binary =
  (fn: Binary, a: [number, number] = [-2, 2], b = a): Case['draw'] =>
  (d) => {
    const [p, q] = d.broadcasting();
    return { inputs: { a: d.floats(p, ...a), b: d.floats(q, ...b) }, fn: (t) => fn(at(t, 'a'), at(t, 'b')) };
  };
/** Whose gradients tfjs gets wrong where shapes differ: the oracle repeats both operands first. */
const spread =
  (fn: Binary): Case['draw'] =>
  (d) => {
    const [p, q] = d.broadcasting();
    const full = (a: Tensor, b: Tensor): Tensor => tf.mul(a, tf.onesLike(b));
    return {
      inputs: { a: d.floats(p), b: d.floats(q) },
      fn: (t) => fn(at(t, 'a'), at(t, 'b')),
      oracle: (t) => fn(full(at(t, 'a'), at(t, 'b')), full(at(t, 'b'), at(t, 'a'))),
    };
  };
const forward =
  (draw: Case['draw']): Case['draw'] =>
  (d) => ({ ...draw(d), gradients: [] });
const wholes =
  (fn: Binary, a: [number, number] = [-9, 9], b = a): Case['draw'] =>
  (d) => {
    const [p, q] = d.broadcasting();
    return { inputs: { a: d.wholes(p, ...a), b: d.wholes(q, ...b) }, fn: (t) => fn(at(t, 'a'), at(t, 'b')) };
  };
const unary =
  (fn: (x: Tensor) => Tensor, low: number, high: number): Case['draw'] =>
  (d) => ({
    inputs: { x: d.floats(d.shape(d.whole(0, 4)), low, high) },
    fn: (t) => fn(at(t, 'x')),
  });
const whole =
  (fn: (x: Tensor) => Tensor): Case['draw'] =>
  (d) => ({
    inputs: { x: d.wholes(d.shape(3), -9, 9) },
    fn: (t) => fn(at(t, 'x')),
  });
const cast =
  (to: 'float32' | 'int32' | 'bool'): Case['draw'] =>
  (d) => {
    const shape = d.shape(2);
    const x = d.pick(
      d.floats(shape, -5, 5),
      d.wholes(shape, -2, 2),
      d.truths(shape),
      d.among(shape, [0, 1, -2.7, 2.7]),
    );
    return {
      inputs: { x },
      fn: (t) => tf.cast(at(t, 'x'), to),
      ...(to === 'float32' ? {} : { gradients: [] }),
    };
  };

export const elementwise = cases({
  Add: binary(tf.add),
  'Add int32': wholes(tf.add),
  Sub: binary(tf.sub),
  'Sub int32': wholes(tf.sub),
  Multiply: binary(tf.mul),
  'Multiply int32': wholes(tf.mul),
  RealDiv: binary(tf.div, [-2, 2], [0.4, 2]),
  'RealDiv by a negative': binary(tf.div, [-2, 2], [-2, -0.4]),
  Maximum: spread(tf.maximum),
  'Maximum int32': wholes(tf.maximum),
  Minimum: spread(tf.minimum),
  'Minimum int32': wholes(tf.minimum),
  Pow: binary(tf.pow, [0.3, 2], [-2, 2]),
  'Pow int32': wholes(tf.pow, [-3, 3], [0, 4]),
  Atan2: binary(tf.atan2),
  'Atan2 on the axes': (d) => {
    const shape = d.shape(2, 8);
    const values = [-1, 0, 1, 2];
    return {
      inputs: { a: d.among(shape, values), b: d.among(shape, values) },
      fn: (t) => tf.atan2(at(t, 'a'), at(t, 'b')),
      gradients: [],
    };
  },
  Mod: binary(tf.mod, [-5, 5], [0.5, 3]),
  'Mod by a negative': binary(tf.mod, [-5, 5], [-3, -0.5]),
  'Mod int32 by any, 0 too': wholes(tf.mod, [-9, 9], [-4, 4]),
  FloorDiv: forward(binary(tf.floorDiv, [-5, 5], [0.5, 3])),
  'FloorDiv int32 by any, 0 too': wholes(tf.floorDiv, [-9, 9], [-4, 4]),
  SquaredDifference: spread(tf.squaredDifference),
  'SquaredDifference int32': wholes(tf.squaredDifference),
  AddN: (d) => {
    const shape = d.shape(3);
    const inputs = { a: d.floats(shape), b: d.floats(shape), c: d.floats(shape) };
    return { inputs, fn: (t) => tf.addN([at(t, 'a'), at(t, 'b'), at(t, 'c')]) };
  },
  'AddN int32': (d) => {
    const shape = d.shape(2);
    return {
      inputs: { a: d.wholes(shape, -9, 9), b: d.wholes(shape, -9, 9) },
      fn: (t) => tf.addN([at(t, 'a'), at(t, 'b')]),
    };
  },
  Neg: unary(tf.neg, -2, 2),
  'Neg int32': whole(tf.neg),
  Abs: unary(tf.abs, -2, 2),
  'Abs int32': whole(tf.abs),
  Sign: unary(tf.sign, -2, 2),
  'Sign int32': whole(tf.sign),
  Floor: unary(tf.floor, -3, 3),
  Ceil: unary(tf.ceil, -3, 3),
  'Round int32': (d) => ({ inputs: { x: d.wholes(d.shape(2), -9, 9) }, fn: (t) => tf.round(at(t, 'x')) }),
  'Round with halves': (d) => ({
    inputs: { x: d.among(d.shape(2, 8), [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 0.4, -3.7]) },
    fn: (t) => tf.round(at(t, 'x')),
  }),
  'Exp int32': whole(tf.exp),
  Sqrt: unary(tf.sqrt, 0.1, 4),
  Rsqrt: unary(tf.rsqrt, 0.1, 4),
  Square: unary(tf.square, -2, 2),
  Exp: unary(tf.exp, -3, 3),
  Expm1: unary(tf.expm1, -3, 3),
  'Expm1 near zero': unary(tf.expm1, -1e-4, 1e-4),
  Log: unary(tf.log, 0.1, 5),
  Log1p: unary(tf.log1p, -0.9, 3),
  'Log1p near zero': unary(tf.log1p, -1e-4, 1e-4),
  Erf: unary(tf.erf, -3, 3),
  Reciprocal: unary(tf.reciprocal, 0.3, 3),
  Sin: unary(tf.sin, -6, 6),
  Cos: unary(tf.cos, -6, 6),
  Tan: unary(tf.tan, -1.2, 1.2),
  Asin: unary(tf.asin, -0.95, 0.95),
  Acos: unary(tf.acos, -0.95, 0.95),
  Atan: unary(tf.atan, -4, 4),
  Sinh: unary(tf.sinh, -3, 3),
  Cosh: unary(tf.cosh, -3, 3),
  Asinh: unary(tf.asinh, -4, 4),
  Acosh: unary(tf.acosh, 1.1, 5),
  Atanh: unary(tf.atanh, -0.9, 0.9),
  Identity: unary((x) => tf.clone(x), -2, 2),
  ClipByValue: unary((x) => tf.clipByValue(x, -0.5, 1.2), -2, 2),
  'ClipByValue int32': whole((x) => tf.clipByValue(x, -2, 5)),
  'Cast to float32': cast('float32'),
  'Cast to int32': cast('int32'),
  'Cast to bool': cast('bool'),
});

const activation = (fn: (x: Tensor) => Tensor, low = -3, high = 3): Case['draw'] => unary(fn, low, high);

export const activations = cases({
  Sigmoid: activation(tf.sigmoid),
  Tanh: activation(tf.tanh),
  Relu: activation(tf.relu),
  'Relu int32': whole(tf.relu),
  Relu6: activation(tf.relu6, -3, 9),
  Elu: activation(tf.elu),
  'EluGrad in the gradient of elu': activation(tf.elu),
  Selu: activation(tf.selu),
  Softplus: activation(tf.softplus, -12, 12),
  LeakyRelu: (d) => {
    const alpha = d.pick(0.1, 0.2, 0.31);
    return activation((x) => tf.leakyRelu(x, alpha))(d);
  },
  'LeakyRelu int32': whole((x) => tf.leakyRelu(x, 0.25)),
  Prelu: (d) => {
    const shape = d.shape(3);
    const alpha = d.pick(shape, shape.slice(1), shape.slice(2), [1, ...shape.slice(1)]);
    return {
      inputs: { x: d.floats(shape), alpha: d.floats(alpha, 0.1, 0.4) },
      fn: (t) => tf.prelu(at(t, 'x'), at(t, 'alpha')),
    };
  },
  Step: (d) => {
    const alpha = d.pick(0, 0.3);
    return activation((x) => tf.step(x, alpha))(d);
  },
  'Step at zero': (d) => ({
    inputs: { x: d.among(d.shape(2, 8), [-1, 0, 1]) },
    fn: (t) => tf.step(at(t, 'x')),
  }),
  Softmax: (d) => ({
    inputs: { x: d.floats([...d.shape(d.whole(0, 2)), d.whole(2, 7)], -4, 4) },
    fn: (t) => tf.softmax(at(t, 'x')),
  }),
});

const ties = [-1, 0, 0.5, 1];
/** Floats with ties, whole numbers or truth values. */
const comparison =
  (fn: Binary): Case['draw'] =>
  (d) => {
    const [p, q] = d.broadcasting();
    const [a, b] = d.pick(
      [d.among(p, ties), d.among(q, ties)],
      [d.wholes(p, -2, 2), d.wholes(q, -2, 2)],
      [d.truths(p), d.truths(q)],
    );
    return {
      inputs: { a, b },
      fn: (t) => fn(at(t, 'a'), at(t, 'b')),
      gradients: [],
    };
  };
const logical =
  (fn: Binary): Case['draw'] =>
  (d) => {
    const [p, q] = d.broadcasting();
    return { inputs: { a: d.truths(p), b: d.truths(q) }, fn: (t) => fn(at(t, 'a'), at(t, 'b')) };
  };
const question =
  (fn: (x: Tensor) => Tensor): Case['draw'] =>
  (d) => {
    const shape = d.shape(2, 6);
    const x = d.pick(d.among(shape, [NaN, Infinity, -Infinity, 0, 1]), d.wholes(shape, -2, 2));
    return { inputs: { x }, fn: (t) => fn(at(t, 'x')), gradients: [] };
  };

export const logic = cases({
  Greater: comparison(tf.greater),
  GreaterEqual: comparison(tf.greaterEqual),
  Less: comparison(tf.less),
  LessEqual: comparison(tf.lessEqual),
  Equal: comparison(tf.equal),
  NotEqual: comparison(tf.notEqual),
  LogicalAnd: logical(tf.logicalAnd),
  LogicalOr: logical(tf.logicalOr),
  LogicalNot: (d) => ({ inputs: { x: d.truths(d.shape(3)) }, fn: (t) => tf.logicalNot(at(t, 'x')) }),
  IsNan: question(tf.isNaN),
  IsInf: question(tf.isInf),
  IsFinite: question(tf.isFinite),
  Select: (d) => {
    const shape = d.shape(3);
    return {
      inputs: { c: d.truths(shape), a: d.floats(shape), b: d.floats(shape) },
      fn: (t) => tf.where(at(t, 'c'), at(t, 'a'), at(t, 'b')),
    };
  },
  'Select that broadcasts': (d) => {
    const [p, q] = d.broadcasting();
    return {
      inputs: { c: d.truths(p), a: d.floats(p), b: d.floats(q) },
      fn: (t) => tf.where(at(t, 'c'), at(t, 'a'), at(t, 'b')),
    };
  },
  'Select of truth values': (d) => {
    const shape = d.shape(2);
    return {
      inputs: { c: d.truths(shape), a: d.truths(shape), b: d.truths(shape) },
      fn: (t) => tf.where(at(t, 'c'), at(t, 'a'), at(t, 'b')),
    };
  },
  'Select int32': (d) => {
    const shape = d.shape(2);
    return {
      inputs: { c: d.truths(shape), a: d.wholes(shape, -9, 9), b: d.wholes(shape, -9, 9) },
      fn: (t) => tf.where(at(t, 'c'), at(t, 'a'), at(t, 'b')),
    };
  },
});

export const constants = cases({
  ZerosLike: (d) => ({
    inputs: { x: d.pick(d.floats([2, 3]), d.wholes([4], 1, 5), d.truths([3])) },
    fn: (t) => tf.zerosLike(at(t, 'x')),
    gradients: [],
  }),
  OnesLike: (d) => ({
    inputs: { x: d.pick(d.floats([2, 3]), d.wholes([4], 2, 5), d.truths([3])) },
    fn: (t) => tf.onesLike(at(t, 'x')),
    gradients: [],
  }),
  Fill: (d) => {
    const [shape, value] = [d.shape(3), d.whole(-5, 5)];
    const dtype = d.pick('float32' as const, 'int32' as const);
    return { inputs: {}, fn: () => tf.fill(shape, value, dtype) };
  },
  Range: (d) => {
    const [start, stop] = [d.whole(-9, 9), d.whole(-9, 9)];
    const step = stop < start ? d.pick(-2, -1.5, 1) : d.pick(1, 2, 0.75);
    const dtype = Number.isInteger(step) ? d.pick('float32' as const, 'int32' as const) : 'float32';
    return { inputs: {}, fn: () => tf.range(start, stop, step, dtype) };
  },
  LinSpace: (d) => {
    const [start, stop, n] = [d.whole(-9, 9), d.whole(-9, 9), d.whole(1, 12)];
    return { inputs: {}, fn: () => tf.linspace(start, stop, n) };
  },
});
