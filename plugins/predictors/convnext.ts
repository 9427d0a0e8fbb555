import * as tf from '@tensorflow/tfjs-core';
import { z } from 'zod';
import {
  biasSpec,
  convolve,
  convolveEach,
  filterSpec,
  gelu,
  normaliseChannels,
  weight,
} from '../../src/forecaster/layers.js';
import type { ParamSpec } from '../../src/forecaster/network.js';
import { definePredictor } from '../../src/pipeline/plugins/plugin.js';

/** Widening of the inverted bottleneck. */
const WIDER = 4;
/** Where the factor on each block's contribution starts. */
const LAYER_SCALE = 0.1;

/**
 * Isotropic ConvNeXt (Liu et al., CVPR 2022, section 3.3), what the laboratory of the four systems moved to (arXiv
 * 2511.03884: depth 7, 64 channels, kernel 3, periodic padding). Every block adds, at one resolution and width,
 *   x + s . W2 gelu(W1 LN(D * x))
 * with D a convolution of each channel with itself, LN over the channels of each pixel (so any size runs), W1 and W2
 * from `channels` to 4 `channels` and back, s a factor for each channel.
 *
 * With `memory` > 0 it is recurrent: that many channels h go in beside the latent, and come out as
 *   h' = h + sigmoid(Wz x) (tanh(Wh x) - h)
 * from the last x, a gated unit (Cho et al. 2014) whose candidate is the whole network.
 */
export const convnext = definePredictor({
  name: 'convnext',
  summary: 'isotropic ConvNeXt (Liu et al. 2022), optionally with a recurrent latent state',
  options: z.strictObject({
    depth: z.number().int().positive().default(7).describe('blocks'),
    channels: z.number().int().positive().default(64).describe('width of the network'),
    kernel: z
      .union([z.literal(3), z.literal(5), z.literal(7)])
      .default(3)
      .describe('side of the kernels that see the neighbourhood'),
    memory: z
      .number()
      .int()
      .nonnegative()
      .default(0)
      .describe('channels of a recurrent state; 0: the last frame and its velocity are all it stands on'),
  }),
  create: ({ depth, channels, kernel, memory }) => ({
    latentChannels: channels,
    params: (_, latentChannels) => {
      const specs: Record<string, ParamSpec> = {
        'in.weight': filterSpec(1, latentChannels + memory, channels),
        'in.bias': biasSpec(channels),
        'out.gain': biasSpec(channels, 1),
        'out.shift': biasSpec(channels),
      };
      for (let b = 0; b < depth; b++) {
        specs[`block${b}.near.weight`] = { shape: [kernel, kernel, channels], std: 1 / kernel };
        specs[`block${b}.near.bias`] = biasSpec(channels);
        specs[`block${b}.gain`] = biasSpec(channels, 1);
        specs[`block${b}.shift`] = biasSpec(channels);
        specs[`block${b}.wide.weight`] = filterSpec(1, channels, WIDER * channels, 0.7);
        specs[`block${b}.wide.bias`] = biasSpec(WIDER * channels);
        specs[`block${b}.narrow.weight`] = filterSpec(1, WIDER * channels, channels);
        specs[`block${b}.narrow.bias`] = biasSpec(channels);
        specs[`block${b}.scale`] = biasSpec(channels, LAYER_SCALE);
      }
      if (memory > 0) {
        specs['memory.weight'] = filterSpec(1, channels, 2 * memory, 0.5);
        specs['memory.bias'] = biasSpec(2 * memory);
      }
      return specs;
    },
    stateShapes: (n, h, w) => (memory === 0 ? [] : [[n, h, w, memory]]),
    step: (params, latent, [h], { boundary }) => {
      const at = (name: string): tf.Tensor => weight(params, name);
      const layer = (x: tf.Tensor4D, name: string): tf.Tensor4D =>
        convolve(x, at(`${name}.weight`), at(`${name}.bias`), boundary);
      const norm = (x: tf.Tensor4D, name: string): tf.Tensor4D =>
        normaliseChannels(x, at(`${name}.gain`), at(`${name}.shift`));

      const joined = h === undefined ? latent : tf.concat<tf.Tensor4D>([latent, h], 3);
      let x = layer(joined, 'in'); // [N, h, w, channels], as every x below
      for (let b = 0; b < depth; b++) {
        const near = convolveEach(x, at(`block${b}.near.weight`), at(`block${b}.near.bias`), boundary);
        const wide = gelu(layer(norm(near, `block${b}`), `block${b}.wide`)); // [N, h, w, 4 channels]
        x = tf.add(x, tf.mul(layer(wide, `block${b}.narrow`), at(`block${b}.scale`)));
      }
      const out = norm(x, 'out');
      if (h === undefined) return { latent: out, state: [] };
      const [gate, candidate] = tf.split(layer(out, 'memory'), 2, 3) as [tf.Tensor4D, tf.Tensor4D];
      const step = tf.mul(tf.sigmoid(gate), tf.sub(tf.tanh(candidate), h));
      return { latent: out, state: [tf.add<tf.Tensor4D>(h, step)] };
    },
  }),
});
