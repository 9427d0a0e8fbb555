import { describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor4D } from '@tensorflow/tfjs-core';
import type { Graph, Node, Value } from '../../src/engine/graph.js';
import { collapseTransposes } from '../../src/engine/passes/collapse-transposes.js';
import { lowerConvolutions } from '../../src/engine/passes/lower-convolutions.js';
import { mergeBias } from '../../src/engine/passes/merge-bias.js';
import { mergeEqual } from '../../src/engine/passes/merge-equal.js';
import { mergeFilterGradients } from '../../src/engine/passes/merge-filter-gradients.js';
import { mergePadding } from '../../src/engine/passes/merge-padding.js';
import { removeDead } from '../../src/engine/passes/remove-dead.js';
import { simplify } from '../../src/engine/passes/simplify.js';
import { sinkTransposes } from '../../src/engine/passes/sink-transposes.js';
import { trace } from '../../src/engine/tracer.js';
import type { Named, Spec, TensorFunction } from '../../src/engine/types.js';
import { randomTensor, relativeError } from '../support/engine-compare.js';
import { runGraph } from '../support/run-graph.js';

type Pass = (graph: Graph) => Graph;

const float = (...shape: number[]): Spec => ({ shape, dtype: 'float32' });
const ops = ({ nodes }: Graph): string[] => nodes.map(({ op }) => op);
const times = (graph: Graph, op: string): number => ops(graph).filter((each) => each === op).length;

/** ONNX alone: what is ours is lowered. */
const runnable = lowerConvolutions;

/** Both graphs compute the same on random inputs. */
const expectSame = async (before: Graph, after: Graph): Promise<void> => {
  const inputs = Object.fromEntries(
    Object.entries(before.inputs).map(([name, { shape }], k) => [name, randomTensor(shape, 100 + k)]),
  );
  const [expected, actual] = [
    await runGraph(runnable(before), inputs),
    await runGraph(runnable(after), inputs),
  ];
  for (const [name, tensor] of Object.entries(expected)) {
    expect(actual[name]?.shape).toEqual(tensor.shape);
    expect(relativeError(actual[name]!, tensor)).toBeLessThan(1e-5);
  }
};

const through = async (fn: TensorFunction, inputs: Named<Spec>, pass: Pass): Promise<[Graph, Graph]> => {
  const before = trace(fn, inputs);
  const after = pass(before);
  await expectSame(before, after);
  return [before, after];
};

test('remove-dead drops what no output needs', async () => {
  const fn: TensorFunction = ({ x }) => {
    tf.log(tf.exp(x as Tensor));
    return { y: tf.sin(x as Tensor) };
  };
  const [before, after] = await through(fn, { x: float(3) }, removeDead);
  expect(ops(before)).toEqual(['Exp', 'Log', 'Sin']);
  expect(ops(after)).toEqual(['Sin']);
});

describe('simplify', () => {
  test('takes out sums with zeros and products with ones', async () => {
    const fn: TensorFunction = ({ x }) => {
      const y = tf.sub(tf.add(0, tf.mul(x as Tensor, tf.ones([2, 3]))), tf.zeros([1, 3]));
      return { y: tf.sin(tf.div(y, 1)) };
    };
    const [before, after] = await through(fn, { x: float(2, 3) }, simplify);
    expect(ops(before)).toEqual(['Mul', 'Add', 'Sub', 'Div', 'Sin']);
    expect(ops(after)).toEqual(['Sin']);
  });

  test('keeps the shape that a sum with zeros spreads to, and does not take 0 - x or 1 / x for x', async () => {
    const fn: TensorFunction = ({ x }) => ({
      wide: tf.add(x as Tensor, tf.zeros([2, 3])),
      negative: tf.sub(0, x as Tensor),
      inverse: tf.div(1, x as Tensor),
    });
    const [, after] = await through(fn, { x: float(3) }, simplify);
    expect(ops(after)).toEqual(['Expand', 'Sub', 'Div']);
  });

  test('a constant of one number is not spelled out', async () => {
    const fn: TensorFunction = ({ x }) => ({ y: tf.mul(tf.fill([40, 50], 3), x as Tensor) });
    const [, after] = await through(fn, { x: float(40, 50) }, simplify);
    expect(after.nodes.flatMap(({ inputs }) => inputs.map(({ shape }) => shape))).toEqual([[], [40, 50]]);
  });
});

