import { ints, uniform, type Builder, type Value } from '../graph.js';
import { reshape, slice, transpose } from './layout.js';

/** What a filter does along one spatial axis. */
export interface Axis {
  /** Of the image, of the filter, of the result. */
  readonly length: number;
  readonly size: number;
  readonly outputs: number;
  readonly stride: number;
  readonly dilation: number;
  /** Zeros before the image; those after it follow from the lengths. */
  readonly before: number;
}

const reach = ({ dilation, size }: Axis): number => dilation * (size - 1);
const after = (axis: Axis): number =>
  Math.max(0, (axis.outputs - 1) * axis.stride + reach(axis) + 1 - axis.before - axis.length);
const each = (axes: readonly Axis[], of: (axis: Axis) => number): number[] => axes.map(of);
const range = (from: number, length: number): number[] => Array.from({ length }, (_, i) => from + i);

/** [N, C, ...] of [N, ..., C], for any number of axes between. */
export const channelsFirst = (graph: Builder, x: Value): Value =>
  transpose(graph, x, [0, x.shape.length - 1, ...range(1, x.shape.length - 2)]);
export const channelsLast = (graph: Builder, x: Value): Value =>
  transpose(graph, x, [0, ...range(2, x.shape.length - 2), 1]);

/**
 * Images [N, groups ci, ...] with filters [groups co, ci, ...], any number of spatial axes: [N, groups co, ...].
 * ONNX's own convolution.
 */
export const correlate = (
  graph: Builder,
  x: Value,
  filter: Value,
  axes: readonly Axis[],
  group: number,
): Value =>
  graph.add('Conv', [x, filter], [x.shape[0] ?? 0, filter.shape[0] ?? 0, ...each(axes, (a) => a.outputs)], {
    attributes: {
      strides: each(axes, (a) => a.stride),
      dilations: each(axes, (a) => a.dilation),
      pads: [...each(axes, (a) => a.before), ...each(axes, after)],
      group,
    },
  });

/** stride - 1 zeros between neighbours, along every spatial axis of [N, C, ...]. */
const spread = (graph: Builder, x: Value, strides: readonly number[]): Value => {
  if (strides.every((stride) => stride === 1)) return x;
  const [head, lengths] = [x.shape.slice(0, 2), x.shape.slice(2)];
  const apart = reshape(graph, x, [...head, ...lengths.flatMap((length) => [length, 1])]);
  const wide = [...head, ...lengths.flatMap((length, i) => [length, strides[i] ?? 1])];
  const end = wide.map((d, i) => d - (apart.shape[i] ?? 0));
  const filled = graph.add('Pad', [apart, ints([...end.map(() => 0), ...end]), uniform(0)], wide);
  const whole = [...head, ...lengths.map((length, i) => length * (strides[i] ?? 1))];
  const last = whole.map((d, i) => d - Math.max(0, (strides[i - 2] ?? 1) - 1));
  return slice(
    graph,
    reshape(graph, filled, whole),
    whole.map(() => 0),
    last,
  );
};

/**
 * Gradient of `correlate` by its images, from dy [N, groups co, ...]: dy with zeros between, seen by the filter turned
 * around. (Transposed convolutions in three dimensions are slow on the CPU and refused by WebGPU.)
 */
export const imageGradient = (
  graph: Builder,
  dy: Value,
  filter: Value,
  axes: readonly Axis[],
  group: number,
): Value => {
  const [rows = 0, ci = 0, ...size] = filter.shape;
  const spatial = range(3, size.length);
  const split = reshape(graph, filter, [group, rows / group, ci, ...size]);
  const swapped = reshape(graph, transpose(graph, split, [0, 2, 1, ...spatial]), [
    group * ci,
    rows / group,
    ...size,
  ]);
  const all = (v: number): Value => ints(size.map(() => v));
  const turned = graph.add(
    'Slice',
    [swapped, all(-1), all(-(2 ** 31)), ints(range(2, size.length)), all(-1)],
    swapped.shape,
  );
  const wide = spread(
    graph,
    dy,
    each(axes, (a) => a.stride),
  );
  const back = axes.map((axis, i): Axis => ({
    ...{ length: wide.shape[i + 2] ?? 0, size: axis.size, outputs: axis.length, stride: 1 },
    ...{ dilation: axis.dilation, before: reach(axis) - axis.before },
  }));
  // More zeros around the image than the filter reaches: what was seen of them alone is cut off.
  const missing = back.map((axis) => axis.outputs + reach(axis) - axis.length - axis.before);
  if (back.every((axis, i) => axis.before >= 0 && (missing[i] ?? 0) >= 0))
    return correlate(graph, wide, turned, back, group);
  const pads = [0, 0, ...each(back, (a) => a.before), 0, 0, ...missing];
  const lengths = axes.map((axis) => axis.length + reach(axis));
  const fitted = graph.add('Pad', [wide, ints(pads), uniform(0)], [...wide.shape.slice(0, 2), ...lengths]);
  const exact = back.map((axis, i): Axis => ({ ...axis, length: lengths[i] ?? 0, before: 0 }));
  return correlate(graph, fitted, turned, exact, group);
};

/**
 * Gradient of `correlate` by its filters [groups co, ci, ...]: images and dy change roles with the batch as channels, and
 * strides with dilations.
 */
export const filterGradient = (
  graph: Builder,
  x: Value,
  dy: Value,
  axes: readonly Axis[],
  group: number,
): Value => {
  const [n = 0, c = 0, ...lengths] = x.shape;
  const [, o = 0, ...outputs] = dy.shape;
  const [ci, co] = [c / group, o / group];
  const spatial = range(3, lengths.length);
  const images = transpose(graph, reshape(graph, x, [n, group, ci, ...lengths]), [2, 1, 0, ...spatial]);
  const views = transpose(graph, reshape(graph, dy, [n, group, co, ...outputs]), [1, 2, 0, ...spatial]);
  const roles = axes.map((axis): Axis => {
    const { length, size, outputs, stride, dilation, before } = axis;
    // Rows that the stride leaves out at the end give more positions than the filter has.
    const fitting = Math.floor((length + before - (outputs - 1) * stride - 1) / dilation) + 1;
    const found = Math.max(size, fitting);
    return { length, size: outputs, outputs: found, stride: dilation, dilation: stride, before };
  });
  const all = correlate(
    graph,
    reshape(graph, images, [ci, group * n, ...lengths]),
    reshape(graph, views, [o, n, ...outputs]),
    roles,
    group,
  );
  const size = [ci, o, ...each(axes, (a) => a.size)];
  const none = size.map(() => 0);
  return transpose(graph, slice(graph, all, none, size), [1, 0, ...range(2, lengths.length)]);
};
