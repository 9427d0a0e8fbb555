import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor4D } from '@tensorflow/tfjs-core';
import { ACTIVATIONS } from './activations.js';
import { at, at3, at4, at5, cases, type Case, type Draw } from './case.js';

const { backend_util } = tf;
type Explicit = [[number, number], [number, number], [number, number], [number, number]];

/** A convolution of random size: fewer and more channels than the lowering's threshold, all ways of padding. */
const convolution = (d: Draw, { dilated = false } = {}) => {
  const [kh, kw] = [d.whole(1, 4), d.whole(1, 4)];
  const dilation: [number, number] = dilated ? [d.whole(1, 2), d.whole(1, 3)] : [1, 1];
  const stride: [number, number] = dilated ? [1, 1] : [d.whole(1, 3), d.whole(1, 3)];
  const [h, w] = [dilation[0] * (kh - 1) + d.whole(1, 6), dilation[1] * (kw - 1) + d.whole(1, 6)];
  const [ci, co] = [d.pick(1, 3, 8, 9), d.pick(1, 2, 5)];
  const explicit: Explicit = [
    [0, 0],
    [d.whole(0, 2), d.whole(0, 2)],
    [d.whole(0, 2), d.whole(0, 2)],
    [0, 0],
  ];
  const pad = d.pick<'valid' | 'same' | Explicit>('valid', 'same', explicit);
  return { shape: [d.whole(1, 2), h, w, ci], filter: [kh, kw, ci, co], stride, dilation, pad };
};
type Convolution = ReturnType<typeof convolution>;

const apply =
  (c: Convolution) =>
  (x: Tensor4D, w: Tensor4D): Tensor4D =>
    tf.conv2d(x, w, c.stride, c.pad, 'NHWC', c.dilation, typeof c.pad === 'string' ? undefined : 'floor');

/** A dilated filter as a plain one, with zeros between its rows and columns. */
const apart = (w: Tensor4D, [dy, dx]: [number, number]): Tensor4D => {
  const [kh, kw, ci, co] = w.shape;
  const [none, rows, columns]: [number, number][] = [
    [0, 0],
    [0, dy - 1],
    [0, dx - 1],
  ];
  const wide = tf.pad(tf.reshape(w, [kh, 1, kw, 1, ci, co]), [none!, rows!, none!, columns!, none!, none!]);
  const whole = tf.reshape<tf.Rank.R4>(wide, [kh * dy, kw * dx, ci, co]);
  return tf.slice4d(whole, [0, 0, 0, 0], [(kh - 1) * dy + 1, (kw - 1) * dx + 1, ci, co]);
};

const plain: Case['draw'] = (d) => {
  const c = convolution(d);
  return {
    inputs: { x: d.floats(c.shape), w: d.floats(c.filter) },
    fn: (t) => apply(c)(at4(t, 'x'), at4(t, 'w')),
  };
};