test('merge-equal does the same operation on the same values once', async () => {
  const fn: TensorFunction = ({ x, z }) => {
    const leaky = (alpha: number): Tensor => tf.leakyRelu(x as Tensor, alpha);
    return {
      same: tf.add(tf.exp(x as Tensor), tf.mul(tf.exp(x as Tensor), tf.exp(z as Tensor))),
      different: tf.add(leaky(0.1), leaky(0.2)),
    };
  };
  const [before, after] = await through(fn, { x: float(3), z: float(3) }, mergeEqual);
  expect(ops(before)).toEqual(['Exp', 'Exp', 'Exp', 'Mul', 'Add', 'LeakyRelu', 'LeakyRelu', 'Add']);
  expect(ops(after)).toEqual(['Exp', 'Exp', 'Mul', 'Add', 'LeakyRelu', 'LeakyRelu', 'Add']);
});

const around = (x: Tensor, value = 0): Tensor4D =>
  tf.pad(
    x as Tensor4D,
    [
      [0, 0],
      [1, 2],
      [1, 1],
      [0, 0],
    ],
    value,
  );

describe('merge-padding', () => {
  const image = { x: float(2, 5, 6, 3), w: float(3, 3, 3, 4) };

  test('zeros around an image become the padding of its convolution, in the gradients too', async () => {
    const loss = (x: Tensor, w: Tensor): Tensor =>
      tf.sum(tf.square(tf.conv2d(around(x), w as Tensor4D, 2, 'valid')));
    const fn: TensorFunction = ({ x, w }) => {
      const [dx, dw] = tf.grads(loss)([x as Tensor, w as Tensor]) as [Tensor, Tensor];
      return { dx, dw };
    };
    const [before, after] = await through(fn, image, (graph) => removeDead(mergePadding(removeDead(graph))));
    expect([times(before, 'Pad'), times(before, 'Slice')]).toEqual([1, 1]);
    expect([times(after, 'Pad'), times(after, 'Slice')]).toEqual([0, 0]);
    const convolutions = after.nodes.filter(({ domain }) => domain === 'mesocast');
    expect(convolutions.map(({ op, attributes }) => [op, attributes['pads']])).toEqual(
      ['Conv', 'ConvFilterGradient', 'ConvInputGradient'].map((op) => [op, [1, 1, 2, 1]]),
    );
  });

  test('other padding stays', async () => {
    const fn: TensorFunction = ({ x, w }) => ({
      y: tf.conv2d(around(x as Tensor, 1), w as Tensor4D, 1, 'valid'),
    });
    const [, after] = await through(fn, image, mergePadding);
    expect(ops(after)).toEqual(['Pad', 'Conv']);
  });
});

describe('merge-bias', () => {
  const given = { x: float(2, 5, 6, 3), w: float(3, 3, 3, 4), bias: float(4), row: float(6, 4) };
  const conv = (x: Tensor, w: Tensor): Tensor4D => tf.conv2d(x as Tensor4D, w as Tensor4D, 1, 'same');

  test('what is added to each channel becomes the bias of the convolution', async () => {
    const fn: TensorFunction = ({ x, w, bias }) => ({
      first: tf.add(conv(x as Tensor, w as Tensor), bias as Tensor),
      second: tf.add(tf.reshape(bias as Tensor, [1, 1, 4]), conv(tf.neg(x as Tensor), w as Tensor)),
    });
    const [before, after] = await through(fn, given, mergeBias);
    expect(ops(before)).toEqual(['Conv', 'Add', 'Reshape', 'Neg', 'Conv', 'Add']);
    expect(ops(after)).toEqual(['Conv', 'Reshape', 'Neg', 'Conv']);
  });

  test('other sums stay, and sums with what is used elsewhere too', async () => {
    const fn: TensorFunction = ({ x, w, bias, row }) => {
      const y = conv(x as Tensor, w as Tensor);
      return { y, sum: tf.add(y, bias as Tensor), rows: tf.add(conv(tf.neg(y), w as Tensor), row as Tensor) };
    };
    const [before, after] = await through(
      fn,
      { ...given, x: float(2, 5, 6, 4), w: float(3, 3, 4, 4) },
      mergeBias,
    );
    expect(ops(after)).toEqual(ops(before));
  });
});

