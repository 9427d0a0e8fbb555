import { backend_util, slice_util, util } from '@tensorflow/tfjs-core';
import { ints, permuted, uniform, type Builder, type Value } from '../graph.js';
import { sizesOf } from './operands.js';
import type { Rule } from './rule.js';

const x = (inputs: Record<string, Value>): Value => {
  const value = inputs['x'] ?? inputs['input'];
  if (value === undefined) throw new Error('kernel input x is missing');
  return value;
};

export const reshape = (graph: Builder, value: Value, shape: readonly number[]): Value =>
  value.shape.length === shape.length && value.shape.every((d, i) => d === shape[i])
    ? value
    : graph.add('Reshape', [value, ints(shape)], shape);

/** `value[begin : begin + size]` along every axis; axes that are taken whole are left out. */
export const slice = (
  graph: Builder,
  value: Value,
  begin: readonly number[],
  size: readonly number[],
): Value => {
  const axes = value.shape.map((_, axis) => axis).filter((axis) => size[axis] !== value.shape[axis]);
  if (axes.length === 0) return value;
  const starts = axes.map((axis) => begin[axis] ?? 0);
  const ends = axes.map((axis) => (begin[axis] ?? 0) + (size[axis] ?? 0));
  return graph.add('Slice', [value, ints(starts), ints(ends), ints(axes)], size);
};

export const transpose = (graph: Builder, value: Value, perm: readonly number[]): Value =>
  graph.add('Transpose', [value], permuted(value.shape, perm), { attributes: { perm } });

export const concat = (graph: Builder, values: readonly Value[], axis: number): Value => {
  const shapes = values.map((v) => [...v.shape]);
  backend_util.assertParamsConsistent(shapes, axis);
  const parts = values.filter((v) => !v.shape.includes(0));
  const [only = values[0]] = parts;
  if (parts.length === 0 && only !== undefined)
    return uniform(0, backend_util.computeOutShape(shapes, axis), only.dtype);
  if (parts.length === 1 && only !== undefined) return only;
  const shape = backend_util.computeOutShape(
    parts.map((v) => [...v.shape]),
    axis,
  );
  return graph.add('Concat', parts, shape, { attributes: { axis } });
};

const padded = (shape: readonly number[], paddings: readonly [number, number][]): number[] =>
  shape.map((d, i) => d + (paddings[i]?.[0] ?? 0) + (paddings[i]?.[1] ?? 0));

const pad = (
  graph: Builder,
  value: Value,
  paddings: readonly [number, number][],
  constant: number,
): Value => {
  const pads = ints([...paddings.map((p) => p[0]), ...paddings.map((p) => p[1])]);
  return graph.add('Pad', [value, pads, uniform(constant, [], value.dtype)], padded(value.shape, paddings));
};

export const axisOf = (axis: number | number[], value: Value): number =>
  util.parseAxisParam(axis, [...value.shape])[0] ?? 0;

const without = (shape: readonly number[], axis: number): number[] => shape.filter((_, i) => i !== axis);

