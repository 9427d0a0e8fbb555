import * as tf from '@tensorflow/tfjs';
import type { GradConfig, Tensor, Tensor4D, Tensor5D } from '@tensorflow/tfjs-core';

/**
 * Gradients that tfjs gets wrong, refuses, or does not have, in its own operations: they hold on every backend.
 * Importing this file registers them.
 */
type Derivatives = Record<string, () => Tensor>;
type Pair = [number, number];

/** `gradient` summed over the axes along which a tensor of this shape was repeated. */
const summedTo = (gradient: Tensor, shape: readonly number[]): Tensor => {
  const extra = gradient.rank - shape.length;
  const axes = gradient.shape
    .map((_, i) => i)
    .filter((i) => i < extra || (shape[i - extra] === 1 && gradient.shape[i] !== 1));
  return tf.reshape(axes.length === 0 ? gradient : tf.sum(gradient, axes), [...shape]);
};

/** tfjs's own formula, but for operands that broadcast. */
const broadcasting = (kernelName: string): GradConfig => {
  const own = tf.getGradient(kernelName);
  return {
    ...own,
    gradFunc: (dy, saved, attributes) => {
      const given = own.gradFunc(dy, saved, attributes);
      const [a, b] = saved as [Tensor, Tensor];
      return {
        a: () => summedTo((given['a'] as () => Tensor)(), a.shape),
        b: () => summedTo((given['b'] as () => Tensor)(), b.shape),
      };
    },
  };
};

/** Running sums the other way along the same axis; tfjs turns the axes around besides. */
const cumsum: GradConfig = {
  kernelName: 'Cumsum',
  gradFunc: (dy, _, attributes) => {
    const { axis, exclusive, reverse } = attributes as { axis: number; exclusive: boolean; reverse: boolean };
    return { x: () => tf.cumsum(dy as Tensor, axis, exclusive, !reverse) };
  },
};

/** Sums over the copies; tfjs adds slice by slice, up to rank 4. */
const tile: GradConfig = {
  kernelName: 'Tile',
  inputsToSave: ['x'],
  gradFunc: (dy, [x], attributes) => {
    const { shape } = x as Tensor;
    const { reps } = attributes as { reps: number[] };
    const copies = shape.flatMap((d, i) => [reps[i] ?? 1, d]);
    const axes = shape.map((_, i) => 2 * i);
    return { x: () => (axes.length === 0 ? (dy as Tensor) : tf.sum(tf.reshape(dy as Tensor, copies), axes)) };
  },
};

/** What was mirrored goes back to where it came from, axis by axis; tfjs drops it. */
const mirrorPad: GradConfig = {
  kernelName: 'MirrorPad',
  inputsToSave: ['x'],
  gradFunc: (dy, [x], attributes) => {
    const { shape } = x as Tensor;
    const { paddings, mode } = attributes as { paddings: Pair[]; mode: 'reflect' | 'symmetric' };
    const edge = mode === 'reflect' ? 1 : 0;
    const along = (gradient: Tensor, [before, after]: Pair, axis: number): Tensor => {
      const d = shape[axis] ?? 0;
      const part = (begin: number, size: number): Tensor =>
        tf.slice(
          gradient,
          gradient.shape.map((_, i) => (i === axis ? begin : 0)),
          gradient.shape.map((n, i) => (i === axis ? size : n)),
        );
      const placed = (border: Tensor, at: number, size: number): Tensor =>
        tf.pad(
          tf.reverse(border, axis),
          shape.map((_, i): Pair => (i === axis ? [at, d - at - size] : [0, 0])),
        );
      const terms = [part(before, d)];
      if (before > 0) terms.push(placed(part(0, before), edge, before));
      if (after > 0) terms.push(placed(part(before + d, after), d - edge - after, after));
      return tf.addN(terms);
    };
    return { x: () => paddings.reduce(along, dy as Tensor) };
  },
};

interface Conv2D {
  readonly dilations: number | Pair;
  readonly strides: number | Pair;
  readonly pad: tf.backend_util.ExplicitPadding | 'valid' | 'same' | number;
  readonly dataFormat: 'NHWC' | 'NCHW';
  readonly dimRoundingMode: 'floor' | 'round' | 'ceil' | undefined;
}