export const convolutions = cases({
  Conv2D: plain,
  'Conv2DBackpropInput in the gradient': plain,
  'Conv2DBackpropFilter in the gradient': plain,
  'Conv2D dilated': (d) => {
    const c = convolution(d, { dilated: true });
    return {
      inputs: { x: d.floats(c.shape), w: d.floats(c.filter) },
      fn: (t) => apply(c)(at4(t, 'x'), at4(t, 'w')),
      // tfjs itself has no gradient of it.
      oracle: (t) => apply({ ...c, dilation: [1, 1] })(at4(t, 'x'), apart(at4(t, 'w'), c.dilation)),
    };
  },
  'Conv2D channels first': (d) => {
    const c = convolution(d);
    const [n, h, w, ci] = c.shape as [number, number, number, number];
    const pad = typeof c.pad === 'string' ? c.pad : ([c.pad[0], c.pad[3], c.pad[1], c.pad[2]] as Explicit);
    const rounding = typeof pad === 'string' ? undefined : 'floor';
    const first = (x: Tensor4D): Tensor4D => tf.transpose(x, [0, 3, 1, 2]);
    const last = (x: Tensor4D): Tensor4D => tf.transpose(x, [0, 2, 3, 1]);
    return {
      inputs: { x: d.floats([n, ci, h, w]), w: d.floats(c.filter) },
      fn: (t) => tf.conv2d(at4(t, 'x'), at4(t, 'w'), c.stride, pad, 'NCHW', 1, rounding),
      oracle: (t) => first(apply(c)(last(at4(t, 'x')), at4(t, 'w'))),
    };
  },
  'Conv2D in one dimension': (d) => {
    const [k, stride] = [d.whole(1, 4), d.whole(1, 2)];
    return {
      inputs: { x: d.floats([2, k + d.whole(1, 6), 3]), w: d.floats([k, 3, 4]) },
      fn: (t) => tf.conv1d(at3(t, 'x'), at3(t, 'w'), stride, 'same'),
    };
  },
  'Conv2DBackpropInput as a transposed convolution': (d) => {
    const [k, stride, pad] = [d.whole(1, 4), d.whole(1, 3), d.pick('valid' as const, 'same' as const)];
    const [h, w] = [d.whole(1, 5), d.whole(1, 5)];
    const out = (n: number): number => (pad === 'same' ? n * stride : (n - 1) * stride + k);
    const shape: [number, number, number, number] = [2, out(h), out(w), d.pick(2, 9)];
    return {
      inputs: { x: d.floats([2, h, w, 3]), w: d.floats([k, k, shape[3], 3]) },
      fn: (t) => tf.conv2dTranspose(at4(t, 'x'), at4(t, 'w'), shape, stride, pad),
    };
  },
});

const pool2 = (d: Draw) => {
  const filter: [number, number] = [d.whole(1, 3), d.whole(1, 3)];
  const stride: [number, number] = [d.whole(1, 3), d.whole(1, 3)];
  const [h, w] = [filter[0] + d.whole(0, 5), filter[1] + d.whole(0, 5)];
  const pad = d.pick<'valid' | 'same'>('valid', 'same');
  return { shape: [2, h, w, d.whole(1, 3)] as [number, number, number, number], filter, stride, pad };
};
const pool3 = (d: Draw) => {
  const filter = d.shape(3, 3) as [number, number, number];
  const stride = d.shape(3, 2) as [number, number, number];
  const size = filter.map((k) => k + d.whole(0, 3)) as [number, number, number];
  const pad = d.pick<'valid' | 'same'>('valid', 'same');
  return { shape: [1, ...size, 2] as [number, number, number, number, number], filter, stride, pad };
};

/** Averages of what is there: those of the padded image over those of padded ones, as its gradient knows no padding. */
const averages = <T extends Tensor>(x: T, pads: [number, number][], average: (x: T) => T): Tensor =>
  tf.div(average(tf.pad(x, pads)), average(tf.pad(tf.onesLike(x), pads)));

