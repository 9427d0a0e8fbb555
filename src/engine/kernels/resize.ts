import { constantOf, count, ints, type Builder, type Value } from '../graph.js';
import { reshape } from './layout.js';
import { cast, operand } from './operands.js';
import type { Rule } from './rule.js';

/** A linear map of one axis: rows by columns, row-major. */
export interface AxisMap {
  readonly rows: number;
  readonly columns: number;
  readonly values: Float32Array;
}

export const axisMap = (
  rows: number,
  columns: number,
  fill: (add: (row: number, column: number, weight: number) => void) => void,
): AxisMap => {
  const values = new Float32Array(rows * columns);
  fill((row, column, weight) => {
    const at = row * columns + column;
    values[at] = (values[at] ?? 0) + weight;
  });
  return { rows, columns, values };
};

const transposed = ({ rows, columns, values }: AxisMap): AxisMap =>
  axisMap(columns, rows, (add) =>
    values.forEach((weight, at) => add(at % columns, Math.floor(at / columns), weight)),
  );

/** Applies a map to one axis of a tensor, as one matrix product. */
export const mapAxis = (
  graph: Builder,
  x: Value,
  axis: number,
  { rows, columns, values }: AxisMap,
): Value => {
  const [before, after] = [count(x.shape.slice(0, axis)), count(x.shape.slice(axis + 1))];
  const matrix = constantOf(values, [rows, columns], 'float32');
  const product = graph.add(
    'MatMul',
    [matrix, reshape(graph, x, [before, columns, after])],
    [before, rows, after],
    { dtype: 'float32' },
  );
  return reshape(
    graph,
    product,
    x.shape.map((d, i) => (i === axis ? rows : d)),
  );
};

interface ResizeAttributes {
  readonly size: [number, number];
  readonly alignCorners: boolean;
  readonly halfPixelCenters: boolean;
}

/** Where pixel i of the result lies among the pixels of the source. */
const source = (from: number, to: number, { alignCorners, halfPixelCenters }: ResizeAttributes) => {
  const ratio = alignCorners && to > 1 ? (from - 1) / (to - 1) : from / to;
  return (i: number): number => (halfPixelCenters ? ratio * (i + 0.5) : ratio * i);
};

const nearest = (from: number, to: number, attributes: ResizeAttributes): number[] => {
  const at = source(from, to, attributes);
  const round = attributes.alignCorners ? Math.round : Math.floor;
  return Array.from({ length: to }, (_, i) => Math.max(0, Math.min(from - 1, round(at(i)))));
};

const bilinear = (from: number, to: number, attributes: ResizeAttributes): AxisMap => {
  const at = source(from, to, attributes);
  return axisMap(to, from, (add) => {
    for (let i = 0; i < to; i++) {
      const position = attributes.halfPixelCenters ? at(i) - 0.5 : at(i);
      const low = Math.max(0, Math.floor(position));
      const high = Math.min(from - 1, Math.ceil(position));
      add(i, low, 1 - (position - low));
      add(i, high, position - low);
    }
  });
};

/** Whole factors by which rows and columns are repeated, if it is that. */
const factors = (
  [, h = 0, w = 0]: readonly number[],
  [height, width]: readonly [number, number],
  alignCorners: boolean,
) => {
  const [fy, fx] = [height / h, width / w];
  return alignCorners || !Number.isInteger(fy) || !Number.isInteger(fx) ? undefined : ([fy, fx] as const);
};

/**
 * Images NHWC. Enlargement by whole factors is lowered with the convolutions that it stands between
 * (passes/lower-convolutions.ts); all else is two matrices, or rows taken by number.
 */
export const resize: Record<string, Rule> = {
  ResizeNearestNeighbor: (inputs, attributes: ResizeAttributes, graph) => {
    const images = operand(inputs, 'images');
    const [n = 0, h = 0, w = 0, c = 0] = images.shape;
    const [height, width] = attributes.size;
    const whole = factors(images.shape, attributes.size, attributes.alignCorners);
    if (whole !== undefined) {
      const shape = [n, height, width, c];
      return graph.add('Enlarge', [images], shape, { domain: 'mesocast', attributes: { factors: whole } });
    }
    const rows = graph.add('Gather', [images, ints(nearest(h, height, attributes))], [n, height, w, c], {
      attributes: { axis: 1 },
    });
    return graph.add('Gather', [rows, ints(nearest(w, width, attributes))], [n, height, width, c], {
      attributes: { axis: 2 },
    });
  },
  ResizeNearestNeighborGrad: (inputs, attributes: ResizeAttributes, graph) => {
    const [dy, images] = [operand(inputs, 'dy'), operand(inputs, 'images')];
    const [n = 0, h = 0, w = 0, c = 0] = images.shape;
    const [, height = 0, width = 0] = dy.shape;
    const whole = factors(images.shape, [height, width], attributes.alignCorners);
    if (whole !== undefined) {
      const options = { domain: 'mesocast', attributes: { factors: whole } } as const;
      return graph.add('EnlargeGradient', [dy], [n, h, w, c], options);
    }
    const taken = (from: number, to: number): AxisMap =>
      axisMap(from, to, (add) => nearest(from, to, attributes).forEach((row, i) => add(row, i, 1)));
    return mapAxis(graph, mapAxis(graph, dy, 1, taken(h, height)), 2, taken(w, width));
  },
  ResizeBilinear: (inputs, attributes: ResizeAttributes, graph) => {
    const images = cast(graph, operand(inputs, 'images'), 'float32');
    const [, h = 0, w = 0] = images.shape;
    const [height, width] = attributes.size;
    return mapAxis(
      graph,
      mapAxis(graph, images, 1, bilinear(h, height, attributes)),
      2,
      bilinear(w, width, attributes),
    );
  },
  ResizeBilinearGrad: (inputs, attributes: ResizeAttributes, graph) => {
    const [dy, images] = [operand(inputs, 'dy'), operand(inputs, 'images')];
    const [, h = 0, w = 0] = images.shape;
    const [, height = 0, width = 0] = dy.shape;
    const back = (from: number, to: number): AxisMap => transposed(bilinear(from, to, attributes));
    return mapAxis(graph, mapAxis(graph, dy, 1, back(h, height)), 2, back(w, width));
  },
};