/** Of dilated filters, whose strides are 1: images are seen through the filter turned around, filters by position. */
const dilated = (dy: Tensor4D, x: Tensor4D, filter: Tensor4D, a: Conv2D): Derivatives => {
  const info = tf.backend_util.computeConv2DInfo(
    x.shape,
    filter.shape,
    a.strides,
    a.dilations,
    a.pad,
    a.dimRoundingMode,
  );
  const {
    dilationHeight: dh,
    dilationWidth: dw,
    filterHeight: kh,
    filterWidth: kw,
    outHeight,
    outWidth,
    padInfo,
  } = info;
  const { top, bottom, left, right } = padInfo;
  const sides: Pair[] = [
    [0, 0],
    [top, bottom],
    [left, right],
    [0, 0],
  ];
  return {
    x: () => {
      const turned = tf.transpose(tf.reverse(filter, [0, 1]), [0, 1, 3, 2]);
      // All of the padded image first; then what was padding goes.
      const [ry, rx] = [dh * (kh - 1), dw * (kw - 1)];
      const whole = tf.conv2d(
        dy,
        turned,
        1,
        [
          [0, 0],
          [ry, ry],
          [rx, rx],
          [0, 0],
        ],
        'NHWC',
        a.dilations,
        'floor',
      );
      return tf.slice(whole, [0, top, left, 0], x.shape);
    },
    filter: () => {
      const [, , , ci] = x.shape;
      const [n, , , co] = dy.shape;
      const around = tf.pad(x, sides);
      const rows = tf.reshape(dy, [n * outHeight * outWidth, co]);
      const products = Array.from({ length: kh * kw }, (_, k) => {
        const at = [0, Math.floor(k / kw) * dh, (k % kw) * dw, 0];
        const view = tf.reshape(tf.slice(around, at, [n, outHeight, outWidth, ci]), [
          n * outHeight * outWidth,
          ci,
        ]);
        return tf.matMul(view, rows, true, false);
      });
      return tf.reshape(tf.stack(products), filter.shape);
    },
  };
};

const conv2d = (): GradConfig => {
  const own = tf.getGradient('Conv2D');
  return {
    ...own,
    gradFunc: (dy, saved, attributes) => {
      const said: Conv2D = {
        dilations: attributes['dilations'] as Pair,
        strides: attributes['strides'] as Pair,
        pad: attributes['pad'] as Conv2D['pad'],
        dataFormat: attributes['dataFormat'] as Conv2D['dataFormat'],
        dimRoundingMode: attributes['dimRoundingMode'] as Conv2D['dimRoundingMode'],
      };
      const plain = [said.dilations].flat().every((d) => d === 1);
      if (plain || said.dataFormat === 'NCHW') return own.gradFunc(dy, saved, attributes);
      const [x, filter] = saved as [Tensor4D, Tensor4D];
      return dilated(dy as Tensor4D, x, filter, said);
    },
  };
};

/** A transposed convolution is a linear map of its images and of its filter. */
const conv3dTranspose: GradConfig = {
  kernelName: 'Conv3DBackpropInputV2',
  inputsToSave: ['dy', 'filter'],
  gradFunc: (gradient, saved, attributes) => {
    const [dy, filter] = saved as [Tensor5D, Tensor5D];
    const { strides, pad } = attributes as { strides: number; pad: 'valid' | 'same' };
    const given = { strides, pad, filterShape: filter.shape };
    return {
      dy: () => tf.conv3d(gradient as Tensor5D, filter, strides, pad),
      filter: () => tf.engine().runKernel('Conv3DBackpropFilterV2', { x: gradient as Tensor, dy }, given),
    };
  },
};

/** Blocks back into channels. */
const depthToSpace: GradConfig = {
  kernelName: 'DepthToSpace',
  inputsToSave: ['x'],
  gradFunc: (dy, [x], attributes) => {
    const { blockSize: b, dataFormat } = attributes as { blockSize: number; dataFormat: string };
    if (dataFormat !== 'NHWC')
      throw new Error('the gradient of depthToSpace takes NHWC only: transpose first');
    const [n = 0, h = 0, w = 0, c = 0] = (x as Tensor).shape;
    const blocks = tf.reshape(dy as Tensor, [n, h, b, w, b, c / (b * b)]);
    return { x: () => tf.reshape(tf.transpose(blocks, [0, 1, 3, 2, 4, 5]), [n, h, w, c]) };
  },
};

/** By each operand: the result with the other operand, in the letters of the first; those that it alone has are spread. */
const einsum: GradConfig = {
  kernelName: 'Einsum',
  saveAllInputs: true,
  gradFunc: (dy, saved, attributes) => {
    const { equation } = attributes as { equation: string };
    const [terms = '', result = ''] = equation.replaceAll(' ', '').split('->');
    const letters = terms.split(',');
    const derivative = (own: Tensor, i: number) => (): Tensor => {
      const others = saved.filter((_, k) => k !== i);
      const known = [result, ...letters.filter((_, k) => k !== i)];
      const wanted = (letters[i] ?? '').split('');
      const found = wanted.filter((letter) => known.some((all) => all.includes(letter)));
      const part = tf.einsum(`${known.join(',')}->${found.join('')}`, dy as Tensor, ...others);
      const spread = own.shape.map((d, axis) => (found.includes(wanted[axis] ?? '') ? d : 1));
      return tf.mul(tf.reshape(part, spread), tf.onesLike(own));
    };
    return Object.fromEntries(saved.map((own, i) => [i, derivative(own, i)]));
  },
};

for (const config of [
  ...['Maximum', 'Minimum', 'SquaredDifference'].map(broadcasting),
  ...[cumsum, tile, mirrorPad, conv2d(), conv3dTranspose, depthToSpace, einsum],
])
  tf.registerGradient(config);