const average2: Case['draw'] = (d) => {
  const { shape, filter, stride, pad } = pool2(d);
  const { padInfo: p } = backend_util.computePool2DInfo(shape, filter, stride, 1, pad);
  return {
    inputs: { x: d.floats(shape) },
    fn: (t) => tf.avgPool(at4(t, 'x'), filter, stride, pad),
    oracle: (t) =>
      averages(
        at4(t, 'x'),
        [
          [0, 0],
          [p.top, p.bottom],
          [p.left, p.right],
          [0, 0],
        ],
        (x) => tf.avgPool(x, filter, stride, 'valid'),
      ),
  };
};
const average3: Case['draw'] = (d) => {
  const { shape, filter, stride, pad } = pool3(d);
  const { padInfo: p } = backend_util.computePool3DInfo(shape, filter, stride, 1, pad);
  // tfjs takes a window that the stride leaves out for a negative pad.
  const pads = [
    [0, 0],
    [p.front, p.back],
    [p.top, p.bottom],
    [p.left, p.right],
    [0, 0],
  ].map((side) => side.map((n) => Math.max(0, n)) as [number, number]);
  return {
    inputs: { x: d.floats(shape) },
    fn: (t) => tf.avgPool3d(at5(t, 'x'), filter, stride, pad),
    oracle: (t) => averages(at5(t, 'x'), pads, (x) => tf.avgPool3d(x, filter, stride, 'valid')),
  };
};
const maximum2: Case['draw'] = (d) => {
  const { shape, filter, stride, pad } = pool2(d);
  return { inputs: { x: d.floats(shape) }, fn: (t) => tf.maxPool(at4(t, 'x'), filter, stride, pad) };
};
const maximum3: Case['draw'] = (d) => {
  const { shape, filter, stride, pad } = pool3(d);
  return {
    inputs: { x: d.floats(shape) },
    fn: (t) => tf.maxPool3d(at5(t, 'x'), filter, stride, pad),
    // Rows and columns of each plane, then planes: tfjs's own gradient is wrong for windows that are not square.
    oracle: (t) => {
      const [n, depth, h, w, c] = shape;
      const planes = tf.maxPool(
        tf.reshape<tf.Rank.R4>(at(t, 'x'), [n * depth, h, w, c]),
        [filter[1], filter[2]],
        [stride[1], stride[2]],
        pad,
      );
      const [, ho, wo] = planes.shape;
      const columns = tf.reshape<tf.Rank.R4>(planes, [n, depth, ho * wo, c]);
      const y = tf.maxPool(columns, [filter[0], 1], [stride[0], 1], pad);
      return tf.reshape(y, [n, y.shape[1], ho, wo, c]);
    },
  };
};

export const pooling = cases({
  MaxPool: maximum2,
  'MaxPoolGrad in the gradient': maximum2,
  'MaxPoolGrad with ties': (d) => ({
    inputs: { x: d.among([2, 5, 6, 2], [0, 0, 0, 1, 2]) },
    fn: (t) => tf.maxPool(at4(t, 'x'), 3, 2, 'same'),
  }),
  'MaxPool padded by a number': (d) => ({
    inputs: { x: d.floats([1, 5, 6, 2]) },
    fn: (t) => tf.maxPool(at4(t, 'x'), 3, 2, 1, 'floor'),
  }),
  MaxPool3D: maximum3,
  'MaxPool3DGrad in the gradient': maximum3,
  AvgPool: average2,
  'AvgPoolGrad in the gradient': average2,
  AvgPool3D: average3,
  'AvgPool3DGrad in the gradient': average3,
  'AvgPool of dilated windows': (d) => ({
    inputs: { x: d.floats([2, 7, 6, 2]) },
    fn: (t) => tf.pool(at4(t, 'x'), [2, 2], 'avg', 'valid', [2, 1]),
  }),
});

const sizes = (d: Draw): { shape: number[]; size: [number, number] } => {
  const shape = [2, d.whole(1, 5), d.whole(1, 5), 2];
  return { shape, size: [d.whole(1, 9), d.whole(1, 9)] };
};
const whole = (d: Draw): { shape: number[]; size: [number, number] } => {
  const shape = [2, d.whole(1, 4), d.whole(1, 4), 2];
  return { shape, size: [(shape[1] as number) * d.whole(1, 3), (shape[2] as number) * d.whole(1, 3)] };
};

/** Rows and columns mixed by explicit weights: what a resize does, in operations whose gradients are beyond doubt. */
const mixed = (
  x: Tensor4D,
  size: [number, number],
  weights: (from: number, to: number) => number[][],
): Tensor => {
  const [n, h, w, c] = x.shape;
  const rows = tf.matMul(
    tf.tensor2d(weights(h, size[0])),
    tf.reshape(tf.transpose(x, [1, 0, 2, 3]), [h, n * w * c]),
  );
  const tall = tf.transpose(tf.reshape(rows, [size[0], n, w, c]), [2, 1, 0, 3]);
  const columns = tf.matMul(tf.tensor2d(weights(w, size[1])), tf.reshape(tall, [w, n * size[0] * c]));
  return tf.transpose(tf.reshape(columns, [size[1], n, size[0], c]), [1, 2, 0, 3]);
};
/** Where pixel i of the result lies in the source, from pixel 0 at 0. */
type Place = (i: number, from: number, to: number) => number;
const corner: Place = (i, from, to) => (i * from) / to;
const corners: Place = (i, from, to) => (to > 1 ? (i * (from - 1)) / (to - 1) : 0);
const centres: Place = (i, from, to) => ((i + 0.5) * from) / to - 0.5;

