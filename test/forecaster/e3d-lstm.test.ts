import { afterAll, expect, test } from '@jest/globals';
import { readFileSync } from 'node:fs';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor4D } from '@tensorflow/tfjs-core';
import { convolveWindow, recall } from '../../plugins/predictors/e3d-lstm.js';
import { openEngine } from '../../src/engine/index.js';
import type { HostTensor } from '../../src/engine/types.js';
import type { Boundary } from '../../src/forecaster/network.js';
import { readSafetensors, type Weight } from '../../src/forecaster/safetensors.js';
import { createPlugin } from '../../src/pipeline/plugins/registry.js';
import { randomTensor, relativeError, runOnce } from '../support/engine-compare.js';

const engine = await openEngine('cpu', 1);
afterAll(() => engine.dispose());

// What golden/e3d_lstm.py made.
const [STEPS, N, H, W, INPUTS, C, LAYERS, HISTORY] = [4, 2, 5, 6, 2, 3, 2, 2];
const { tensors } = readSafetensors(readFileSync('test/forecaster/golden/e3d-lstm.safetensors'));
const options = { layers: LAYERS, hidden: C, kernel: 3, history: HISTORY };
const predictor = await createPlugin('predictor', 'e3d_lstm', options, undefined);

/** PyTorch's kernels [O, I, T, H, W] to [T, H, W, I, O]; those of one pixel lose T; vectors as they are. */
const fromTorch = ({ shape, data }: Weight): HostTensor => {
  if (shape.length === 1) return { shape, dtype: 'float32', data };
  const [o = 1, i = 1, ...sides] = shape;
  const places = data.length / (o * i);
  const out = new Float32Array(data.length);
  data.forEach((value, at) => {
    const [place, ci, co] = [at % places, Math.floor(at / places) % i, Math.floor(at / (places * i))];
    out[(place * i + ci) * o + co] = value;
  });
  return { shape: [...(places === 1 ? sides.slice(1) : sides), i, o], dtype: 'float32', data: out };
};
const given = (name: string): Weight => tensors[name] as Weight;
const weights = Object.fromEntries(
  Object.keys(tensors)
    .filter((name) => name.startsWith('weight.'))
    .map((name) => [name.slice('weight.'.length), fromTorch(given(name))]),
);
const host = (shape: readonly number[], data: Float32Array): HostTensor => ({
  shape,
  dtype: 'float32',
  data,
});
const stepOf = ({ data }: Weight, t: number, shape: readonly number[]): HostTensor => {
  const size = shape.reduce((a, b) => a * b, 1);
  return host(shape, data.slice(t * size, (t + 1) * size));
};

/** The golden clip, compiled for a boundary: latents and global memories of all its steps, with some weights changed. */
const compiled = async (boundary: Boundary) => {
  const steps = ({ clip, ...params }: Record<string, Tensor>): Record<string, Tensor> => {
    let state = predictor
      .stateShapes(N, H, W, INPUTS)
      .map((shape) => tf.zeros<tf.Rank.R4>([...shape] as never));
    const outputs: Record<string, Tensor> = {};
    for (let t = 0; t < STEPS; t++) {
      const one = tf.slice(clip as Tensor, [t, 0, 0, 0, 0], [1, N, H, W, INPUTS]);
      const now = tf.reshape<tf.Rank.R4>(one, [N, H, W, INPUTS]);
      const stepped = predictor.step(params, now, state, { channels: 1, boundary });
      state = [...stepped.state];
      outputs[`output${t}`] = stepped.latent;
      outputs[`memory${t}`] = tf.add(state[2 * LAYERS] as Tensor4D, 0);
    }
    return outputs;
  };
  const { shape, data } = given('clip');
  const inputs: Record<string, HostTensor> = { clip: host(shape, data), ...weights };
  const program = await engine.compile(
    steps,
    Object.fromEntries(Object.entries(inputs).map(([name, { shape, dtype }]) => [name, { shape, dtype }])),
  );
  return async (changed: Record<string, HostTensor> = {}): Promise<Record<string, HostTensor>> => {
    const handles = Object.entries(await program.run({ ...inputs, ...changed }));
    const results = await Promise.all(
      handles.map(async ([name, handle]) => [name, await engine.read(handle)] as const),
    );
    handles.forEach(([, handle]) => handle.release());
    return Object.fromEntries(results);
  };
};
/** The largest relative error of any step against PyTorch. */
const errorOf = (
  results: Record<string, HostTensor>,
  boundary: Boundary,
  what: 'output' | 'memory',
): number =>
  Math.max(
    ...Array.from({ length: STEPS }, (_, t) =>
      relativeError(
        results[`${what}${t}`] as HostTensor,
        stepOf(given(`${boundary}.${what}`), t, [N, H, W, 2 * C]),
      ),
    ),
  );