describe('merge-filter-gradients', () => {
  const STEPS = 4;
  /** One filter at every step of a recurrence. */
  const unrolled = (x: Tensor, w: Tensor): Tensor => {
    let h = x as Tensor4D;
    for (let t = 0; t < STEPS; t++) h = tf.tanh(tf.conv2d(h, w as Tensor4D, 1, 'same'));
    return h;
  };
  const inputs = { x: float(2, 4, 5, 3), w: float(3, 3, 3, 3) };

  test('the gradients of one filter at all steps become one', async () => {
    const fn: TensorFunction = ({ x, w }) => ({
      dw: tf.grads(unrolled)([x as Tensor, w as Tensor])[1] as Tensor,
    });
    const [before, after] = await through(fn, inputs, (graph) => mergeFilterGradients(removeDead(graph)));
    expect(times(before, 'ConvFilterGradient')).toBe(STEPS);
    expect(times(after, 'ConvFilterGradient')).toBe(1);
    const merged = after.nodes.find(({ op }) => op === 'ConvFilterGradient') as Node;
    expect(merged.inputs.map(({ shape }) => shape[0])).toEqual([2 * STEPS, 2 * STEPS]);
  });

  test('small batches are laid end to end, large ones add up: of any sizes', async () => {
    const fn: TensorFunction = ({ small, same, large, w }) => {
      const squares = (filter: Tensor): Tensor =>
        tf.addN(
          [small, same, large].map((image) =>
            tf.sum(tf.square(tf.conv2d(image as Tensor4D, filter as Tensor4D, 1, 'same'))),
          ),
        );
      return { dw: tf.grad(squares)(w as Tensor) };
    };
    const images = { small: float(1, 64, 64, 3), same: float(1, 64, 64, 3), large: float(128, 64, 64, 3) };
    const [, after] = await through(fn, { ...images, w: float(3, 3, 3, 3) }, (graph) =>
      mergeFilterGradients(removeDead(graph)),
    );
    const merged = after.nodes.find(({ op }) => op === 'ConvFilterGradient') as Node;
    expect(merged.inputs.map(({ shape }) => shape[0]).sort()).toEqual([128, 128, 2, 2]);
  });

  test('of the bias beside it, one sum is left over the sum of all values of one shape', async () => {
    const fn: TensorFunction = ({ x, z, w, bias }) => {
      const layer = (image: Tensor, filter: Tensor, b: Tensor): Tensor =>
        tf.tanh(tf.add(tf.conv2d(image as Tensor4D, filter as Tensor4D, 1, 'same'), b));
      const squares = (filter: Tensor, b: Tensor): Tensor =>
        tf.addN(
          [x, z].map((image) => {
            const twice = layer(layer(image as Tensor, filter, b), filter, b);
            return tf.sum(tf.square(layer(twice, filter, b)));
          }),
        );
      const [dw, db] = tf.grads(squares)([w as Tensor, bias as Tensor]) as [Tensor, Tensor];
      return { dw, db };
    };
    const specs = { ...inputs, z: float(5, 4, 5, 3), bias: float(3) };
    const [before, after] = await through(fn, specs, (graph) =>
      removeDead(mergeFilterGradients(removeDead(graph))),
    );
    const sums = (graph: Graph): (number | undefined)[] =>
      graph.nodes
        .filter(({ op, outputs }) => op === 'ReduceSum' && outputs[0]?.shape.length === 1)
        .map((node) => node.inputs[0]?.shape[0]);
    expect(sums(before).sort()).toEqual([2, 2, 2, 5, 5, 5]);
    expect(sums(after).sort()).toEqual([2, 5]);
  });

  test('sums of what no filter takes stay where they are', async () => {
    const fn: TensorFunction = ({ x }) => ({
      y: tf.add(tf.sum(tf.exp(x as Tensor), 0), tf.sum(tf.sin(x as Tensor), 0)),
    });
    const [before, after] = await through(fn, { x: float(4, 3) }, mergeFilterGradients);
    expect(ops(after)).toEqual(ops(before));
  });

  test('a gradient that is also used by itself stays', async () => {
    const fn: TensorFunction = ({ x, w }) => {
      const gradient = (image: Tensor): Tensor =>
        tf.grad((filter: Tensor) =>
          tf.sum(tf.square(tf.conv2d(image as Tensor4D, filter as Tensor4D, 1, 'same'))),
        )(w as Tensor);
      const [once, other] = [gradient(x as Tensor), gradient(tf.neg(tf.exp(x as Tensor)))];
      return { once, sum: tf.add(once, other) };
    };
    const [before, after] = await through(fn, inputs, (graph) => mergeFilterGradients(removeDead(graph)));
    expect(times(after, 'ConvFilterGradient')).toBe(times(before, 'ConvFilterGradient'));
  });
});

test('of the products that a filter gradient adds up, each sum so far is written after the operands', () => {
  const fn: TensorFunction = ({ x, z, w }) => {
    const squares = (filter: Tensor): Tensor =>
      tf.addN(
        [x, z].map((image) => tf.sum(tf.square(tf.conv2d(image as Tensor4D, filter as Tensor4D, 1, 'same')))),
      );
    return { dw: tf.grad(squares)(w as Tensor) };
  };
  const images = { x: float(128, 64, 64, 3), z: float(128, 64, 64, 3) };
  const { nodes } = lowerConvolutions(
    mergeFilterGradients(removeDead(trace(fn, { ...images, w: float(3, 3, 3, 3) }))),
  );
  const written = (value: Value | undefined): number =>
    nodes.findIndex(({ outputs }) => outputs.includes(value as Value));
  const [, second, ...more] = nodes.filter(({ op }) => op === 'Gemm');
  expect(more).toEqual([]);
  const [views, rows, sum] = (second?.inputs ?? []).map(written) as [number, number, number];
  expect(sum).toBeGreaterThan(Math.max(views, rows));
});

