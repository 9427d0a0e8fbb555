import * as tf from '@tensorflow/tfjs-core';
import { z } from 'zod';
import { biasSpec, convolve, filterSpec, weight } from '../../src/forecaster/layers.js';
import { definePredictor } from '../../src/pipeline/plugins/plugin.js';

/**
 * Stacked convolutional LSTMs (Shi et al., NeurIPS 2015, eq. 3, without peepholes): per layer, with * a convolution,
 *   i, f, o = sigmoid(W * [X, H] + b)    g = tanh(W * [X, H] + b)    C' = f C + i g    H' = o tanh(C')
 * One convolution makes the four gates, in the order i, f, o, g.
 */
export const convLstm = definePredictor({
  name: 'conv_lstm',
  summary: 'stacked convolutional LSTMs (Shi et al. 2015)',
  options: z.strictObject({
    layers: z.number().int().positive().default(2).describe('recurrent layers on top of each other'),
    hidden: z.number().int().positive().default(64).describe('channels of each layer'),
    kernel: z
      .union([z.literal(1), z.literal(3), z.literal(5), z.literal(7)])
      .default(3)
      .describe('side of the convolution kernels'),
  }),
  create: ({ layers, hidden, kernel }) => {
    const inputsOf = (layer: number, latentChannels: number): number =>
      layer === 0 ? latentChannels : hidden;
    return {
      latentChannels: hidden,
      params: (_, latentChannels) =>
        Object.fromEntries(
          Array.from({ length: layers }, (_layer, l) => [
            [`layer${l}.weight`, filterSpec(kernel, inputsOf(l, latentChannels) + hidden, 4 * hidden, 0.5)],
            // The forget gate starts open (Jozefowicz et al. 2015), so that gradients reach far back from the first step.
            [`layer${l}.bias`, biasSpec(4 * hidden)],
            [`layer${l}.forget`, biasSpec(hidden, 1)],
          ]).flat() as [string, ReturnType<typeof biasSpec>][],
        ),
      stateShapes: (n, h, w) => Array.from({ length: 2 * layers }, () => [n, h, w, hidden]),
      step: (params, latent, state, { boundary }) => {
        let x = latent; // [N, h, w, latentChannels]
        const next: tf.Tensor4D[] = [];
        for (let l = 0; l < layers; l++) {
          const [h, c] = [state[2 * l], state[2 * l + 1]] as [tf.Tensor4D, tf.Tensor4D]; // [N, h, w, hidden]
          const joined = tf.concat<tf.Tensor4D>([x, h], 3);
          const forget = weight(params, `layer${l}.forget`);
          const bias = tf.add(
            weight(params, `layer${l}.bias`),
            tf.concat([tf.zerosLike(forget), forget, tf.zeros([2 * hidden])]),
          );
          const gates = convolve(joined, weight(params, `layer${l}.weight`), bias, boundary);
          const [open, g] = tf.split(gates, [3 * hidden, hidden], 3) as [tf.Tensor4D, tf.Tensor4D];
          const [i, f, o] = tf.split(tf.sigmoid(open), 3, 3) as [tf.Tensor4D, tf.Tensor4D, tf.Tensor4D];
          const cell = tf.add<tf.Tensor4D>(tf.mul(f, c), tf.mul(i, tf.tanh(g)));
          x = tf.mul(o, tf.tanh(cell));
          next.push(x, cell);
        }
        return { latent: x, state: next }; // latent [N, h, w, hidden]
      },
    };
  },
});
