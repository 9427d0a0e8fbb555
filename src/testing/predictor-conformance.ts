import assert from 'node:assert/strict';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor4D } from '@tensorflow/tfjs-core';
import type { Engine, HostTensor, Named, TensorFunction } from '../engine/types.js';
import type { NetworkShape, Predictor } from '../forecaster/network.js';
import { normalNumbers, uniformNumbers } from '../pipeline/random.js';
import type { ConformanceCase } from './conformance.js';
import { runOnce } from './run-once.js';

type Shape4 = [n: number, h: number, w: number, c: number];

/** Steps that a predictor is taken through. */
const STEPS = 3;
const CLOSE = 1e-4;

/**
 * What every predictor owes to those who put it between an encoder and a decoder. `latentChannels` are those of the
 * encoder's latents. Runs on the CPU.
 */
export const predictorConformance = (
  predictor: Predictor,
  { latentChannels = 4, channels = 1 }: { readonly latentChannels?: number; readonly channels?: number } = {},
): ConformanceCase[] => {
  const net: NetworkShape = { channels, boundary: 'periodic' };
  const weights = weightsOf(predictor, net, latentChannels);
  const names = Object.keys(weights);

  /** The predictor's steps from a state of zeros, and what it ends with. */
  const walk = (params: Named<Tensor>, latents: readonly Tensor4D[]): Named<Tensor> => {
    const [n, h, w] = (latents[0] as Tensor4D).shape;
    let state = predictor
      .stateShapes(n, h, w, latentChannels)
      .map((shape) => tf.zeros(shape as Shape4)) as Tensor4D[];
    let latent = latents[0] as Tensor4D;
    for (const seen of latents) {
      const stepped = predictor.step(params, seen, state, net);
      latent = stepped.latent;
      state = [...stepped.state];
    }
    return Object.fromEntries([['latent', latent], ...state.map((part, i) => [`state ${i}`, part] as const)]);
  };
  const steps: TensorFunction = (inputs) => walk(inputs, latentsOf(inputs));
  const end = async (engine: Engine, latents: Named<HostTensor>): Promise<Named<HostTensor>> =>
    runOnce(engine, steps, { ...weights, ...latents });

  return [
    {
      name: 'latents and state have the shapes that it says, at any height and width',
      run: () =>
        withEngine(async (engine) => {
          for (const [n, h, w] of [
            [1, 8, 8],
            [2, 6, 10],
          ] as const) {
            const found = await end(engine, latentsAtRandom([n, h, w, latentChannels]));
            const states = predictor.stateShapes(n, h, w, latentChannels);
            const expected = [[n, h, w, predictor.latentChannels], ...states].map((shape) => [...shape]);
            assert.deepEqual(
              Object.values(found).map(({ shape }) => [...shape]),
              expected,
            );
            for (const [name, { data }] of Object.entries(found))
              assert.ok(data.every(Number.isFinite), `${name} has values that are no numbers`);
          }
        }),
    },
    {
      name: 'compiled it computes what TensorFlow.js does',
      run: () =>
        withEngine(async (engine) => {
          const { eagerEngine } = await import('../engine/eager.js');
          const reference = await eagerEngine('cpu', 'reference');
          const latents = latentsAtRandom([1, 6, 8, latentChannels]);
          const expected = await end(reference, latents);
          await reference.dispose();
          const found = await end(engine, latents);
          for (const [name, values] of Object.entries(found)) close(values, expected[name], name);
        }),
    },
    {
      name: 'a series is forecast alike, whichever others are beside it',
      run: () =>
        withEngine(async (engine) => {
          const [a, b] = [1, 2].map((seed) => latentsAtRandom([1, 6, 6, latentChannels], seed));
          const both = await end(engine, eachOf(a, b, beside));
          const [first, second] = [await end(engine, a ?? {}), await end(engine, b ?? {})];
          close(both['latent'], beside(first['latent'], second['latent']), 'latent');
        }),
    },
    {
      name: 'where edges are periodic, what is moved is forecast as moved: it knows no place in the frame',
      run: () =>
        withEngine(async (engine) => {
          const latents = latentsAtRandom([1, 6, 8, latentChannels]);
          const moved = Object.fromEntries(
            Object.entries(latents).map(([name, all]) => [name, shifted(all)]),
          );
          const still = await end(engine, latents);
          close((await end(engine, moved))['latent'], shifted(still['latent']), 'latent');
        }),
    },
    {
      name: 'every weight has a gradient, and each is finite',
      run: () =>
        withEngine(async (engine) => {
          if (names.length === 0) return;
          const gradients = await runOnce(
            engine,
            (inputs) => {
              const used = new Set<string>();
              const loss = (...values: Tensor[]): tf.Scalar => {
                const params = Object.fromEntries(names.map((name, i) => [name, values[i] as Tensor]));
                const get = (all: typeof params, name: string): Tensor | undefined => {
                  used.add(name);
                  return all[name];
                };
                const found = Object.values(walk(new Proxy(params, { get }), latentsOf(inputs)));
                const idle = names.filter((name) => !used.has(name));
                assert.ok(idle.length === 0, `${idle.join(', ')} is never used`);
                return tf.addN(found.map((values) => tf.mean<tf.Scalar>(tf.square(values))));
              };
              const { grads } = tf.valueAndGrads(loss)(names.map((name) => inputs[name] as Tensor));
              return Object.fromEntries(names.map((name, i) => [name, grads[i] as Tensor]));
            },
            { ...weights, ...latentsAtRandom([1, 6, 8, latentChannels]) },
          );
          for (const name of names) {
            const data = [...(gradients[name]?.data ?? [])];
            assert.ok(data.every(Number.isFinite), `${name} has gradients that are no numbers`);
            assert.ok(
              data.some((value) => value !== 0),
              `${name} has no gradient: nothing depends on it`,
            );
          }
        }),
    },
  ];
};