/** Nodes that need `from` and are needed for `to`. */
const between = ({ nodes }: Graph, from: Node, to: Node): Node[] => {
  const after = new Set<Value>(from.outputs);
  for (const node of nodes)
    if (node.inputs.some((v) => after.has(v))) node.outputs.forEach((v) => after.add(v));
  const before = new Set<Value>(to.inputs);
  for (const node of [...nodes].reverse()) {
    if (node.outputs.some((v) => before.has(v))) node.inputs.forEach((v) => before.add(v));
  }
  const through_ = (values: readonly Value[]): boolean => values.some((v) => after.has(v) && before.has(v));
  return nodes.filter((node) => node !== from && node !== to && through_(node.outputs));
};

describe('sink-transposes', () => {
  const sink: Pass = (graph) => sinkTransposes(mergeEqual(lowerConvolutions(removeDead(graph))));

  test('no transpose is left between two convolutions, whatever stands there', async () => {
    const fn: TensorFunction = ({ x, w1, w2, bias }) => {
      const h = tf.add<Tensor4D>(tf.conv2d(x as Tensor4D, w1 as Tensor4D, 1, 'same'), bias as Tensor);
      const [a, b] = tf.split(tf.leakyRelu(h, 0.2), 2, 3) as [Tensor4D, Tensor4D];
      const mixed = tf.concat([tf.mul(tf.sigmoid(a), b), tf.slice(h, [0, 0, 0, 1], [2, 4, 5, 2])], 3);
      const scaled = tf.sub(mixed, tf.mean(mixed, [1, 2], true));
      return { y: tf.conv2d(around(scaled), w2 as Tensor4D, 1, 'valid') };
    };
    const inputs = { x: float(2, 4, 5, 3), w1: float(3, 3, 3, 4), w2: float(3, 3, 4, 2), bias: float(4) };
    const before = lowerConvolutions(trace(fn, inputs));
    const after = sink(trace(fn, inputs));
    await expectSame(before, after);
    const path = (graph: Graph): string[] => {
      const [first, second] = graph.nodes.filter(({ op }) => op === 'Conv') as [Node, Node];
      return between(graph, first, second).map(({ op }) => op);
    };
    expect(path(before).filter((op) => op === 'Transpose')).toHaveLength(2);
    expect(path(after).sort()).toEqual(
      ['Add', 'LeakyRelu', 'Split', 'Sigmoid', 'Mul', 'Slice', 'Concat', 'ReduceMean', 'Sub', 'Pad'].sort(),
    );
  });

  test('results leave in the order that the function states', async () => {
    const fn: TensorFunction = ({ x, w }) => {
      const y = tf.relu(tf.conv2d(x as Tensor4D, w as Tensor4D, 1, 'same'));
      return { y, columns: tf.sum(y, [1]), flat: tf.reshape(y, [2, -1]), last: tf.argMax(y, 3) };
    };
    const before = lowerConvolutions(trace(fn, { x: float(2, 4, 5, 3), w: float(3, 3, 3, 4) }));
    await expectSame(before, sinkTransposes(before));
  });
});

test('collapse-transposes turns as few axes as move, and none where only axes of length 1 do', async () => {
  const fn: TensorFunction = ({ x, thin }) => ({
    first: tf.transpose(x as Tensor, [0, 3, 1, 2]),
    thin: tf.transpose(thin as Tensor, [0, 3, 1, 2]),
    all: tf.transpose(x as Tensor, [3, 1, 0, 2]),
    filter: tf.transpose(x as Tensor, [3, 2, 0, 1]),
  });
  const [before, after] = await through(
    fn,
    { x: float(2, 4, 5, 3), thin: float(2, 4, 5, 1) },
    collapseTransposes,
  );
  expect(times(before, 'Transpose')).toBe(4);
  const turns = after.nodes.filter(({ op }) => op === 'Transpose');
  expect(turns.map(({ attributes }) => attributes['perm'])).toEqual([
    [0, 2, 1],
    [3, 1, 0, 2],
    ...[
      [1, 0],
      [0, 2, 1],
    ], // [2 4, 5, 3] turned about, one axis at a time
  ]);
});
