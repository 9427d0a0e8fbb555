import { describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor4D } from '@tensorflow/tfjs-core';
import type { Predictor } from '../../src/forecaster/network.js';
import { convolve, filterSpec, weight } from '../../src/forecaster/layers.js';
import { createPlugin } from '../../src/pipeline/plugins/registry.js';
import { predictorConformance } from '../../src/testing/index.js';

const builtIn = [
  ['conv_lstm', { hidden: 4, layers: 1 }],
  ['resnet', { channels: 8, blocks: 1 }],
  ['convnext', { channels: 8, depth: 1, memory: 4 }],
  ['linear_prediction', { order: 2, spacing: 1, channels: 4 }],
] as const;
for (const [name, options] of builtIn)
  describe(name, () => {
    test('is what mesocast/testing wants of a predictor', async () => {
      const predictor = await createPlugin('predictor', name, options, undefined);
      for (const { run } of predictorConformance(predictor)) await run();
    });
  });

/** One convolution of the latent and what is remembered. */
const honest: Predictor = {
  latentChannels: 4,
  params: (_net, channels) => ({ near: filterSpec(3, channels, 4) }),
  stateShapes: (n, h, w) => [[n, h, w, 4]],
  step: (params, latent, [memory], { boundary }) => {
    const next = tf.tanh<Tensor4D>(
      tf.add(convolve(latent, weight(params, 'near'), undefined, boundary), memory as Tensor4D),
    );
    return { latent: next, state: [next] };
  },
};
const changed = (change: (next: Tensor4D) => Tensor4D): Predictor => ({
  ...honest,
  step: (...given) => {
    const { latent, state } = honest.step(...given);
    return { latent: change(latent), state };
  },
});

test.each<[string, Predictor, RegExp]>([
  ['shapes', { ...honest, latentChannels: 5 }, /deep-equal/],
  ['shapes', changed((next) => tf.log<Tensor4D>(tf.mul(next, 0))), /no numbers/],
  ['alike', changed((next) => tf.sub(next, tf.mean(next, 0, true))), /latent is off by/],
  [
    'no place',
    {
      ...honest,
      step: (params, latent, state, net) => honest.step(params, latent, state, { ...net, boundary: 'zero' }),
    },
    /latent is off by/,
  ],
  [
    'gradient',
    { ...honest, params: (net, c) => ({ ...honest.params(net, c), idle: filterSpec(1, c, c) }) },
    /idle/,
  ],
])('a predictor that fails at "%s" is told so', async (what, predictor, message) => {
  const failing = predictorConformance(predictor).find(({ name }) => name.includes(what));
  await expect(failing?.run()).rejects.toThrow(message);
});

test('an honest one passes', async () => {
  for (const { run } of predictorConformance(honest)) await run();
});
