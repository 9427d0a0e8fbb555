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
import {
  checkOutput,
  nextFrame,
  outputChannels,
  outputOptions,
  outputParams,
} from '../../src/forecaster/outputs.js';
import { defineDecoder } from '../../src/pipeline/plugins/plugin.js';

/**
 * Latent, enlarged and joined with the encoder's skip, to the change of the frame: the decoder predicts what is added
 * to the last frame, so an untrained network is persistence (with `base: velocity` or `damped` to its last change too: linear
 * extrapolation).
 */
export const conv = defineDecoder({
  name: 'conv',
  summary: 'convolutions of latent and skip to the change over the last frame',
  options: z.strictObject({
    width: z.number().int().positive().default(32).describe('channels at half resolution'),
    ...outputOptions,
  }),
  create: ({ width, ...output }) => {
    checkOutput(output);
    return {
      params: ({ channels }, { stride, skips, latentChannels }) => {
        const [skip] = skips;
        if (stride !== 4 || skip?.stride !== 2)
          throw new Error(
            'decoder "conv" needs an encoder of stride 4 with a skip at stride 2, such as "conv"',
          );
        const outputs = 4 * outputChannels(channels, output);
        return {
          'half.weight': filterSpec(3, latentChannels + skip.channels, width),
          'half.bias': biasSpec(width),
          'frame.weight': filterSpec(3, width, outputs, 0.02),
          'frame.bias': biasSpec(outputs),
          ...outputParams(channels, output),
        };
      },
      decode: (params, latent, skips, frame, previous, { boundary }) => {
        const joined = tf.concat<tf.Tensor4D>([enlarge(latent, 2), ...skips], 3); // [N, H/2, W/2, latent + skip]
        const half = activate(
          convolve(joined, weight(params, 'half.weight'), weight(params, 'half.bias'), boundary),
        );
        const blocks = convolve(half, weight(params, 'frame.weight'), weight(params, 'frame.bias'), boundary); // [N, H/2, W/2, 4C or 8C]
        return nextFrame(channelsToPixels(blocks, 2), frame, previous, boundary, output, params);
      },
    };
  },
});
