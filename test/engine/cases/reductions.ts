import * as tf from '@tensorflow/tfjs-core';
import type { Tensor } from '@tensorflow/tfjs-core';
import { permuted } from '../../../src/engine/graph.js';
import { at, cases, type Case, type Draw } from './case.js';

type Reduce = (x: Tensor, axis?: number | number[], keepDims?: boolean) => Tensor;

const how = (d: Draw, rank: number): [number | number[] | undefined, boolean] => {
  const axes = d.axes(rank);
  return [
    d.pick<number | number[] | undefined>(undefined, axes, axes[0], (axes[0] as number) - rank),
    d.yes(),
  ];
};
const reduction =
  (fn: Reduce): Case['draw'] =>
  (d) => {
    const shape = d.shape(d.whole(1, 4));
    const [axis, keep] = how(d, shape.length);
    return { inputs: { x: d.floats(shape, -2, 2) }, fn: (t) => fn(at(t, 'x'), axis, keep) };
  };
const whole =
  (fn: Reduce): Case['draw'] =>
  (d) => {
    const [axis, keep] = how(d, 3);
    return { inputs: { x: d.wholes(d.shape(3), -4, 4) }, fn: (t) => fn(at(t, 'x'), axis, keep) };
  };
const truth =
  (fn: Reduce): Case['draw'] =>
  (d) => {
    const [axis, keep] = how(d, 3);
    return { inputs: { x: d.truths(d.shape(3, 3)) }, fn: (t) => fn(at(t, 'x'), axis, keep) };
  };
const position =
  (fn: (x: Tensor, axis: number) => Tensor): Case['draw'] =>
  (d) => {
    const rank = d.whole(1, 3);
    const shape = d.shape(rank, 6);
    const axis = d.whole(-rank, rank - 1);
    const x = d.pick(d.floats(shape), d.among(shape, [-1, 0, 1]), d.wholes(shape, -2, 2), d.truths(shape));
    return { inputs: { x }, fn: (t) => fn(at(t, 'x'), axis), gradients: [] };
  };
type Cumulative = (x: Tensor, axis: number, exclusive: boolean, reverse: boolean) => Tensor;
/** Sums by a triangle of ones. */
const triangle: Cumulative = (x, axis, exclusive, reverse) => {
  const n = x.shape[axis] as number;
  const rows = Array.from({ length: n }, (_, i) =>
    Array.from({ length: n }, (_v, j) => (reverse ? j > i : j < i) || (j === i && !exclusive)),
  );
  const last = [...Array(x.rank).keys()];
  [last[axis], last[x.rank - 1]] = [x.rank - 1, axis];
  const flat = tf.reshape(tf.transpose(x, last), [x.size / n, n]);
  const sums = tf.matMul(flat, tf.cast(tf.tensor2d(rows), 'float32'), false, true);
  return tf.transpose(tf.reshape(sums, permuted(x.shape, last)), last);
};
/** tfjs's own gradient of cumsum is that of the last axis whatever the axis; cumprod has none. */
const cumulative =
  (fn: Cumulative, oracle?: Cumulative): Case['draw'] =>
  (d) => {
    const rank = d.whole(1, 3);
    const [exclusive, reverse] = [d.yes(), d.yes()];
    const axis = d.whole(0, rank - 1);
    return {
      inputs: { x: d.floats(d.shape(rank, 9), -1.5, 1.5) },
      fn: (t) => fn(at(t, 'x'), axis, exclusive, reverse),
      ...(oracle === undefined
        ? { gradients: [] }
        : { oracle: (t) => oracle(at(t, 'x'), axis, exclusive, reverse) }),
    };
  };

