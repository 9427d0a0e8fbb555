import {
  constantOf,
  count,
  numbersOf,
  rewrite,
  type Builder,
  type Graph,
  type Node,
  type Value,
} from '../graph.js';
import { transpose } from '../kernels/layout.js';
import { CHANNELS_FIRST, CHANNELS_LAST } from './geometry.js';

/** Rows `from` and after of an image along the axis that it was split along. */
interface Strip {
  readonly split: Node;
  readonly from: number;
  readonly size: number;
}
/** A row of the result by the rows of the image that it is the sum of. */
type Row = readonly number[];

/** Rows and columns up to this size, longer ones where there is little to multiply: zeros take longer than moving does. */
const LONGEST_LINE = 36;
const FEW_PRODUCTS = 2 ** 22;

/** What borders' gradients are written with. */
const OPERATIONS = new Set(['Split', 'ReduceSum', 'Add', 'Concat']);

const range = (from: number, size: number): number[] => Array.from({ length: size }, (_, k) => from + k);

const noteStrips = (split: Node, axis: number, strips: Map<Value, Strip>): void => {
  let from = 0;
  for (const value of split.outputs) {
    const size = value.shape[axis] as number;
    strips.set(value, { split, from, size });
    from += size;
  }
};

const isOver = ({ inputs }: Node, axis: number): boolean => numbersOf(inputs[1]).join() === `${axis}`;

/** Each row of a concatenation of strips, sums of strips, and strips added up, all of one image. */
const rowsOf = (
  node: Node,
  makers: ReadonlyMap<Value, Node>,
  strips: ReadonlyMap<Value, Strip>,
): { of: Value; rows: readonly Row[] } | undefined => {
  const axis = node.attributes['axis'];
  const splits = new Set<Node>();
  const strip = (value: Value | undefined): Strip | undefined => {
    const found = strips.get(value as Value);
    if (found !== undefined) splits.add(found.split);
    return found;
  };
  const parts = node.inputs.map((value): Row[] | undefined => {
    const whole = strip(value);
    if (whole !== undefined) return range(whole.from, whole.size).map((row) => [row]);
    const maker = makers.get(value);
    const [a, b] = [strip(maker?.inputs[0]), strip(maker?.inputs[1])];
    if (maker?.op === 'ReduceSum' && a !== undefined && isOver(maker, axis as number))
      return maker.attributes['keepdims'] === 1 ? [range(a.from, a.size)] : undefined;
    if (maker?.op === 'Add' && a !== undefined && b !== undefined && a.size === b.size)
      return range(0, a.size).map((k) => [a.from + k, b.from + k]);
    return undefined;
  });
  const [split] = splits;
  const of = split?.inputs[0];
  if (of === undefined || splits.size > 1 || split?.attributes['axis'] !== axis) return undefined;
  if (!parts.every((part) => part !== undefined)) return undefined;
  return { of, rows: parts.flat() };
};

/** The matrix of how often each row of an image of `size` rows goes into each row of the result; turned for columns. */
const constantFor = (rows: readonly Row[], size: number, axis: 1 | 2): Value => {
  const times = (row: Row, from: number): number => row.filter((each) => each === from).length;
  const numbers =
    axis === 1
      ? rows.flatMap((row) => range(0, size).map((from) => times(row, from)))
      : range(0, size).flatMap((from) => rows.map((row) => times(row, from)));
  const shape = axis === 1 ? [rows.length, size] : [size, rows.length];
  return constantOf(Float32Array.from(numbers), shape, 'float32');
};

/** [N, H, W, C] multiplied with a matrix from the side of its rows (axis 1), or of its columns with the matrix turned. */
const multiplied = (of: Value, axis: 1 | 2, matrix: Value, out: Builder): Value => {
  const image = transpose(out, of, CHANNELS_FIRST);
  const shape = image.shape.map((d, k) => (k === axis + 1 ? (matrix.shape[axis - 1] as number) : d));
  const product = out.add('MatMul', axis === 1 ? [matrix, image] : [image, matrix], shape);
  return transpose(out, product, CHANNELS_LAST);
};

/**
 * The gradient of a border is a small linear map along one axis, written as a split, two sums and a concatenation. For
 * small images one matrix product does the same as fast or faster, and is one operation instead of four to be planned.
 */
export const mergeFolds = (graph: Graph): Graph => {
  const makers = new Map<Value, Node>();
  const strips = new Map<Value, Strip>();
  const matrices = new Map<string, Value>();
  const matrix = (rows: readonly Row[], size: number, axis: 1 | 2): Value => {
    const key = `${axis} ${size} ${rows.join(' ')}`;
    const known = matrices.get(key) ?? constantFor(rows, size, axis);
    matrices.set(key, known);
    return known;
  };
  return rewrite(graph, (node, inputs, out) => {
    const [result] = node.outputs;
    if (!OPERATIONS.has(node.op) || result?.shape.length !== 4 || result.dtype !== 'float32')
      return undefined;
    const made = { ...node, inputs };
    const axis = node.attributes['axis'] as number;
    if (node.op === 'Split') noteStrips(made, axis, strips);
    else if (node.op !== 'Concat') makers.set(result, made);
    if (node.op !== 'Concat' || (axis !== 1 && axis !== 2)) return undefined;
    const found = rowsOf(made, makers, strips);
    const size = found?.of.shape[axis] ?? 0;
    if (found === undefined || found.rows.every((row) => row.length === 1)) return undefined;
    if (size > LONGEST_LINE && size * count(result.shape) > FEW_PRODUCTS) return undefined;
    return [multiplied(found.of, axis, matrix(found.rows, size, axis), out)];
  });
};