test.each<Boundary>(['zero', 'periodic'])(
  'four steps equal those of PyTorch, boundary %s',
  async (boundary) => {
    const results = await (await compiled(boundary))();
    expect(errorOf(results, boundary, 'output')).toBeLessThan(1e-5);
    expect(errorOf(results, boundary, 'memory')).toBeLessThan(1e-5);
  },
);

test('every weight counts: with any one changed the result is another', async () => {
  expect(Object.keys(weights).sort()).toEqual(
    Object.keys(predictor.params({ channels: 1, boundary: 'zero' }, INPUTS)).sort(),
  );
  const run = await compiled('zero');
  for (const [name, weight] of Object.entries(weights)) {
    const turned = host(weight.shape, Float32Array.from(weight.data as Float32Array).reverse());
    expect([name, errorOf(await run({ [name]: turned }), 'zero', 'output') > 1e-3]).toEqual([name, true]);
  }
});

test('the global memory lives: it is handed up through the layers and on to the next step', async () => {
  const net = { channels: 1, boundary: 'zero' } as const;
  const shapes = predictor.stateShapes(1, H, W, INPUTS);
  const state = shapes.map((shape, k) => randomTensor(shape, k));
  const at = 2 * LAYERS;
  const step = async (memory: HostTensor): Promise<Record<string, HostTensor>> =>
    runOnce(
      engine,
      ({ latent, ...inputs }) => {
        const stepped = predictor.step(
          inputs,
          latent as Tensor4D,
          shapes.map((_, k) => inputs[`state${k}`] as Tensor4D),
          net,
        );
        return {
          latent: stepped.latent,
          memory: stepped.state[at] as Tensor4D,
          first: stepped.state[0] as Tensor4D,
        };
      },
      {
        latent: randomTensor([1, H, W, INPUTS], 20),
        ...weights,
        ...Object.fromEntries(state.map((tensor, k) => [`state${k}`, k === at ? memory : tensor])),
      },
    );
  const given = state[at] as HostTensor;
  const zeros = host(given.shape, new Float32Array(given.data.length));
  const [alive, dead] = [await step(given), await step(zeros)];
  // The published code returns the memory that it was given.
  expect(relativeError(alive['memory'] as HostTensor, given)).toBeGreaterThan(0.1);
  // What comes from a step before reaches the lowest layer, the highest, and the next step.
  for (const name of ['first', 'latent', 'memory'])
    expect(relativeError(alive[name] as HostTensor, dead[name] as HostTensor)).toBeGreaterThan(1e-2);
});

const softmax = (scores: readonly number[]): number[] => {
  const most = Math.max(...scores);
  const powers = scores.map((score) => Math.exp(score - most));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
};

test('each pixel recalls for itself, by products over channels, from pixels of all earlier cells', async () => {
  const [n, h, w, c, times] = [1, 2, 3, 2, 3];
  const pixels = h * w;
  const inputs = {
    gate: randomTensor([2 * n, h, w, c], 1, 2),
    past: randomTensor([n, h, w, times * 2 * c], 2, 2),
    written: host([n, 1, 1, times], Float32Array.of(0, 1, 1)),
  };
  const { recalled } = await runOnce(
    engine,
    ({ gate, past, written }) => ({
      recalled: recall(gate as Tensor4D, past as Tensor4D, written as Tensor4D),
    }),
    inputs,
  );
  const key = (pixel: number, slot: number): number[] =>
    Array.from({ length: c }, (_, k) => inputs.past.data[(pixel * times * 2 + slot) * c + k] ?? NaN);
  // Slots of the first time have not been written: nothing is recalled from there.
  const keys = Array.from({ length: pixels }, (_, p) => [2, 3, 4, 5].map((slot) => key(p, slot))).flat();
  const expected = new Float32Array(2 * pixels * c);
  for (let q = 0; q < 2 * pixels; q++) {
    const query = Array.from({ length: c }, (_, k) => inputs.gate.data[q * c + k] ?? NaN);
    const shares = softmax(
      keys.map((values) => values.reduce((sum, v, k) => sum + v * (query[k] ?? NaN), 0)),
    );
    for (let k = 0; k < c; k++)
      expected[q * c + k] = shares.reduce((sum, share, at) => sum + share * (keys[at]?.[k] ?? NaN), 0);
  }
  expect(relativeError(recalled as HostTensor, host([2, h, w, c], expected))).toBeLessThan(1e-5);
  // A port that has one number for each earlier step answers every pixel with the same mixture; this one does not.
  const first = [...expected.subarray(0, c)];
  expect(Math.abs((expected[c] ?? 0) - (first[0] ?? 0))).toBeGreaterThan(1e-2);
});

