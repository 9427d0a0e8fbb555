import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor } from '@tensorflow/tfjs-core';
import { eagerEngine, onnxEngine } from '../../src/engine/index.js';
import { kernels } from '../../src/engine/kernels/index.js';
import type { Engine, HostTensor, Named, TensorFunction } from '../../src/engine/types.js';
import { randomTensor, relativeError, runOnce } from '../support/engine-compare.js';
import { samples, type Case, type Drawn } from './cases/case.js';
import { families } from './cases/index.js';

const RUNS = 12;
const SEED = 20260714;
const FORWARD = 1e-5;
const GRADIENT = 1e-4;
/** Factors of the sum that is differentiated; longer than any output. */
const WEIGHTS = 4096;

interface Sample {
  readonly id: string;
  readonly one: Case;
  readonly drawn: Drawn;
  /** tfjs kernels that tracing it recorded. */
  readonly reached: Set<string>;
  readonly failures: string[];
}

let current: Sample | undefined;
for (const [name, rule] of Object.entries(kernels)) {
  kernels[name] = (...call) => {
    current?.reached.add(name);
    return rule(...call);
  };
}

/** Sums outputs with weights that differ from element to element, so that no gradient is right by symmetry. */
const weighted = (outputs: readonly Tensor[], weights: Tensor): Tensor =>
  tf.addN(
    outputs.map((y, k) => tf.sum(tf.mul(y, tf.reshape(tf.slice(weights, [17 * k], [y.size]), y.shape)))),
  );

/** All outputs and gradients of many samples as one function. */
const together =
  (all: readonly Sample[], use: 'fn' | 'oracle'): TensorFunction =>
  ({ weights, ...inputs }) => {
    const results: Record<string, Tensor> = {};
    for (const sample of all) {
      current = sample;
      const { drawn, id } = sample;
      const fn = (use === 'oracle' ? drawn.oracle : undefined) ?? drawn.fn;
      const names = Object.keys(drawn.inputs);
      const mine = Object.fromEntries(names.map((name) => [name, inputs[`${id}.${name}`] as Tensor]));
      const outputs = [fn(mine)].flat();
      outputs.forEach((y, k) => (results[`${id}.y${k}`] = y));
      const wanted = drawn.gradients ?? names.filter((name) => drawn.inputs[name]?.dtype === 'float32');
      if (wanted.length === 0 || outputs.some((y) => y.dtype !== 'float32')) continue;
      const scalar = (...xs: Tensor[]): Tensor => {
        const changed = Object.fromEntries(wanted.map((name, k) => [name, xs[k] as Tensor]));
        return weighted([fn({ ...mine, ...changed })].flat(), weights as Tensor);
      };
      const gradients = tf.grads(scalar)(wanted.map((name) => mine[name] as Tensor));
      wanted.forEach((name, k) => (results[`${id}.d${name}`] = gradients[k] as Tensor));
    }
    current = undefined;
    return results;
  };

const describeInputs = ({ inputs }: Drawn): string =>
  Object.entries(inputs)
    .map(([name, { dtype, shape }]) => `${name} ${dtype}[${shape.join()}]`)
    .join(', ');

const judge = (sample: Sample, name: string, actual: HostTensor | undefined, expected: HostTensor): void => {
  const says = (what: string): void =>
    void sample.failures.push(`${name}: ${what} (${describeInputs(sample.drawn)})`);
  if (actual === undefined) return says('missing');
  const [a, e] = [actual, expected].map(({ dtype, shape }) => `${dtype}[${shape.join()}]`);
  if (a !== e) return says(`is ${a}, should be ${e}`);
  const error = relativeError(actual, expected);
  const bound = name.includes('.y') ? FORWARD : GRADIENT;
  if (!(error <= bound)) says(`relative error ${error}`);
};

const inputsOf = (all: readonly Sample[]): Named<HostTensor> => ({
  weights: randomTensor([WEIGHTS], 5),
  ...Object.fromEntries(
    all.flatMap(({ id, drawn }) => Object.entries(drawn.inputs).map(([name, t]) => [`${id}.${name}`, t])),
  ),
});

/** Compares the engines on all samples at once; one by one if that fails, to name the one that does. */
const compare = async (onnx: Engine, reference: Engine, all: readonly Sample[]): Promise<void> => {
  try {
    const inputs = inputsOf(all);
    const actual = await runOnce(onnx, together(all, 'fn'), inputs);
    const expected = await runOnce(reference, together(all, 'oracle'), inputs);
    for (const sample of all) {
      for (const [name, tensor] of Object.entries(expected)) {
        if (name.startsWith(`${sample.id}.`)) judge(sample, name, actual[name], tensor);
      }
    }
  } catch (error) {
    const [first, second] = all;
    if (second !== undefined) for (const sample of all) await compare(onnx, reference, [sample]);
    else first?.failures.push(`${String(error)} (${describeInputs(first.drawn)})`);
  } finally {
    current = undefined;
  }
};

let onnx: Engine;
let reference: Engine;
beforeAll(async () => {
  onnx = onnxEngine({ provider: 'cpu', threads: 2 });
  reference = await eagerEngine('cpu', 'reference');
});
afterAll(async () => {
  await onnx.dispose();
  await reference.dispose();
});

describe.each(Object.entries(families))('%s', (family, all) => {
  const drawn: Sample[] = all.flatMap((one, i) =>
    samples(one, RUNS, SEED + i).map((each, k) => ({
      id: `${i}_${k}`,
      one,
      drawn: each,
      reached: new Set(),
      failures: [],
    })),
  );
  beforeAll(() => compare(onnx, reference, drawn));

  test.each(all.map((one) => [one.name, one] as const))(`${family}: %s`, (_, one) => {
    const mine = drawn.filter((sample) => sample.one === one);
    expect(mine.flatMap(({ failures }) => failures)).toEqual([]);
    expect([...new Set(mine.flatMap(({ reached }) => [...reached]))]).toContain(one.kernel);
  });
});

test('every kernel that the tracer knows has a case', () => {
  const covered = new Set(Object.values(families).flatMap((all) => all.map(({ kernel }) => kernel)));
  expect(Object.keys(kernels).filter((name) => !covered.has(name))).toEqual([]);
});