/** Linear interpolation, clamped at the border. */
const between =
  (place: Place) =>
  (from: number, to: number): number[][] =>
    Array.from({ length: to }, (_, i) => {
      const position = Math.min(from - 1, Math.max(0, place(i, from, to)));
      return Array.from({ length: from }, (_v, pixel) => Math.max(0, 1 - Math.abs(pixel - position)));
    });
const taken =
  (choose: Place) =>
  (from: number, to: number): number[][] =>
    Array.from({ length: to }, (_, i) =>
      Array.from({ length: from }, (_v, pixel) => (pixel === choose(i, from, to) ? 1 : 0)),
    );

/** tfjs's own gradients of resizes confuse height and width, or never end (corners aligned, one pixel). */
const bilinear =
  (place: Place, alignCorners: boolean, halfPixelCenters: boolean): Case['draw'] =>
  (d) => {
    const { shape, size } = d.yes() ? sizes(d) : whole(d);
    return {
      inputs: { x: d.floats(shape) },
      fn: (t) => tf.image.resizeBilinear(at4(t, 'x'), size, alignCorners, halfPixelCenters),
      oracle: (t) => mixed(at4(t, 'x'), size, between(place)),
    };
  };
const nearest =
  (choose: Place, alignCorners: boolean, halfPixelCenters: boolean): Case['draw'] =>
  (d) => {
    const { shape, size } = d.yes() ? sizes(d) : whole(d);
    return {
      inputs: { x: d.floats(shape) },
      fn: (t) => tf.image.resizeNearestNeighbor(at4(t, 'x'), size, alignCorners, halfPixelCenters),
      oracle: (t) => mixed(at4(t, 'x'), size, taken(choose)),
    };
  };
type Resize = (
  x: Tensor4D,
  size: [number, number],
  alignCorners: boolean,
  halfPixelCenters: boolean,
) => Tensor;
const asTfjs =
  (resize: Resize): Case['draw'] =>
  (d) => {
    const { shape, size } = sizes(d);
    const [alignCorners, halfPixelCenters] = d.pick<[boolean, boolean]>(
      [false, false],
      [true, false],
      [false, true],
    );
    return {
      inputs: { x: d.floats(shape) },
      fn: (t) => resize(at4(t, 'x'), size, alignCorners, halfPixelCenters),
      gradients: [],
    };
  };
const floored: Place = (i, from, to) => Math.floor(corner(i, from, to));

export const resizing = cases({
  ResizeBilinear: bilinear(corner, false, false),
  'ResizeBilinearGrad in the gradient': bilinear(corner, false, false),
  'ResizeBilinear with corners aligned': bilinear(corners, true, false),
  'ResizeBilinear by pixel centres': bilinear(centres, false, true),
  'ResizeBilinear as tfjs does it': asTfjs(tf.image.resizeBilinear),
  ResizeNearestNeighbor: nearest(floored, false, false),
  'ResizeNearestNeighborGrad in the gradient': nearest(floored, false, false),
  'ResizeNearestNeighbor with corners aligned': nearest(
    (i, from, to) => Math.round(corners(i, from, to)),
    true,
    false,
  ),
  'ResizeNearestNeighbor by pixel centres': nearest(
    (i, from, to) => Math.floor(centres(i, from, to) + 0.5),
    false,
    true,
  ),
  'ResizeNearestNeighbor as tfjs does it': asTfjs(tf.image.resizeNearestNeighbor),
});

