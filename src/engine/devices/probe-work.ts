import * as tf from '@tensorflow/tfjs-core';
import type { Tensor4D } from '@tensorflow/tfjs-core';
import type { HostTensor, TensorFunction } from '../types.js';

const [SIZE, CHANNELS, LEADS] = [64, 64, 5];
/** What the work is called where its time is shown. */
export const PROBE_WORK = `a roll-out of ${LEADS} leads at ${SIZE} x ${SIZE}`;

/** Reproducible, without symmetries, of about the spread that keeps values near 1 through the layers. */
const filter = (height: number, input: number, output: number, seed: number): Tensor4D => {
  const shape: [number, number, number, number] = [height, height, input, output];
  const scale = Math.sqrt(2 / (height * height * input));
  const data = Float32Array.from(
    { length: height * height * input * output },
    (_, k) => scale * Math.sin((k + 1) * (12.9898 + seed) + 0.37 * (k % 7)),
  );
  return tf.tensor4d(data, shape);
};

const frameShape = [1, SIZE, SIZE, 1] as const;
export const probeInputs: Readonly<Record<string, HostTensor>> = {
  frame: {
    shape: frameShape,
    dtype: 'float32',
    data: Float32Array.from({ length: SIZE * SIZE }, (_, k) => Math.sin(k % SIZE) * Math.cos(k / SIZE / 9)),
  },
};

/** What forecasting is made of, small: a strided convolution, a ConvLSTM that steps on, an enlargement and a convolution. */
export const probeWork: TensorFunction = ({ frame }) => {
  const latent = SIZE / 2;
  const [enter, gate, leave] = [
    filter(3, 1, CHANNELS, 1),
    filter(3, 2 * CHANNELS, 4 * CHANNELS, 2),
    filter(3, CHANNELS, 1, 3),
  ];
  let z = tf.leakyRelu(tf.conv2d(frame as Tensor4D, enter, 2, 'same'));
  let [h, c] = [tf.zerosLike(z), tf.zerosLike(z)];
  const frames = Array.from({ length: LEADS }, () => {
    const [i, f, o, g] = tf.split(tf.conv2d(tf.concat([z, h], 3), gate, 1, 'same'), 4, 3) as [
      Tensor4D,
      Tensor4D,
      Tensor4D,
      Tensor4D,
    ];
    c = tf.add(tf.mul(tf.sigmoid(f), c), tf.mul(tf.sigmoid(i), tf.tanh(g)));
    h = tf.mul(tf.sigmoid(o), tf.tanh(c));
    z = h;
    return tf.conv2d(tf.image.resizeNearestNeighbor(h, [2 * latent, 2 * latent]), leave, 1, 'same');
  });
  return { frames: tf.stack(frames, 1) };
};
