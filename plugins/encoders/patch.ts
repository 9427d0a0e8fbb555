import * as tf from '@tensorflow/tfjs-core';
import { z } from 'zod';
import {
  biasSpec,
  convolve,
  filterSpec,
  logOdds,
  pixelsToChannels,
  weight,
} from '../../src/forecaster/layers.js';
import type { NetworkShape } from '../../src/forecaster/network.js';
import { defineEncoder } from '../../src/pipeline/plugins/plugin.js';

/**
 * Blocks of p x p pixels become the channels of one latent pixel, as in E3D-LSTM (Wang et al., ICLR 2019) and vision
 * transformers: nothing is lost, and with p = 1 the latent has the full resolution. The velocity, the change since the
 * previous frame scaled so that slow motion is seen at all, comes beside the frame. Optionally a linear embedding follows.
 */
export const patch = defineEncoder({
  name: 'patch',
  summary: 'blocks of p x p pixels to channels, without loss; p = 1 for full resolution',
  options: z.strictObject({
    patch: z
      .union([z.literal(1), z.literal(2), z.literal(4), z.literal(8)])
      .default(4)
      .describe('p, frame pixels per latent pixel along each axis'),
    embed: z
      .number()
      .int()
      .nonnegative()
      .default(0)
      .describe('channels of a linear embedding of the blocks; 0: the blocks themselves'),
    velocityScale: z
      .number()
      .nonnegative()
      .default(4)
      .describe('factor on the change since the previous frame; 0: frames alone, as E3D-LSTM has it'),
    space: z
      .enum(['value', 'logit'])
      .default('value')
      .describe(
        'frames as they are, or the log-odds of their values: for fields 0 to 1 with steep fronts; scalars that the network is told stay as they are',
      ),
  }),
  create: ({ patch: p, embed, velocityScale, space }) => {
    const seen = (frame: tf.Tensor4D, { channels, told = 0 }: NetworkShape): tf.Tensor4D => {
      if (space === 'value') return frame;
      if (told === 0) return logOdds(frame);
      const [field, scalars] = tf.split(frame, [channels - told, told], 3) as [tf.Tensor4D, tf.Tensor4D];
      return tf.concat<tf.Tensor4D>([logOdds(field), scalars], 3);
    };
    const inputs = (channels: number): number => p * p * (velocityScale === 0 ? 1 : 2) * channels;
    return {
      stride: p,
      latentChannels: ({ channels }) => (embed === 0 ? inputs(channels) : embed),
      skips: [],
      params: ({ channels }) =>
        embed === 0
          ? {}
          : { 'embed.weight': filterSpec(1, inputs(channels), embed), 'embed.bias': biasSpec(embed) },
      encode: (params, frame, previous, net) => {
        const now = seen(frame, net);
        const velocity = tf.mul<tf.Tensor4D>(tf.sub(now, seen(previous, net)), velocityScale);
        const x = velocityScale === 0 ? now : tf.concat<tf.Tensor4D>([now, velocity], 3); // [N, H, W, C or 2C]
        const blocks = pixelsToChannels(x, p); // [N, H/p, W/p, p p C or 2C]
        if (embed === 0) return { latent: blocks, skips: [] };
        const latent = convolve(
          blocks,
          weight(params, 'embed.weight'),
          weight(params, 'embed.bias'),
          net.boundary,
        );
        return { latent, skips: [] }; // [N, H/p, W/p, embed]
      },
    };
  },
});
