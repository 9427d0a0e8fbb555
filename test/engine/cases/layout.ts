import * as tf from '@tensorflow/tfjs-core';
import type { Tensor } from '@tensorflow/tfjs-core';
import { at, at4, cases, type Case } from './case.js';

const mirror =
  (mode: 'reflect' | 'symmetric'): Case['draw'] =>
  (d) => {
    const shape = d.shape(d.whole(1, 4)).map((n) => n + 1);
    const room = mode === 'reflect' ? 1 : 0;
    const paddings = shape.map((n): [number, number] => [d.whole(0, n - room), d.whole(0, n - room)]);
    // tfjs's own gradient leaves out the mirrored part.
    const mirrored = (x: Tensor, [before, after]: [number, number], axis: number): Tensor => {
      const n = shape[axis] as number;
      const rows = (from: number, size: number): Tensor =>
        tf.slice(
          x,
          x.shape.map((_, i) => (i === axis ? from : 0)),
          x.shape.map((m, i) => (i === axis ? size : m)),
        );
      const [head, tail] = [rows(room, before), rows(n - room - after, after)];
      return tf.concat([tf.reverse(head, axis), x, tf.reverse(tail, axis)], axis);
    };
    return {
      inputs: { x: d.any(shape) },
      fn: (t) => tf.mirrorPad(at(t, 'x'), paddings, mode),
      oracle: (t) => paddings.reduce(mirrored, at(t, 'x')),
    };
  };

export const layout = cases({
  Reshape: (d) => {
    const [a, b, c] = d.shape(3) as [number, number, number];
    const to = d.pick([a * b, c], [-1, b], [a, 1, b * c], [a * b * c], [c, -1, a]);
    return { inputs: { x: d.any([a, b, c]) }, fn: (t) => tf.reshape(at(t, 'x'), to) };
  },
  ExpandDims: (d) => {
    const axis = d.whole(-4, 3);
    return { inputs: { x: d.any(d.shape(3)) }, fn: (t) => tf.expandDims(at(t, 'x'), axis) };
  },
  Transpose: (d) => {
    const rank = d.whole(2, 5);
    const perm = d.permutation(rank);
    return { inputs: { x: d.any(d.shape(rank)) }, fn: (t) => tf.transpose(at(t, 'x'), perm) };
  },
  'Transpose int32': (d) => ({
    inputs: { x: d.wholes(d.shape(3), -9, 9) },
    fn: (t) => tf.transpose(at(t, 'x')),
  }),
  Concat: (d) => {
    const shape = d.shape(d.whole(1, 4));
    const axis = d.whole(0, shape.length - 1);
    const part = (): number[] => shape.map((n, i) => (i === axis ? d.whole(1, 4) : n));
    const said = d.yes() ? axis : axis - shape.length;
    return {
      inputs: { a: d.floats(part()), b: d.floats(part()), c: d.floats(part()) },
      fn: (t) => tf.concat([at(t, 'a'), at(t, 'b'), at(t, 'c')], said),
    };
  },
  'Concat with a part of length 0': (d) => ({
    inputs: { a: d.floats([2, 3]), b: d.floats([2, 0]), c: d.floats([2, 2]) },
    fn: (t) => tf.concat([at(t, 'a'), at(t, 'b'), at(t, 'c')], 1),
    gradients: ['a', 'c'],
  }),
  'Concat of nothing': (d) => ({
    inputs: { a: d.floats([2, 0]), b: d.floats([2, 0]) },
    fn: (t) => tf.concat([at(t, 'a'), at(t, 'b')], 1),
    gradients: [],
  }),
  Pack: (d) => {
    const shape = d.shape(2);
    const axis = d.whole(-3, 2);
    return {
      inputs: { a: d.floats(shape), b: d.floats(shape) },
      fn: (t) => tf.stack([at(t, 'a'), at(t, 'b')], axis),
    };
  },
  Unpack: (d) => {
    const rank = d.whole(1, 3);
    const axis = d.whole(-rank, rank - 1);
    // tfjs's gradient fails where there is one part.
    const shape = d.shape(rank).map((n) => n + 1);
    return { inputs: { x: d.any(shape) }, fn: (t) => tf.unstack(at(t, 'x'), axis) };
  },
  SplitV: (d) => {
    const shape = d.shape(3);
    const axis = d.whole(0, 2);
    const sizes = [d.whole(1, 3), d.whole(1, 3), d.whole(1, 3)];
    const parts = d.yes() ? sizes : 3;
    shape[axis] = parts === 3 ? 6 : sizes.reduce((a, b) => a + b);
    return { inputs: { x: d.any(shape) }, fn: (t) => tf.split(at(t, 'x'), parts, axis) };
  },
  Slice: (d) => {
    const shape = d.shape(d.whole(1, 4), 6);
    const begin = shape.map((n) => d.whole(0, n - 1));
    const size = shape.map((n, i) => d.pick(-1, d.whole(1, n - (begin[i] as number))));
    return { inputs: { x: d.any(shape) }, fn: (t) => tf.slice(at(t, 'x'), begin, size) };
  },
  PadV2: (d) => {
    const shape = d.shape(d.whole(1, 4));
    const paddings = shape.map((): [number, number] => [d.whole(0, 2), d.whole(0, 2)]);
    const value = d.pick(0, 1.5);
    return { inputs: { x: d.any(shape) }, fn: (t) => tf.pad(at(t, 'x'), paddings, value) };
  },
  'PadV2 int32': (d) => ({
    inputs: { x: d.wholes(d.shape(2), 1, 9) },
    fn: (t) =>
      tf.pad(
        at(t, 'x'),
        [
          [1, 0],
          [0, 2],
        ],
        7,
      ),
  }),
  Tile: (d) => {
    const shape = d.shape(d.whole(1, 6), 3);
    const reps = shape.map(() => d.whole(1, 3));
    const copies = (x: Tensor, times: number, axis: number): Tensor =>
      tf.concat(Array<Tensor>(times).fill(x), axis);
    return {
      inputs: { x: d.any(shape) },
      fn: (t) => tf.tile(at(t, 'x'), reps),
      oracle: (t) => reps.reduce(copies, at(t, 'x')),
    };
  },
  'MirrorPad reflect': mirror('reflect'),
  'MirrorPad symmetric': mirror('symmetric'),
  SpaceToBatchND: (d) => {
    const [by, bx] = [d.whole(1, 3), d.whole(1, 3)];
    const [h, w] = [d.whole(1, 3) * by, d.whole(1, 3) * bx];
    const [top, left] = [d.whole(0, by), d.whole(0, bx)];
    const pads = [
      [top, by - top],
      [left, bx - left],
    ];
    return { inputs: { x: d.any([2, h, w, 3]) }, fn: (t) => tf.spaceToBatchND(at(t, 'x'), [by, bx], pads) };
  },
  BatchToSpaceND: (d) => {
    const [by, bx] = [d.whole(1, 3), d.whole(1, 3)];
    const crops = [
      [d.whole(0, by - 1), 0],
      [0, d.whole(0, bx - 1)],
    ];
    return {
      inputs: { x: d.any([2 * by * bx, d.whole(2, 3), d.whole(2, 3), 3]) },
      fn: (t) => tf.batchToSpaceND(at(t, 'x'), [by, bx], crops),
    };
  },
  DepthToSpace: (d) => {
    const [block, c] = [d.whole(2, 3), d.whole(1, 2)];
    return {
      inputs: { x: d.floats([2, 2, 3, block * block * c]) },
      fn: (t) => tf.depthToSpace(at4(t, 'x'), block),
      oracle: (t) => {
        const blocks = tf.reshape(at(t, 'x'), [2, 2, 3, block, block, c]);
        return tf.reshape(tf.transpose(blocks, [0, 1, 3, 2, 4, 5]), [2, 2 * block, 3 * block, c]);
      },
    };
  },
});

