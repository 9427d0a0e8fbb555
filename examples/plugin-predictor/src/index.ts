import * as tf from '@tensorflow/tfjs-core';
import type { Tensor4D } from '@tensorflow/tfjs-core';
import { definePredictor, z } from 'mesocast';
import { activate, biasSpec, convolve, filterSpec, weight } from 'mesocast/networks';

/** A learned reaction and diffusion: u' = u + W2 a(W1 * u + b), where * sees the 3 x 3 neighbours. */
export const myPredictor = definePredictor({
  name: 'my_predictor',
  summary: 'a learned partial differential equation, stepped explicitly',
  // Defaults, checks and help come from this schema: --set predictor.steps=8.
  options: z.strictObject({
    fields: z.number().int().positive().default(16).describe('fields that evolve together'),
    steps: z.number().int().positive().default(4).describe('small steps for each frame'),
  }),
  create: ({ fields, steps }) => ({
    // Channels of the latents that it hands to the decoder.
    latentChannels: fields,
    // Shape and first values of each weight; the trainer draws them from the seed.
    params: (_net, latentChannels) => ({
      'enter.weight': filterSpec(1, latentChannels, fields),
      'enter.bias': biasSpec(fields),
      'near.weight': filterSpec(3, fields, 2 * fields),
      'near.bias': biasSpec(2 * fields),
      'rate.weight': filterSpec(1, 2 * fields, fields, 0.1),
    }),
    // What is remembered of a series from frame to frame, zeros at first.
    stateShapes: (n, h, w) => [[n, h, w, fields]],
    // A pure function in TensorFlow.js operations: it is traced once and compiled, so it may not look at values.
    step: (params, latent, state, { boundary }) => {
      const at = (name: string) => weight(params, name);
      const [memory] = state as [Tensor4D];
      let u = tf.add<Tensor4D>(memory, convolve(latent, at('enter.weight'), at('enter.bias'), boundary));
      for (let k = 0; k < steps; k++) {
        const near = activate(convolve(u, at('near.weight'), at('near.bias'), boundary));
        u = tf.add<Tensor4D>(u, convolve(near, at('rate.weight'), undefined, boundary));
      }
      return { latent: u, state: [tf.tanh(u)] };
    },
  }),
});