export const reductions = cases({
  Sum: reduction(tf.sum),
  'Sum int32': whole(tf.sum),
  'Sum of truth values': truth(tf.sum),
  Mean: reduction(tf.mean),
  'Mean int32': whole(tf.mean),
  Max: reduction(tf.max),
  'Max int32': whole(tf.max),
  'Max with ties': (d) => ({
    inputs: { x: d.among(d.shape(2, 6), [-1, 0, 1]) },
    fn: (t) => tf.max(at(t, 'x'), 1),
  }),
  Min: reduction(tf.min),
  'Min int32': whole(tf.min),
  Prod: (d) => {
    const shape = d.shape(3);
    // tfjs's gradient takes axes from the front only.
    const [axes, keep] = [d.axes(3), d.yes()];
    return { inputs: { x: d.floats(shape, -2, 2) }, fn: (t) => tf.prod(at(t, 'x'), axes, keep) };
  },
  'Prod of any axes': (d) => ({ ...reduction(tf.prod)(d), gradients: [] }),
  'Prod int32': whole(tf.prod),
  All: truth(tf.all),
  Any: truth(tf.any),
  ArgMax: position((x, axis) => tf.argMax(x, axis)),
  ArgMin: position((x, axis) => tf.argMin(x, axis)),
  Cumsum: cumulative(tf.cumsum, triangle),
  'Cumsum int32': (d) => ({
    inputs: { x: d.wholes(d.shape(2, 6), -9, 9) },
    fn: (t) => tf.cumsum(at(t, 'x'), 1),
  }),
  Cumprod: cumulative(tf.cumprod),
  'Cumprod with zeros': (d) => ({
    inputs: { x: d.among(d.shape(2, 9), [-1.5, 0, 0.5, 2]) },
    fn: (t) => tf.cumprod(at(t, 'x'), 1),
    gradients: [],
  }),
});

export const products = cases({
  BatchMatMul: (d) => {
    const [m, k, n] = d.shape(3, 6) as [number, number, number];
    const batch = d.shape(d.whole(0, 2), 3);
    const [ta, tb] = [d.yes(), d.yes()];
    return {
      inputs: {
        a: d.floats([...batch, ...(ta ? [k, m] : [m, k])]),
        b: d.floats([...batch, ...(tb ? [n, k] : [k, n])]),
      },
      fn: (t) => tf.matMul(at(t, 'a'), at(t, 'b'), ta, tb),
    };
  },
  'BatchMatMul that broadcasts': (d) => ({
    inputs: { a: d.floats([d.pick(1, 3), 2, 4]), b: d.floats([3, 4, 5]) },
    fn: (t) => tf.matMul(at(t, 'a'), at(t, 'b')),
    gradients: [],
  }),
  Einsum: (d) => {
    const [b, h, i, j, k] = d.shape(5, 3) as [number, number, number, number, number];
    const [equation, p, q, product] = d.pick<[string, number[], number[], (a: Tensor, b: Tensor) => Tensor]>(
      ['ik,kj->ij', [i, k], [k, j], (x, y) => tf.matMul(x, y)],
      ['bhik,bhjk->bhij', [b, h, i, k], [b, h, j, k], (x, y) => tf.matMul(x, y, false, true)],
      [
        'bik,hk->ihb',
        [b, i, k],
        [h, k],
        (x, y) =>
          tf.transpose(
            tf.reshape(tf.matMul(tf.reshape(x, [b * i, k]), y, false, true), [b, i, h]),
            [1, 2, 0],
          ),
      ],
      ['ij,ij->', [i, j], [i, j], (x, y) => tf.sum(tf.mul(x, y))],
      ['ij,jk->k', [i, j], [j, k], (x, y) => tf.sum(tf.matMul(x, y), 0)],
    );
    return {
      inputs: { a: d.floats(p), b: d.floats(q) },
      fn: (t) => tf.einsum(equation, at(t, 'a'), at(t, 'b')),
      oracle: (t) => product(at(t, 'a'), at(t, 'b')),
    };
  },
  'BatchMatMul int32': (d) => ({
    inputs: { a: d.wholes([3, 4], -9, 9), b: d.wholes([4, 2], -9, 9) },
    fn: (t) => tf.matMul(at(t, 'a'), at(t, 'b')),
    gradients: [],
  }),
});