test('attention does not mix channels with pixels: exchanged channels of gate and cells are exchanged in the answer', async () => {
  const [h, w, c] = [2, 3, 2];
  const [gate, past] = [randomTensor([2, h, w, c], 3, 2), randomTensor([1, h, w, 2 * c], 4, 2)];
  const exchanged = ({ shape, data }: HostTensor): HostTensor =>
    host(
      shape,
      Float32Array.from(data, (_, k) => data[k % 2 === 0 ? k + 1 : k - 1] ?? NaN),
    );
  const written = host([1, 1, 1, 1], Float32Array.of(1));
  const answer = async (gate: HostTensor, past: HostTensor): Promise<HostTensor> => {
    const { y } = await runOnce(
      engine,
      (inputs) => ({
        y: recall(inputs['gate'] as Tensor4D, inputs['past'] as Tensor4D, inputs['written'] as Tensor4D),
      }),
      { gate, past, written },
    );
    return y as HostTensor;
  };
  const straight = await answer(gate, past);
  expect(relativeError(await answer(exchanged(gate), exchanged(past)), exchanged(straight))).toBeLessThan(
    1e-5,
  );
});

test('large frames are attended to in blocks, with the same answer', async () => {
  // 96 x 96 pixels: 18,432 queries of 18,432 keys are more than fit in a block.
  const [side, c] = [96, 1];
  const gate = host([2, side, side, c], new Float32Array(2 * side * side).fill(0));
  const past = randomTensor([1, side, side, 2 * c], 5);
  const written = host([1, 1, 1, 1], Float32Array.of(1));
  const { y } = await runOnce(
    engine,
    (inputs) => ({
      y: recall(inputs['gate'] as Tensor4D, inputs['past'] as Tensor4D, inputs['written'] as Tensor4D),
    }),
    { gate, past, written },
  );
  // Queries of zero recall the mean.
  const values = past.data as Float32Array;
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  expect(y?.data).toHaveLength(2 * side * side);
  expect(Math.max(...[...(y?.data ?? [])].map((value) => Math.abs(value - mean)))).toBeLessThan(1e-4);
});

test('the window is two frames to the end: the first sees the second, not the other way, and neither is a copy', async () => {
  const kernel = randomTensor([2, 3, 3, 2, 3], 6);
  const bias = randomTensor([3], 7);
  const [before, now] = [randomTensor([1, 4, 5, 2], 8), randomTensor([1, 4, 5, 2], 9)];
  const convolved = async (before: HostTensor, now: HostTensor): Promise<Record<string, HostTensor>> =>
    runOnce(
      engine,
      (inputs) => {
        const x = tf.concat([inputs['before'] as Tensor4D, inputs['now'] as Tensor4D], 0);
        const y = convolveWindow(x, inputs['kernel'] as Tensor, inputs['bias'] as Tensor, 'zero');
        const [first, second] = tf.split(y, 2, 0) as [Tensor4D, Tensor4D];
        return { first, second };
      },
      { before, now, kernel, bias },
    );
  const plain = await convolved(before, now);
  const otherBefore = await convolved(randomTensor([1, 4, 5, 2], 10), now);
  const otherNow = await convolved(before, randomTensor([1, 4, 5, 2], 11));
  expect(otherBefore['second']).toEqual(plain['second']);
  expect(relativeError(otherNow['first'] as HostTensor, plain['first'] as HostTensor)).toBeGreaterThan(0.1);
  expect(relativeError(plain['second'] as HostTensor, plain['first'] as HostTensor)).toBeGreaterThan(0.1);
});

test('weights do not fix a size', () => {
  const net = { channels: 1, boundary: 'periodic' } as const;
  const sizes = Object.values(predictor.params(net, INPUTS)).flatMap(({ shape }) => [...shape]);
  // Kernels, channels and gates alone: nothing of H or W.
  expect([...new Set(sizes)].sort((a, b) => a - b)).toEqual([1, 2, 3, 6, 12, 21]);
  expect(predictor.stateShapes(1, 7, 9, INPUTS).slice(0, 2)).toEqual([
    [1, 7, 9, 2 * C],
    [1, 7, 9, HISTORY * 2 * C],
  ]);
});
