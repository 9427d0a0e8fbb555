import * as tf from '@tensorflow/tfjs-core';
import { z } from 'zod';
import {
  activate,
  biasSpec,
  channelsToPixels,
  convolve,
  enlarge,
  filterSpec,
  weight,
} from '../../src/forecaster/layers.js';
import { defineDecoder } from '../../src/pipeline/plugin.js';

/**
 * Latent, enlarged and joined with the encoder's skip, to the change of the frame: the decoder predicts what is added
 * to the last frame (and, with `base: velocity`, to its last change too), so an untrained network is persistence.
 */
export const conv = defineDecoder({
  name: 'conv',
  summary: 'convolutions of latent and skip to the change over the last frame',
  options: z.strictObject({
    width: z.number().int().positive().default(32).describe('channels at half resolution'),
    base: z
      .enum(['frame', 'velocity'])
      .default('frame')
      .describe('what the change is added to: the last frame, or its linear extrapolation'),
  }),
  create: ({ width, base }) => ({
    params: ({ channels }, { skips, latentChannels }) => ({
      'half.weight': filterSpec(3, latentChannels + (skips[0]?.channels ?? 0), width),
      'half.bias': biasSpec(width),
      'frame.weight': filterSpec(3, width, 4 * channels, 0.02),
      'frame.bias': biasSpec(4 * channels),
    }),
    decode: (params, latent, skips, frame, previous, { boundary }) => {
      const joined = tf.concat<tf.Tensor4D>([enlarge(latent, 2), ...skips], 3); // [N, H/2, W/2, latent + skip]
      const half = activate(
        convolve(joined, weight(params, 'half.weight'), weight(params, 'half.bias'), boundary),
      );
      const blocks = convolve(half, weight(params, 'frame.weight'), weight(params, 'frame.bias'), boundary); // [N, H/2, W/2, 4C]
      const change = channelsToPixels(blocks, 2); // [N, H, W, C]
      const start = base === 'frame' ? frame : tf.sub(tf.mul(frame, 2), previous);
      return tf.add(start, change);
    },
  }),
});