export const fused = cases({
  FusedConv2D: (d) => {
    const c = convolution(d);
    const activation = d.pick(...ACTIVATIONS);
    const channels = c.filter[3] as number;
    return {
      inputs: {
        x: d.floats(c.shape),
        filter: d.floats(c.filter),
        bias: d.floats([channels]),
        slope: d.floats([1, 1, channels], 0.1, 0.4),
      },
      fn: (t) =>
        tf.fused.conv2d({
          ...{
            x: at4(t, 'x'),
            filter: at4(t, 'filter'),
            strides: c.stride,
            pad: c.pad,
            bias: at(t, 'bias'),
            activation,
          },
          ...(typeof c.pad === 'string' ? {} : { dimRoundingMode: 'floor' as const }),
          ...(activation === 'prelu' ? { preluActivationWeights: at(t, 'slope') } : {}),
          leakyreluAlpha: 0.3,
        }),
      gradients: ['x', 'filter', 'bias'],
    };
  },
  _FusedMatMul: (d) => {
    const [m, k, n] = d.shape(3, 6) as [number, number, number];
    const [activation, transposeA, transposeB] = [d.pick(...ACTIVATIONS), d.yes(), d.yes()];
    return {
      inputs: {
        a: d.floats(transposeA ? [k, m] : [m, k]),
        b: d.floats(transposeB ? [n, k] : [k, n]),
        bias: d.floats([n]),
        slope: d.floats([n], 0.1, 0.4),
      },
      fn: (t) =>
        tf.fused.matMul({
          ...{
            a: at(t, 'a'),
            b: at(t, 'b'),
            transposeA,
            transposeB,
            bias: at(t, 'bias'),
            activation,
            leakyreluAlpha: 0.3,
          },
          ...(activation === 'prelu' ? { preluActivationWeights: at(t, 'slope') } : {}),
        }),
      gradients: ['a', 'b', 'bias'],
    };
  },
  'FusedConv2D channels first': (d) => {
    // tfjs itself refuses the slopes of PReLU in this order.
    const activation = d.pick('linear', 'relu', 'elu', 'sigmoid', 'leakyrelu');
    const common = { strides: 1, pad: 'same', activation, leakyreluAlpha: 0.3 } as const;
    return {
      inputs: { x: d.floats([2, 3, 4, 5]), filter: d.floats([3, 3, 3, 2]), bias: d.floats([2]) },
      fn: (t) =>
        tf.fused.conv2d({
          ...{ ...common, x: at4(t, 'x'), filter: at4(t, 'filter'), bias: at(t, 'bias'), dataFormat: 'NCHW' },
        }),
      oracle: (t) => {
        const x = tf.transpose(at4(t, 'x'), [0, 2, 3, 1]);
        const y = tf.fused.conv2d({ ...common, x, filter: at4(t, 'filter'), bias: at(t, 'bias') });
        return tf.transpose(y, [0, 3, 1, 2]);
      },
      gradients: [],
    };
  },
  FusedBatchNorm: (d) => {
    const shape = d.shape(4) as [number, number, number, number];
    const c = [shape[3]];
    const [scaled, moved] = [d.yes(), d.yes()];
    return {
      inputs: {
        x: d.floats(shape),
        mean: d.floats(c),
        variance: d.floats(c, 0.2, 2),
        offset: d.floats(c),
        scale: d.floats(c, 0.5, 2),
      },
      fn: (t) =>
        tf.batchNorm(
          at4(t, 'x'),
          at(t, 'mean') as tf.Tensor1D,
          at(t, 'variance') as tf.Tensor1D,
          moved ? (at(t, 'offset') as tf.Tensor1D) : undefined,
          scaled ? (at(t, 'scale') as tf.Tensor1D) : undefined,
          0.01,
        ),
      // tfjs's gradient wants both.
      gradients: scaled && moved ? ['x', 'mean', 'variance', 'offset', 'scale'] : [],
    };
  },
});
