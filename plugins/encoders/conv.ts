import * as tf from '@tensorflow/tfjs-core';
import { z } from 'zod';
import { activate, biasSpec, convolve, filterSpec, weight } from '../../src/forecaster/layers.js';
import { defineEncoder } from '../../src/pipeline/plugins/plugin.js';

/**
 * Two strided 3x3 convolutions from the frame and its velocity to a latent at a quarter of the resolution.
 * The velocity is the change since the previous frame, scaled so that slow motion is seen at all.
 */
export const conv = defineEncoder({
  name: 'conv',
  summary: 'strided convolutions of the frame and its velocity, to a quarter of the resolution',
  options: z.strictObject({
    width: z.number().int().positive().default(32).describe('channels at half resolution'),
    latent: z.number().int().positive().default(64).describe('channels of the latent'),
    velocityScale: z.number().positive().default(4).describe('factor on the change since the previous frame'),
  }),
  create: ({ width, latent, velocityScale }) => ({
    stride: 4,
    latentChannels: () => latent,
    skips: [{ channels: width, stride: 2 }],
    params: ({ channels }) => ({
      'half.weight': filterSpec(3, 2 * channels, width),
      'half.bias': biasSpec(width),
      'quarter.weight': filterSpec(3, width, latent),
      'quarter.bias': biasSpec(latent),
    }),
    encode: (params, frame, previous, { boundary }) => {
      const velocity = tf.mul<tf.Tensor4D>(tf.sub(frame, previous), velocityScale);
      const x = tf.concat<tf.Tensor4D>([frame, velocity], 3); // [N, H, W, 2C]
      const half = activate(
        convolve(x, weight(params, 'half.weight'), weight(params, 'half.bias'), boundary, 2),
      ); // [N, H/2, W/2, width]
      const quarter = activate(
        convolve(half, weight(params, 'quarter.weight'), weight(params, 'quarter.bias'), boundary, 2),
      ); // [N, H/4, W/4, latent]
      return { latent: quarter, skips: [half] };
    },
  }),
});