const latentName = (step: number): string => `latent at step ${step}`;
const latentsOf = (inputs: Named<Tensor>): Tensor4D[] =>
  Array.from({ length: STEPS }, (_, step) => inputs[latentName(step)] as Tensor4D);

/** Weights drawn as the trainer would, but none of them silent. */
const weightsOf = (predictor: Predictor, net: NetworkShape, latentChannels: number): Named<HostTensor> => {
  const normal = normalNumbers(uniformNumbers(1));
  return Object.fromEntries(
    Object.entries(predictor.params(net, latentChannels)).map(([name, { shape, std, constant = 0 }]) => [
      name,
      tensor(shape, () => constant + (std === 0 ? 0.1 : std) * normal()),
    ]),
  );
};

const latentsAtRandom = (shape: Shape4, seed = 1): Named<HostTensor> => {
  const normal = normalNumbers(uniformNumbers(seed));
  return Object.fromEntries(
    Array.from({ length: STEPS }, (_, step) => [latentName(step), tensor(shape, () => 0.5 * normal())]),
  );
};

const tensor = (shape: readonly number[], value: () => number): HostTensor => ({
  shape,
  dtype: 'float32',
  data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, value),
});

const eachOf = (
  a: Named<HostTensor> = {},
  b: Named<HostTensor> = {},
  join: (a?: HostTensor, b?: HostTensor) => HostTensor,
): Named<HostTensor> => Object.fromEntries(Object.keys(a).map((name) => [name, join(a[name], b[name])]));

/** Two batches as one. */
const beside = (a?: HostTensor, b?: HostTensor): HostTensor => ({
  shape: [2, ...(a?.shape.slice(1) ?? [])],
  dtype: 'float32',
  data: Float32Array.from([...(a?.data ?? []), ...(b?.data ?? [])]),
});

/** Moved by two rows and three columns, around the edges. */
const shifted = (all?: HostTensor): HostTensor => {
  const [, h, w, c] = (all?.shape ?? [1, 1, 1, 1]) as Shape4;
  const data = Float32Array.from({ length: h * w * c }, (_, k) => {
    const [y, x] = [Math.floor(k / (w * c)), Math.floor(k / c) % w];
    return all?.data[(((y + 2) % h) * w + ((x + 3) % w)) * c + (k % c)] ?? NaN;
  });
  return { shape: [1, h, w, c], dtype: 'float32', data };
};

const close = (found: HostTensor | undefined, expected: HostTensor | undefined, what: string): void => {
  const [a, b] = [found?.data ?? [], expected?.data ?? []];
  const size = Math.max(1e-3, ...b.map(Math.abs));
  const worst = Math.max(...b.map((value, i) => Math.abs(value - (a[i] ?? NaN))));
  assert.ok(a.length === b.length && worst <= CLOSE * size, `${what} is off by ${worst}`);
};

const withEngine = async (use: (engine: Engine) => Promise<void>): Promise<void> => {
  const { openEngine } = await import('../engine/index.js');
  const engine = await openEngine('cpu', 1);
  try {
    await use(engine);
  } finally {
    await engine.dispose();
  }
};
