import { backend_util, slice_util, util } from '@tensorflow/tfjs-core';
import { constantOf, count, ints, uniform, type Builder, type Value } from '../graph.js';
import type { DType } from '../types.js';
import { axisOf, reshape, slice, transpose } from './layout.js';
import { cast, compare, operand, sizesOf, where } from './operands.js';
import type { Rule } from './rule.js';

/** As an end, everything down to the first element: what -1 would be, were it not the last. */
const BEFORE_FIRST = -(2 ** 31);

const zeros = (graph: Builder, shape: readonly number[], dtype: Value['dtype']): Value =>
  dtype === 'float32'
    ? graph.add('ConstantOfShape', [ints(shape)], shape, { dtype })
    : uniform(0, shape, dtype);

/** [rows, d] of zeros with `updates` [n, d] added at row numbers [n]. ONNX Runtime adds them one after another. */
export const scatterAdd = (graph: Builder, rows: number, at: Value, updates: Value): Value => {
  const [n = 0, d = 0] = updates.shape;
  const everywhere = graph.add('Expand', [reshape(graph, at, [n, 1]), ints([n, d])], [n, d]);
  return graph.add(
    'ScatterElements',
    [zeros(graph, [rows, d], updates.dtype), everywhere, updates],
    [rows, d],
    {
      dtype: updates.dtype,
      attributes: { axis: 0, reduction: 'add' },
    },
  );
};

const reverse = (graph: Builder, x: Value, dims: number | number[]): Value => {
  const axes = util.parseAxisParam(dims, [...x.shape]);
  if (axes.length === 0) return x;
  const all = (v: number): Value => ints(axes.map(() => v));
  return graph.add('Slice', [x, all(-1), all(BEFORE_FIRST), ints(axes), all(-1)], x.shape);
};

/** Indices of the last `d` axes as one number: [..., d] with the given strides -> [...]. */
const flatIndex = (graph: Builder, indices: Value, strides: readonly number[]): Value => {
  const weighted = graph.add(
    'Mul',
    [indices, constantOf(Int32Array.from(strides), [strides.length], 'int32')],
    indices.shape,
  );
  const axis = indices.shape.length - 1;
  return graph.add('ReduceSum', [weighted, ints([axis])], indices.shape.slice(0, -1), {
    attributes: { keepdims: 0 },
  });
};

/**
 * Row k of the batch is looked up in rows k d .. (k + 1) d of the flattened tensor. An index out of range would find a row
 * of another batch: it becomes one beyond all rows, which ONNX Runtime refuses on the CPU.
 */
const gatherInBatch = (graph: Builder, x: Value, indices: Value, axis: number, batchDims: number): Value => {
  const batch = x.shape.slice(0, batchDims);
  const middle = x.shape.slice(batchDims, axis);
  const rest = x.shape.slice(axis + 1);
  const d = x.shape[axis] ?? 0;
  const axes = x.shape.map((_, i) => i);
  const front = [...axes.slice(0, batchDims), axis, ...axes.slice(batchDims, axis), ...axes.slice(axis + 1)];
  const table = reshape(graph, transpose(graph, x, front), [count(batch) * d, ...middle, ...rest]);
  const wanted = indices.shape.slice(batchDims);
  const offsets = constantOf(
    Int32Array.from({ length: count(batch) }, (_, k) => k * d),
    [count(batch), 1],
    'int32',
  );
  const flat = [count(batch), count(wanted)];
  const asked = reshape(graph, indices, flat);
  const inRange = graph.add(
    'And',
    [
      compare(graph, 'GreaterOrEqual', asked, uniform(0, [], 'int32'), flat),
      compare(graph, 'Less', asked, uniform(d, [], 'int32'), flat),
    ],
    flat,
  );
  const beyond = uniform(count(batch) * d, [], 'int32');
  const rows = where(graph, inRange, graph.add('Add', [asked, offsets], flat), beyond, flat);
  const found = graph.add('Gather', [table, rows], [...flat, ...middle, ...rest], {
    attributes: { axis: 0 },
  });
  const order = found.shape.map((_, i) => i);
  const moved = [0, ...order.slice(2, 2 + middle.length), 1, ...order.slice(2 + middle.length)];
  return reshape(graph, transpose(graph, found, moved), [...batch, ...middle, ...wanted, ...rest]);
};

