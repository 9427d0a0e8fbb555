import * as tf from '@tensorflow/tfjs-core';
import { ACTIVATIONS } from './activations.js';
import { at, at4, at5, cases, type Case, type Draw } from './case.js';

type Explicit = [[number, number], [number, number], [number, number], [number, number]];

/** Any filter, stride and padding: also more zeros around the image than the filter reaches. */
const separate = (d: Draw, { dilated = false } = {}) => {
  const [kh, kw] = [d.whole(1, 4), d.whole(1, 4)];
  const dilation: [number, number] = dilated ? [d.whole(1, 2), d.whole(1, 3)] : [1, 1];
  const stride: [number, number] = dilated ? [1, 1] : [d.whole(1, 3), d.whole(1, 3)];
  const [h, w] = [dilation[0] * (kh - 1) + d.whole(1, 6), dilation[1] * (kw - 1) + d.whole(1, 6)];
  const explicit: Explicit = [
    [0, 0],
    [d.whole(0, 3), d.whole(0, 3)],
    [d.whole(0, 3), d.whole(0, 3)],
    [0, 0],
  ];
  const c = d.whole(1, 4);
  const pad = d.pick<'valid' | 'same' | Explicit>('valid', 'same', explicit);
  return { shape: [d.whole(1, 2), h, w, c], filter: [kh, kw, c, d.whole(1, 3)], stride, dilation, pad };
};

const plain =
  (dilated: boolean): Case['draw'] =>
  (d) => {
    const { shape, filter, stride, dilation, pad } = separate(d, { dilated });
    const rounding = typeof pad === 'string' ? undefined : 'floor';
    return {
      inputs: { x: d.floats(shape), w: d.floats(filter) },
      fn: (t) => tf.depthwiseConv2d(at4(t, 'x'), at4(t, 'w'), stride, pad, 'NHWC', dilation, rounding),
      ...(dilated ? { gradients: [] } : {}),
    };
  };

export const depthwise = cases({
  DepthwiseConv2dNative: plain(false),
  'DepthwiseConv2dNativeBackpropInput in the gradient': plain(false),
  'DepthwiseConv2dNativeBackpropFilter in the gradient': plain(false),
  'DepthwiseConv2dNative dilated': plain(true),
  'DepthwiseConv2dNative in a separable convolution': (d) => {
    const stride = d.pick(1, 2);
    return {
      inputs: { x: d.floats([2, 5, 6, 3]), w: d.floats([3, 3, 3, 2]), p: d.floats([1, 1, 6, 4]) },
      fn: (t) => tf.separableConv2d(at4(t, 'x'), at4(t, 'w'), at4(t, 'p'), stride, 'same'),
    };
  },
  FusedDepthwiseConv2D: (d) => {
    const { shape, filter, stride, pad } = separate(d);
    // The types say less than tfjs does: borders of each side's own are taken.
    const borders = pad as 'same';
    const activation = d.pick(...ACTIVATIONS);
    const channels = (filter[2] as number) * (filter[3] as number);
    return {
      inputs: {
        ...{ x: d.floats(shape), filter: d.floats(filter), bias: d.floats([channels]) },
        slope: d.floats([1, 1, channels], 0.1, 0.4),
      },
      fn: (t) =>
        tf.fused.depthwiseConv2d({
          ...{ x: at4(t, 'x'), filter: at4(t, 'filter'), bias: at(t, 'bias') },
          ...{ strides: stride, pad: borders, activation, leakyreluAlpha: 0.3 },
          ...(typeof pad === 'string' ? {} : { dimRoundingMode: 'floor' as const }),
          ...(activation === 'prelu' ? { preluActivationWeights: at(t, 'slope') } : {}),
        }),
      gradients: ['x', 'filter', 'bias'],
    };
  },
});

type Triple = [number, number, number];
const volume =
  (dilated: boolean): Case['draw'] =>
  (d) => {
    const size = d.shape(3, 3) as Triple;
    const dilation: Triple = dilated ? [d.whole(1, 2), d.whole(1, 2), d.whole(1, 3)] : [1, 1, 1];
    // tfjs's geometry in three dimensions is not TensorFlow's where a stride is larger than the filter.
    const stride = size.map((k) => (dilated ? 1 : d.whole(1, k))) as Triple;
    const lengths = size.map((k, i) => (dilation[i] as number) * (k - 1) + d.whole(1, 4));
    const [ci, co] = [d.whole(1, 3), d.whole(1, 3)];
    const pad = d.pick<'valid' | 'same'>('valid', 'same');
    return {
      inputs: { x: d.floats([d.whole(1, 2), ...lengths, ci]), w: d.floats([...size, ci, co]) },
      fn: (t) => tf.conv3d(at5(t, 'x'), at5(t, 'w'), stride, pad, 'NDHWC', dilation),
      ...(dilated ? { gradients: [] } : {}),
    };
  };

export const volumes = cases({
  Conv3D: volume(false),
  'Conv3DBackpropInputV2 in the gradient': volume(false),
  'Conv3DBackpropFilterV2 in the gradient': volume(false),
  'Conv3D dilated': volume(true),
  'Conv3DBackpropInputV2 as a transposed convolution': (d) => {
    const [k, pad] = [d.shape(3, 3), d.pick('valid' as const, 'same' as const)];
    const stride = d.whole(1, Math.min(...k));
    const lengths = d.shape(3, 3);
    const out = lengths.map((n, i) => (pad === 'same' ? n * stride : (n - 1) * stride + (k[i] as number)));
    const shape = [2, ...out, 2] as [number, number, number, number, number];
    return {
      inputs: { x: d.floats([2, ...lengths, 3]), w: d.floats([...k, 2, 3]) },
      fn: (t) => tf.conv3dTranspose(at5(t, 'x'), at5(t, 'w'), shape, stride, pad),
      gradients: [],
    };
  },
  'Conv3DBackpropInputV2 differentiated': (d) => {
    const [k, lengths] = [d.shape(3, 3) as Triple, d.shape(3, 3)];
    const shape = [2, ...lengths.map((n, i) => n + (k[i] as number) - 1), 2];
    const around = [1, ...k, 1].map((n) => [n - 1, n - 1] as [number, number]);
    return {
      inputs: { x: d.floats([2, ...lengths, 3]), w: d.floats([...k, 2, 3]) },
      fn: (t) =>
        tf.conv3dTranspose(
          at5(t, 'x'),
          at5(t, 'w'),
          shape as Parameters<typeof tf.conv3dTranspose>[2],
          1,
          'valid',
        ),
      // tfjs itself has no gradient of it: the padded image, seen through the filter turned around.
      oracle: (t) => {
        const turned = tf.transpose(tf.reverse(at5(t, 'w'), [0, 1, 2]), [0, 1, 2, 4, 3]);
        return tf.conv3d(tf.pad(at5(t, 'x'), around), turned, 1, 'valid');
      },
    };
  },
});