/** Down to the first element of both axes. */
const BOTH_ENDS_OPEN = 3;

export const indexing = cases({
  GatherV2: (d) => {
    const shape = d.shape(d.whole(1, 3), 5);
    const axis = d.whole(0, shape.length - 1);
    const indices = d.wholes(d.shape(d.whole(1, 2)), 0, (shape[axis] as number) - 1);
    return {
      inputs: { x: d.any(shape), i: indices },
      fn: (t) => tf.gather(at(t, 'x'), at(t, 'i'), axis),
    };
  },
  'GatherV2 from the last axis, by one number': (d) => {
    const shape = d.shape(3, 5);
    return {
      inputs: { x: d.any(shape), i: d.wholes([], 0, (shape[2] as number) - 1) },
      fn: (t) => tf.gather(at(t, 'x'), at(t, 'i'), -1),
      gradients: [],
    };
  },
  'GatherV2 in a batch': (d) => {
    const shape = d.shape(4);
    const batch = d.whole(1, 2);
    const axis = d.whole(batch, 3);
    const indices = d.wholes(
      [...shape.slice(0, batch), ...d.shape(d.whole(1, 2))],
      0,
      (shape[axis] as number) - 1,
    );
    return {
      inputs: { x: d.any(shape), i: indices },
      fn: (t) => tf.gather(at(t, 'x'), at(t, 'i'), axis, batch),
      gradients: [],
    };
  },
  GatherNd: (d) => {
    const shape = d.shape(3);
    const depth = d.whole(1, 3);
    const least = Math.min(...shape.slice(0, depth)) - 1;
    return {
      inputs: { x: d.any(shape), i: d.wholes([...d.shape(d.whole(1, 2)), depth], 0, least) },
      fn: (t) => tf.gatherND(at(t, 'x'), at(t, 'i')),
      gradients: [],
    };
  },
  'ScatterNd with repeated places': (d) => {
    const depth = d.whole(1, 2);
    const shape = d.shape(3);
    const [n, least] = [d.whole(2, 6), Math.min(...shape.slice(0, depth)) - 1];
    return {
      inputs: { i: d.wholes([n, depth], 0, least), u: d.floats([n, ...shape.slice(depth)]) },
      fn: (t) => tf.scatterND(at(t, 'i'), at(t, 'u'), shape),
      gradients: [],
    };
  },
  UnsortedSegmentSum: (d) => {
    const [n, segments] = [d.whole(2, 8), d.whole(1, 4)];
    return {
      inputs: { x: d.floats([n, ...d.shape(d.whole(0, 2))]), s: d.wholes([n], -1, segments - 1) },
      fn: (t) => tf.unsortedSegmentSum(at(t, 'x'), at(t, 's') as tf.Tensor1D, segments),
    };
  },
  'UnsortedSegmentSum drops what is out of range': (d) => ({
    inputs: { x: d.floats([6, 2]), s: d.wholes([6], -1, 3) },
    fn: (t) => tf.unsortedSegmentSum(at(t, 'x'), at(t, 's') as tf.Tensor1D, 2),
    gradients: [],
  }),
  OneHot: (d) => {
    const depth = d.whole(2, 5);
    const [on, off] = [d.pick(1, 2.5), d.pick(0, -1)];
    return {
      inputs: { i: d.wholes(d.shape(d.whole(1, 2)), -1, 5) },
      fn: (t) => tf.oneHot(at(t, 'i'), depth, on, off, 'float32'),
    };
  },
  Reverse: (d) => {
    const rank = d.whole(1, 4);
    const axes = d.axes(rank);
    return { inputs: { x: d.any(d.shape(rank)) }, fn: (t) => tf.reverse(at(t, 'x'), axes) };
  },
  'Reverse int32': (d) => ({
    inputs: { x: d.wholes(d.shape(2), -9, 9) },
    fn: (t) => tf.reverse(at(t, 'x'), -1),
  }),
  StridedSlice: (d) => {
    const shape = d.shape(3, 6);
    const strides = shape.map(() => d.pick(1, 2, 3));
    const begin = shape.map((n) => d.whole(0, n - 1));
    const end = shape.map((n, i) => d.whole((begin[i] as number) + 1, n));
    // Numbers from the end mean the same; masks leave a side open.
    const said = begin.map((b, i) => (d.yes() ? b : b - (shape[i] as number)));
    const [beginMask, endMask] = [d.whole(0, 7), d.whole(0, 7)];
    return {
      inputs: { x: d.any(shape) },
      fn: (t) => tf.stridedSlice(at(t, 'x'), said, end, strides, beginMask, endMask),
      gradients: [],
    };
  },
  'StridedSlice backwards': (d) => ({
    inputs: { x: d.any([d.whole(3, 6), d.whole(3, 6)]) },
    fn: (t) => tf.stridedSlice(at(t, 'x'), [-1, -2], [0, 0], [-1, -2], 0, BOTH_ENDS_OPEN),
    gradients: [],
  }),
  'StridedSlice that drops an axis and adds one': (d) => ({
    inputs: { x: d.any([d.whole(2, 5), d.whole(2, 5)]) },
    fn: (t) => tf.stridedSlice(at(t, 'x'), [0, 1, 0], [0, 0, 2], [1, 1, 1], 0, 0, 0, 1, 2),
    gradients: [],
  }),
  'StridedSlice with an ellipsis': (d) => ({
    inputs: { x: d.any(d.shape(4)) },
    fn: (t) => tf.stridedSlice(at(t, 'x'), [0, 0], [0, 1], [1, 1], 0, 0, 1, 0, 2),
    gradients: [],
  }),
  TensorScatterUpdate: (d) => {
    const shape = d.shape(3, 5);
    const depth = d.whole(1, 2);
    // Each place once: which of two updates wins is nobody's promise.
    const places = [...Array(Math.min(...shape.slice(0, depth))).keys()];
    const rows = places.map((n) => Array<number>(depth).fill(n));
    return {
      inputs: { x: d.floats(shape), u: d.floats([places.length, ...shape.slice(depth)]) },
      fn: (t) => tf.tensorScatterUpdate(at(t, 'x'), tf.tensor2d(rows, undefined, 'int32'), at(t, 'u')),
      gradients: [],
    };
  },
  Diag: (d) => ({
    inputs: { x: d.any(d.shape(d.whole(1, 2))) },
    fn: (t) => tf.diag(at(t, 'x')),
    gradients: [],
  }),
  FlipLeftRight: (d) => ({
    inputs: { x: d.floats(d.shape(4)) },
    fn: (t) => tf.image.flipLeftRight(at4(t, 'x')),
    gradients: [],
  }),
  'TopK with ties': (d) => {
    const n = d.whole(3, 7);
    const k = d.whole(1, n);
    return {
      inputs: { x: d.among([...d.shape(d.whole(0, 2)), n], [-1, 0, 0.5, 1, 2]) },
      fn: (t) => {
        const { values, indices } = tf.topk(at(t, 'x'), k);
        return [values, indices];
      },
      gradients: [],
    };
  },
});
