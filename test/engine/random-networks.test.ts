import { expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor4D } from '@tensorflow/tfjs-core';
import * as fc from 'fast-check';
import { eagerEngine, onnxEngine } from '../../src/engine/index.js';
import type { HostTensor, TensorFunction } from '../../src/engine/types.js';
import { randomTensor, relativeError, runOnce } from '../support/engine-compare.js';

/**
 * The passes move transposes, padding and constants through whatever a network is made of. Each program here is a
 * random chain of such operations on an image, with convolutions between, compared with its gradients.
 */
const steps = [
  'conv',
  'strided',
  'act',
  'bias',
  'mix',
  'split',
  'slice',
  'pad',
  'norm',
  'gate',
  'up',
  'pool',
  'turn',
  'flat',
] as const;
interface Step {
  readonly kind: (typeof steps)[number];
  readonly choice: number;
}
const programs = fc.array(fc.record<Step>({ kind: fc.constantFrom(...steps), choice: fc.nat(5) }), {
  minLength: 4,
  maxLength: 10,
});

const ROOM = 4096;

/** Small factors for a tensor of this shape, out of the input `numbers`. */
const numbersFor = (numbers: Tensor, shape: number[], at: number): Tensor => {
  const size = shape.reduce((a, b) => a * b, 1);
  return tf.reshape(tf.slice(numbers, [at % (ROOM - size)], [size]), shape);
};

type Enlarge = (x: Tensor4D, by: [number, number]) => Tensor4D;
const resized: Enlarge = (x, [fy, fx]) =>
  tf.image.resizeNearestNeighbor(x, [fy * x.shape[1], fx * x.shape[2]]);
/** The same by products with ones: tfjs's own gradient of the above is wrong where the factors differ. */
const repeated: Enlarge = (x, [fy, fx]) => {
  const [n, h, w, c] = x.shape;
  const blocks = tf.mul(tf.reshape(x, [n * h, 1, w, 1, c]), tf.ones([1, fy, 1, fx, 1]));
  return tf.reshape(blocks, [n, h * fy, w * fx, c]);
};

const apply = (
  x: Tensor4D,
  { kind, choice }: Step,
  numbers: Tensor,
  at: number,
  enlarge: Enlarge,
): Tensor4D => {
  const [n, h, w, c] = x.shape;
  const weights = (...shape: number[]): Tensor4D => numbersFor(numbers, shape, at) as Tensor4D;
  switch (kind) {
    case 'conv':
      return tf.conv2d(x, weights(3, choice % 2 === 0 ? 3 : 1, c, 1 + choice), 1, 'same');
    case 'strided':
      return tf.conv2d(x, weights(2, 2, c, 3), [1 + (choice % 2), 1], 'same');
    case 'act':
      return [tf.tanh(x), tf.leakyRelu(x), tf.sigmoid(x), tf.softplus(x), tf.elu(x), tf.atan(x)][
        choice
      ] as Tensor4D;
    case 'bias': {
      const shape = [[c], [1, 1, 1, c], [h, 1, 1], [n, 1, 1, c], [w, c], [1, h, w, c]][choice] as number[];
      return tf.add<Tensor4D>(x, weights(...shape));
    }
    case 'mix':
      return tf.concat<Tensor4D>(
        [x, tf.mul<Tensor4D>(x, 0.5), tf.neg(x)].slice(0, 2 + (choice % 2)),
        choice < 4 ? 3 : 2,
      );
    case 'split':
      return choice % 2 === 0 || c < 2 ? x : (tf.split(x, [1, c - 1], 3)[1] as Tensor4D);
    case 'slice':
      return h < 2 || w < 2
        ? x
        : tf.slice(x, [0, choice % 2, 0, 0], [n, h - 1, w - (choice % 3 === 0 ? 1 : 0), c]);
    case 'pad':
      return tf.pad(
        x,
        [
          [0, 0],
          [choice % 2, 1],
          [0, choice % 3],
          [0, 0],
        ],
        choice === 5 ? 0.3 : 0,
      );
    case 'norm': {
      const axes = [[1, 2], [3], [1], [2, 3], [0], [1, 2, 3]][choice] as number[];
      return tf.sub<Tensor4D>(x, tf.mean(x, axes, true));
    }
    case 'gate':
      return tf.where<Tensor4D>(tf.greaterEqual(x, weights(c)), x, tf.mul(x, tf.exp(tf.minimum(x, 1))));
    case 'up':
      return h * w > 60 ? x : enlarge(x, [2, 1 + (choice % 2)]);
    case 'pool':
      return h < 3 || w < 3 ? x : tf.maxPool(x, 2, 1 + (choice % 2), 'valid');
    case 'turn':
      return choice < 3 ? tf.transpose(x, [0, 2, 1, 3]) : tf.reverse(x, [1 + (choice % 3)]);
    case 'flat': {
      const rows = tf.reshape(x, [n * h, w * c]);
      return tf.reshape(tf.sin(tf.add(rows, tf.mean(rows, [1], true))), [n, h, w, c]);
    }
  }
};

const network =
  (program: readonly Step[], enlarge: Enlarge): TensorFunction =>
  ({ x, numbers }) => {
    const result = (image: Tensor, factors: Tensor): Tensor =>
      program.reduce((z, step, k) => apply(z, step, factors, 97 * k, enlarge), image as Tensor4D);
    const loss = (image: Tensor, factors: Tensor): Tensor => {
      const y = tf.mul(result(image, factors), tf.slice(factors, [0], [1])); // every loss depends on both
      return tf.sum(tf.mul(y, tf.sin(tf.reshape(tf.range(0, y.size), y.shape))));
    };
    const inputs = [x as Tensor, numbers as Tensor] as const;
    const [dx, dnumbers] = tf.grads(loss)([...inputs]) as [Tensor, Tensor];
    return { y: result(...inputs), dx, dnumbers };
  };

test('random networks and their gradients are those of tfjs', async () => {
  const [onnx, reference] = [
    onnxEngine({ provider: 'cpu', threads: 2 }),
    await eagerEngine('cpu', 'reference'),
  ];
  const inputs = { x: randomTensor([2, 5, 4, 3], 3), numbers: randomTensor([ROOM], 4, 0.3) };
  const worst = (a: Record<string, HostTensor>, b: Record<string, HostTensor>): number =>
    Math.max(...Object.entries(b).map(([name, expected]) => relativeError(a[name] as HostTensor, expected)));
  try {
    await fc.assert(
      fc.asyncProperty(programs, async (program) => {
        const [a, b] = [
          await runOnce(onnx, network(program, resized), inputs),
          await runOnce(reference, network(program, repeated), inputs),
        ];
        expect(worst(a, b)).toBeLessThan(1e-4);
      }),
      { numRuns: 120, seed: 7 },
    );
  } finally {
    await onnx.dispose();
    await reference.dispose();
  }
});
