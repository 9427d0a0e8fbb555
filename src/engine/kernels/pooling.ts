import { backend_util } from '@tensorflow/tfjs-core';
import { count, type Builder, type Value } from '../graph.js';
import { channelsFirst, channelsLast } from './correlation.js';
import { scatterAdd } from './indexing.js';
import { reshape } from './layout.js';
import { axisMap, mapAxis } from './resize.js';
import { operand } from './operands.js';
import { requireOutputs } from './padded.js';
import type { Rule } from './rule.js';

interface PoolAttributes {
  readonly filterSize: number | number[];
  readonly strides: number | number[];
  readonly pad: 'valid' | 'same' | number;
  readonly dimRoundingMode?: 'floor' | 'round' | 'ceil';
  readonly dataFormat?: string;
}

/** One spatial axis: windows of `size` at `begin` + i `stride`, `outputs` of them. */
interface Windows {
  readonly size: number;
  readonly stride: number;
  readonly begin: number;
  readonly outputs: number;
}

/** Where a stride beyond the window leaves pixels out, tfjs's 3-D geometry speaks of negative padding; TensorFlow of none. */
const start = (pad: number): number => (pad > 0 ? -pad : 0);

/** Windows over the spatial axes of [N, H, W, C] or [N, D, H, W, C]: tfjs works them out. */
const windowsOf = (shape: readonly number[], a: PoolAttributes): Windows[] => {
  if (a.dataFormat !== undefined && !a.dataFormat.endsWith('C'))
    throw new Error('pooling is traced channels last only: transpose first');
  if (shape.length === 4) {
    const [filter, strides] = [a.filterSize, a.strides] as [number, number];
    const i = backend_util.computePool2DInfo(
      [...shape] as [number, number, number, number],
      filter,
      strides,
      1,
      a.pad,
      a.dimRoundingMode,
    );
    return [
      { size: i.filterHeight, stride: i.strideHeight, begin: start(i.padInfo.top), outputs: i.outHeight },
      { size: i.filterWidth, stride: i.strideWidth, begin: start(i.padInfo.left), outputs: i.outWidth },
    ];
  }
  const [filter, strides] = [a.filterSize, a.strides] as [number, number];
  const i = backend_util.computePool3DInfo(
    [...shape] as [number, number, number, number, number],
    filter,
    strides,
    1,
    a.pad,
    a.dimRoundingMode,
  );
  return [
    { size: i.filterDepth, stride: i.strideDepth, begin: start(i.padInfo.front), outputs: i.outDepth },
    { size: i.filterHeight, stride: i.strideHeight, begin: start(i.padInfo.top), outputs: i.outHeight },
    { size: i.filterWidth, stride: i.strideWidth, begin: start(i.padInfo.left), outputs: i.outWidth },
  ];
};

/** As ONNX says it, and the shape that comes out, channels first. */
const statement = (x: Value, windows: readonly Windows[]) => {
  const ends = windows.map(({ size, stride, begin, outputs }, i) =>
    Math.max(0, begin + (outputs - 1) * stride + size - (x.shape[i + 1] ?? 0)),
  );
  const pads = [...windows.map(({ begin }) => -begin), ...ends];
  if (windows.some(({ size }, i) => Math.max(pads[i] ?? 0, ends[i] ?? 0) >= size)) {
    throw new Error('a pooling window lies wholly in the padding: pad less, or pad the image first (tf.pad)');
  }
  windows.forEach(({ size, stride, begin, outputs }, i) =>
    requireOutputs((x.shape[i + 1] ?? 0) - begin + (ends[i] ?? 0), size, stride, outputs),
  );
  return {
    attributes: {
      kernel_shape: windows.map(({ size }) => size),
      strides: windows.map(({ stride }) => stride),
      pads,
    },
    shape: [x.shape[0] ?? 0, x.shape.at(-1) ?? 0, ...windows.map(({ outputs }) => outputs)],
  };
};

const pool =
  (op: string): Rule =>
  (inputs, attributes: PoolAttributes, graph) => {
    const x = operand(inputs, 'x');
    const { attributes: geometry, shape } = statement(x, windowsOf(x.shape, attributes));
    const y = graph.add(op, [channelsFirst(graph, x)], shape, { attributes: geometry });
    return channelsLast(graph, y);
  };

/**
 * Averages are taken over the pixels that exist, per axis; the gradient is the transposed map of each axis.
 * (As in TensorFlow. tfjs's own cpu backend divides by the whole window at the border.)
 */
const averageGradient: Rule = (inputs, attributes: PoolAttributes, graph) => {
  const [dy, x] = [operand(inputs, 'dy'), operand(inputs, 'input')];
  return windowsOf(x.shape, attributes).reduce((gradient, { size, stride, begin, outputs }, i) => {
    const length = x.shape[i + 1] ?? 0;
    const spread = axisMap(length, outputs, (add) => {
      for (let o = 0; o < outputs; o++) {
        const [from, to] = [Math.max(0, begin + o * stride), Math.min(length, begin + o * stride + size)];
        for (let at = from; at < to; at++) add(at, o, 1 / (to - from));
      }
    });
    return mapAxis(graph, gradient, i + 1, spread);
  }, dy);
};

/** Largest values and where they were, as numbers of elements of the image, channels first. */
const maximaOf = (graph: Builder, x: Value, attributes: PoolAttributes): Value => {
  const { attributes: geometry, shape } = statement(x, windowsOf(x.shape, attributes));
  const found: Value = { shape, dtype: 'int64' };
  graph.nodes.push({
    op: 'MaxPool',
    domain: '',
    inputs: [channelsFirst(graph, x)],
    outputs: [{ shape, dtype: x.dtype }, found],
    attributes: geometry,
  });
  return found;
};

/** Each gradient goes to the place of its window's maximum: of equal ones to the first. */
const maximumGradient: Rule = (inputs, attributes: PoolAttributes, graph) => {
  const [dy, x] = [operand(inputs, 'dy'), operand(inputs, 'input')];
  const found = maximaOf(graph, x, attributes);
  const n = count(dy.shape);
  const updates = reshape(graph, channelsFirst(graph, dy), [n, 1]);
  const sum = scatterAdd(graph, count(x.shape), reshape(graph, found, [n]), updates);
  const first = [x.shape[0] ?? 0, x.shape.at(-1) ?? 0, ...x.shape.slice(1, -1)];
  return channelsLast(graph, reshape(graph, sum, first));
};

export const pooling: Record<string, Rule> = {
  MaxPool: pool('MaxPool'),
  MaxPool3D: pool('MaxPool'),
  MaxPoolGrad: maximumGradient,
  MaxPool3DGrad: maximumGradient,
  AvgPool: pool('AveragePool'),
  AvgPool3D: pool('AveragePool'),
  AvgPoolGrad: averageGradient,
  AvgPool3DGrad: averageGradient,
};