export const layout: Record<string, Rule> = {
  Reshape: (inputs, { shape }: { shape: number[] }, graph) => {
    const value = x(inputs);
    return reshape(graph, value, util.inferFromImplicitShape(shape, util.sizeFromShape([...value.shape])));
  },
  ExpandDims: (inputs, { dim }: { dim: number }, graph) => {
    const value = x(inputs);
    const rank = value.shape.length;
    const at = dim < 0 ? rank + 1 + dim : dim;
    if (at < 0 || at > rank) throw new Error(`axis ${dim} is not in ${-(rank + 1)} .. ${rank}`);
    return reshape(graph, value, [...value.shape.slice(0, at), 1, ...value.shape.slice(at)]);
  },
  Transpose: (inputs, { perm }: { perm: number[] }, graph) => transpose(graph, x(inputs), perm),
  Concat: (inputs, { axis }: { axis: number }, graph) => {
    const values = Object.values(inputs);
    return concat(graph, values, axisOf(axis, values[0] as Value));
  },
  Pack: (inputs, { axis }: { axis: number }, graph) => {
    const values = Object.values(inputs);
    if (new Set(values.map(({ shape, dtype }) => `${dtype}[${shape.join()}]`)).size > 1)
      throw new Error('all tensors that are stacked must have one shape and type');
    const rank = (values[0] as Value).shape.length;
    const at = axis < 0 ? rank + 1 + axis : axis;
    return concat(
      graph,
      values.map((v) => reshape(graph, v, [...v.shape.slice(0, at), 1, ...v.shape.slice(at)])),
      at,
    );
  },
  Unpack: (inputs, { axis }: { axis: number }, graph) => {
    const value = inputs['value'] as Value;
    const at = axisOf(axis, value);
    const size = value.shape.map((d, i) => (i === at ? 1 : d));
    return Array.from({ length: value.shape[at] ?? 0 }, (_, k) =>
      reshape(
        graph,
        slice(
          graph,
          value,
          size.map((_d, i) => (i === at ? k : 0)),
          size,
        ),
        without(value.shape, at),
      ),
    );
  },
  SplitV: (inputs, attributes: { numOrSizeSplits: number | number[]; axis: number }, graph) => {
    const value = x(inputs);
    const axis = axisOf(attributes.axis, value);
    const info = sizesOf(value) as Parameters<typeof backend_util.prepareSplitSize>[0];
    const sizes = backend_util.prepareSplitSize(info, attributes.numOrSizeSplits, axis);
    const shapes = sizes.map((size) => value.shape.map((d, i) => (i === axis ? size : d)));
    return graph.addMany('Split', [value, ints(sizes)], shapes, { axis });
  },
  Slice: (inputs, { begin, size }: { begin: number | number[]; size: number | number[] }, graph) => {
    const value = x(inputs);
    const info = sizesOf(value);
    const [starts = [], sizes = []] = slice_util.parseSliceParams(info, begin, size);
    slice_util.assertParamsValid(info, starts, sizes);
    return slice(graph, value, starts, sizes);
  },
  PadV2: (
    inputs,
    { paddings, constantValue }: { paddings: [number, number][]; constantValue: number },
    graph,
  ) => pad(graph, x(inputs), paddings, constantValue),
  Tile: (inputs, { reps }: { reps: number[] }, graph) => {
    const value = x(inputs);
    return graph.add(
      'Tile',
      [value, ints(reps)],
      value.shape.map((d, i) => d * (reps[i] ?? 1)),
    );
  },
  /** ONNX knows reflections and repeated edges; wider symmetric padding takes rows by number. */
  MirrorPad: (
    inputs,
    { paddings, mode }: { paddings: [number, number][]; mode: 'reflect' | 'symmetric' },
    graph,
  ) => {
    const value = x(inputs);
    if (mode === 'reflect' || Math.max(...paddings.flat()) <= 1) {
      const pads = ints([...paddings.map((p) => p[0]), ...paddings.map((p) => p[1])]);
      return graph.add('Pad', [value, pads], padded(value.shape, paddings), {
        attributes: { mode: mode === 'reflect' ? mode : 'edge' },
      });
    }
    return paddings.reduce((v, [before, after], axis) => {
      if (before === 0 && after === 0) return v;
      const d = v.shape[axis] ?? 0;
      const rows = Array.from({ length: before + d + after }, (_, i) => {
        const at = i - before;
        if (at < 0) return -1 - at;
        return at < d ? at : 2 * d - 1 - at;
      });
      return graph.add(
        'Gather',
        [v, ints(rows)],
        v.shape.map((n, i) => (i === axis ? rows.length : n)),
        { attributes: { axis } },
      );
    }, value);
  },
  SpaceToBatchND: (
    inputs,
    { blockShape, paddings }: { blockShape: number[]; paddings: [number, number][] },
    graph,
  ) => {
    const value = x(inputs);
    const around: [number, number][] = value.shape.map((_, i) => paddings[i - 1] ?? [0, 0]);
    const wide = pad(graph, value, around, 0);
    const size = util.sizeFromShape(blockShape);
    const [blocks, perm, shape] = [
      backend_util.getReshaped([...wide.shape], blockShape, size, false),
      backend_util.getPermuted(wide.shape.length + blockShape.length, blockShape.length, false),
      backend_util.getReshapedPermuted([...wide.shape], blockShape, size, false),
    ];
    return reshape(graph, transpose(graph, reshape(graph, wide, blocks), perm), shape);
  },
  BatchToSpaceND: (
    inputs,
    { blockShape, crops }: { blockShape: number[]; crops: [number, number][] },
    graph,
  ) => {
    const value = x(inputs);
    const size = util.sizeFromShape(blockShape);
    const blocks = backend_util.getReshaped([...value.shape], blockShape, size);
    const perm = backend_util.getPermuted(blocks.length, blockShape.length);
    const shape = backend_util.getReshapedPermuted([...value.shape], blockShape, size);
    const whole = reshape(graph, transpose(graph, reshape(graph, value, blocks), perm), shape);
    const crop = (axis: number): [number, number] => (axis === 0 ? undefined : crops[axis - 1]) ?? [0, 0];
    const begin = shape.map((_, axis) => crop(axis)[0]);
    return slice(
      graph,
      whole,
      begin,
      shape.map((d, axis) => d - crop(axis)[0] - crop(axis)[1]),
    );
  },
  DepthToSpace: (inputs, { blockSize: b, dataFormat }: { blockSize: number; dataFormat: string }, graph) => {
    if (dataFormat !== 'NHWC') throw new Error('depthToSpace is traced in NHWC only: transpose first');
    const value = x(inputs);
    const [n = 0, h = 0, w = 0, c = 0] = value.shape;
    const depth = c / (b * b);
    const blocks = transpose(graph, reshape(graph, value, [n, h, w, b, b, depth]), [0, 1, 3, 2, 4, 5]);
    return reshape(graph, blocks, [n, h * b, w * b, depth]);
  },
};
