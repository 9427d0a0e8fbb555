import * as tf from '@tensorflow/tfjs-core';
import { z } from 'zod';
import { biasSpec, convolve, filterSpec, silu, weight } from '../../src/forecaster/layers.js';
import type { ParamSpec } from '../../src/forecaster/network.js';
import { definePredictor } from '../../src/pipeline/plugins/plugin.js';

/**
 * An isotropic residual network (He et al. 2016, pre-activation, without normalisation): every block adds
 *   x + W2 * a(W1 * a(x)),   a(x) = x sigmoid(x)
 * at one resolution and width; a is smooth, as the equations that it stands in for are. Without `lags` it has no memory: the
 * latent of the frame and its velocity is all it stands on, as in Lan 2025 (arXiv 2511.10171), where a minimal one is enough
 * for phase-field models. `lags` names earlier latents that it sees beside the last (Takens 1981, a delay embedding): what one
 * frame and its velocity leave open, such as the frequencies of waves, shows in them. The second convolution of a block starts small, in place of a normalisation (Zhang et al. 2019, Fixup).
 */
export const resnet = definePredictor({
  name: 'resnet',
  summary: 'isotropic residual network on the last frames (He et al. 2016; Lan 2025)',
  options: z.strictObject({
    blocks: z.number().int().positive().default(3).describe('residual blocks, of two convolutions each'),
    channels: z.number().int().positive().default(48).describe('width of the network'),
    kernel: z
      .union([z.literal(3), z.literal(5), z.literal(7)])
      .default(3)
      .describe('side of the convolution kernels'),
    lags: z
      .array(z.number().int().positive())
      .default([])
      .describe('steps back whose latents are seen too, such as [3, 6, 9]; the context should be longer'),
  }),
  create: ({ blocks, channels, kernel, lags }) => ({
    latentChannels: channels,
    params: (_, latentChannels) => {
      const specs: Record<string, ParamSpec> = {
        'in.weight': filterSpec(kernel, (1 + lags.length) * latentChannels, channels),
        'in.bias': biasSpec(channels),
      };
      for (let b = 0; b < blocks; b++) {
        specs[`block${b}.first.weight`] = filterSpec(kernel, channels, channels);
        specs[`block${b}.first.bias`] = biasSpec(channels);
        specs[`block${b}.second.weight`] = filterSpec(kernel, channels, channels, 0.2);
        specs[`block${b}.second.bias`] = biasSpec(channels);
      }
      return specs;
    },
    // The latents of the steps before, newest first; zeros before the series begins.
    stateShapes: (n, h, w, latentChannels) =>
      Array.from({ length: Math.max(0, ...lags) }, () => [n, h, w, latentChannels]),
    step: (params, latent, state, { boundary }) => {
      const layer = (x: tf.Tensor4D, name: string): tf.Tensor4D =>
        convolve(x, weight(params, `${name}.weight`), weight(params, `${name}.bias`), boundary);
      const earlier = state;
      const seen = [latent, ...lags.map((lag) => earlier[lag - 1] as tf.Tensor4D)];
      let x = layer(tf.concat<tf.Tensor4D>(seen, 3), 'in'); // [N, h, w, channels], as every x below
      for (let b = 0; b < blocks; b++) {
        const inner = layer(silu(x), `block${b}.first`);
        x = tf.add(x, layer(silu(inner), `block${b}.second`));
      }
      return { latent: silu(x), state: [latent, ...earlier].slice(0, earlier.length) };
    },
  }),
});
