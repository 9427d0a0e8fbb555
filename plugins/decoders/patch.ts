import { z } from 'zod';
import { biasSpec, channelsToPixels, convolve, filterSpec, weight } from '../../src/forecaster/layers.js';
import {
  checkOutput,
  nextFrame,
  outputChannels,
  outputOptions,
  outputParams,
} from '../../src/forecaster/outputs.js';
import { defineDecoder } from '../../src/pipeline/plugins/plugin.js';

/**
 * One convolution from the latent to a block of pixels for each latent pixel, as the head of E3D-LSTM (Wang et al., ICLR
 * 2019): the change that is added to the last frame, so an untrained network is persistence. Blocks are as large as the
 * encoder's stride.
 */
export const patch = defineDecoder({
  name: 'patch',
  summary: 'one convolution from each latent pixel to its block of pixels, the change over the last frame',
  options: z.strictObject({
    kernel: z
      .union([z.literal(1), z.literal(3)])
      .default(1)
      .describe('side of the convolution kernel, in latent pixels'),
    ...outputOptions,
  }),
  create: ({ kernel, ...output }) => {
    checkOutput(output);
    return {
      params: ({ channels }, { stride, latentChannels }) => {
        const outputs = stride ** 2 * outputChannels(channels, output);
        return {
          'frame.weight': filterSpec(kernel, latentChannels, outputs, 0.02),
          'frame.bias': biasSpec(outputs),
          ...outputParams(channels, output),
        };
      },
      decode: (params, latent, _skips, frame, previous, { boundary }) => {
        const blocks = convolve(
          latent,
          weight(params, 'frame.weight'),
          weight(params, 'frame.bias'),
          boundary,
        ); // [N, H/p, W/p, p p C or 2C]
        const pixels = channelsToPixels(blocks, frame.shape[1] / latent.shape[1]); // [N, H, W, C or 2C]
        return nextFrame(pixels, frame, previous, boundary, output, params);
      },
    };
  },
});
