import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor4D } from '@tensorflow/tfjs-core';
import { callOnnxModel } from '../../../src/engine/onnx/call.js';
import { readOnnxModel } from '../../../src/engine/onnx/model.js';
import { cases } from './case.js';

/** Adds the first channel of an enlarged latent to the frame where its sum is positive, else its negative: by an If. */
const decider = await readOnnxModel('test/forecaster/golden/onnx-stages/control-flow.onnx');

/** .onnx files as operations; they have no gradient. */
export const models = cases({
  OnnxModel: (draw) => {
    const [n, h, w] = [draw.whole(1, 3), draw.whole(1, 4), draw.whole(1, 4)];
    return {
      inputs: { latent: draw.floats([n, 3, h, w]), frame: draw.floats([n, 1, 2 * h, 2 * w]) },
      gradients: [],
      // Twice: the second use has names of its own.
      fn: ({ latent, frame }) => {
        const call = (x: Tensor): Tensor =>
          callOnnxModel(decider, [latent as Tensor, x], [[n, 1, 2 * h, 2 * w]])[0] as Tensor;
        return call(call(tf.neg(frame as Tensor)));
      },
      oracle: ({ latent, frame }) => {
        const channel = tf.transpose(tf.slice(latent as Tensor4D, [0, 0, 0, 0], [n, 1, h, w]), [0, 2, 3, 1]);
        const large = tf.transpose(tf.image.resizeNearestNeighbor(channel, [2 * h, 2 * w]), [0, 3, 1, 2]);
        const change = tf.where(tf.greater(tf.sum(large), 0), large, tf.neg(large));
        return tf.add(tf.neg(frame as Tensor), tf.mul(change, 2));
      },
    };
  },
});