export const indexing: Record<string, Rule> = {
  GatherV2: (inputs, { axis, batchDims }: { axis: number; batchDims: number }, graph) => {
    const x = operand(inputs, 'x');
    const indices = cast(graph, operand(inputs, 'indices'), 'int32');
    const at = axisOf(axis, x);
    backend_util.segment_util.collectGatherOpShapeInfo(sizesOf(x), sizesOf(indices), at, batchDims);
    const batches = batchDims < 0 ? batchDims + indices.shape.length : batchDims;
    if (batches !== 0) return gatherInBatch(graph, x, indices, at, batches);
    const shape = [...x.shape.slice(0, at), ...indices.shape, ...x.shape.slice(at + 1)];
    return graph.add('Gather', [x, indices], shape, { attributes: { axis: at } });
  },
  GatherNd: (inputs, _, graph) => {
    const [params, indices] = [operand(inputs, 'params'), operand(inputs, 'indices')];
    backend_util.prepareAndValidate(sizesOf(params), sizesOf(indices));
    const depth = indices.shape.at(-1) ?? 0;
    const strides = util.computeStrides([...params.shape.slice(0, depth), 1]);
    const table = reshape(graph, params, [count(params.shape.slice(0, depth)), ...params.shape.slice(depth)]);
    const rows = flatIndex(graph, indices, strides);
    return graph.add('Gather', [table, rows], [...rows.shape, ...params.shape.slice(depth)], {
      attributes: { axis: 0 },
    });
  },
  ScatterNd: (inputs, { shape }: { shape: number[] }, graph) => {
    const [indices, updates] = [operand(inputs, 'indices'), operand(inputs, 'updates')];
    backend_util.calculateShapes(sizesOf(updates), sizesOf(indices), shape);
    const depth = indices.shape.length < 2 ? 1 : (indices.shape.at(-1) ?? 1);
    const n = count(indices.shape) / depth;
    const rows = flatIndex(
      graph,
      reshape(graph, indices, [n, depth]),
      util.computeStrides([...shape.slice(0, depth), 1]),
    );
    const inner = count(shape.slice(depth));
    const sum = scatterAdd(graph, count(shape.slice(0, depth)), rows, reshape(graph, updates, [n, inner]));
    return reshape(graph, sum, shape);
  },
  /** Later updates of one place win. */
  TensorScatterUpdate: (inputs, _, graph) => {
    const [x, indices] = [operand(inputs, 'tensor'), operand(inputs, 'indices')];
    // One list of indices is of as many places, each by its one index.
    const places = indices.shape.length === 1 ? reshape(graph, indices, [...indices.shape, 1]) : indices;
    const at = graph.add('Cast', [places], places.shape, { dtype: 'int64', attributes: { to: 'int64' } });
    return graph.add('ScatterND', [x, at, operand(inputs, 'updates')], x.shape);
  },
  /** [...shape] -> [...shape, ...shape], zero but for the diagonal. */
  Diag: (inputs, _, graph) => {
    const x = operand(inputs, 'x');
    const n = count(x.shape);
    const own = constantOf(
      Uint8Array.from({ length: n * n }, (_v, i) => (i % (n + 1) === 0 ? 1 : 0)),
      [n, n],
      'bool',
    );
    const rows = reshape(graph, x, [n, 1]);
    return reshape(graph, where(graph, own, rows, uniform(0, [], x.dtype), [n, n]), [...x.shape, ...x.shape]);
  },
  /** Rows of a number outside of 0 .. numSegments - 1 are dropped, by way of one row more. */
  UnsortedSegmentSum: (inputs, { numSegments }: { numSegments: number }, graph) => {
    const [x, ids] = [operand(inputs, 'x'), operand(inputs, 'segmentIds')];
    const n = count(ids.shape);
    const bound = uniform(numSegments, [], 'int32');
    const below = compare(graph, 'Less', ids, uniform(0, [], 'int32'), ids.shape);
    const above = compare(graph, 'GreaterOrEqual', ids, bound, ids.shape);
    const rows = where(
      graph,
      graph.add('Or', [below, above], ids.shape, { dtype: 'bool' }),
      bound,
      ids,
      ids.shape,
    );
    const inner = x.shape.slice(ids.shape.length);
    const sum = scatterAdd(
      graph,
      numSegments + 1,
      reshape(graph, rows, [n]),
      reshape(graph, x, [n, count(inner)]),
    );
    return reshape(graph, slice(graph, sum, [0, 0], [numSegments, count(inner)]), [numSegments, ...inner]);
  },
  /** An index out of range gives a row of off values. */
  OneHot: (inputs, attributes: { depth: number; onValue: number; offValue: number; dtype: DType }, graph) => {
    const { depth, onValue, offValue, dtype } = attributes;
    const indices = operand(inputs, 'indices');
    const shape = [...indices.shape, depth];
    const classes = constantOf(
      Int32Array.from({ length: depth }, (_, i) => i),
      [depth],
      'int32',
    );
    const hit = compare(graph, 'Equal', reshape(graph, indices, [...indices.shape, 1]), classes, shape);
    return where(graph, hit, uniform(onValue, [], dtype), uniform(offValue, [], dtype), shape);
  },
  Reverse: (inputs, { dims }: { dims: number | number[] }, graph) =>
    reverse(graph, operand(inputs, 'x'), dims),
  /** Images [N, H, W, C]. */
  FlipLeftRight: (inputs, _, graph) => reverse(graph, operand(inputs, 'image'), 2),
  StridedSlice: (
    inputs,
    a: Record<'begin' | 'end' | 'strides', number[]> & Record<`${string}Mask`, number>,
    graph,
  ) => {
    const x = operand(inputs, 'x');
    const { begin, end, strides, finalShape } = slice_util.sliceInfo(
      [...x.shape],
      [...a.begin],
      [...a.end],
      a.strides,
      a['beginMask'] ?? 0,
      a['endMask'] ?? 0,
      a['ellipsisMask'] ?? 0,
      a['newAxisMask'] ?? 0,
      a['shrinkAxisMask'] ?? 0,
    );
    const axes = x.shape.map((_, i) => i);
    const ends = axes.map((i) => ((strides[i] ?? 1) < 0 && (end[i] ?? 0) < 0 ? BEFORE_FIRST : (end[i] ?? 0)));
    const shape = axes.map((i) =>
      Math.max(0, Math.ceil(((end[i] ?? 0) - (begin[i] ?? 0)) / (strides[i] ?? 1))),
    );
    // Where nothing is taken, an end before the first element would take something.
    if (shape.includes(0)) return uniform(0, finalShape, x.dtype);
    const taken = graph.add('Slice', [x, ints(begin), ints(ends), ints(axes), ints(strides)], shape);
    return reshape(graph, taken, finalShape);
  },
  /** Largest first; of equal values the one that comes first. */
  TopK: (inputs, { k }: { k: number; sorted: boolean }, graph) => {
    const x = operand(inputs, 'x');
    const shape = [...x.shape.slice(0, -1), k];
    const values: Value = { shape, dtype: x.dtype };
    const found: Value = { shape, dtype: 'int64' };
    graph.nodes.push({
      op: 'TopK',
      domain: '',
      inputs: [x, ints([k])],
      outputs: [values, found],
      attributes: { axis: -1 },
    });
    return [values, cast(graph, found, 'int32')];
  },
};
