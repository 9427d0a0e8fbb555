import { backend_util } from '@tensorflow/tfjs-core';
import type { Builder, Value } from '../graph.js';
import {
  channelsFirst,
  channelsLast,
  correlate,
  filterGradient,
  imageGradient,
  type Axis,
} from './correlation.js';
import { reshape, transpose } from './layout.js';
import { operand } from './operands.js';
import { requireOutputs } from './padded.js';
import type { Rule } from './rule.js';

interface DepthwiseAttributes {
  readonly strides: number | [number, number];
  readonly pad: Parameters<typeof backend_util.computeConv2DInfo>[4];
  readonly dilations?: number | [number, number];
  readonly dimRoundingMode?: 'floor' | 'round' | 'ceil';
}
type Shape4 = [number, number, number, number];

const axesOf = (image: readonly number[], filter: readonly number[], a: DepthwiseAttributes): Axis[] => {
  const i = backend_util.computeConv2DInfo(
    [...image] as Shape4,
    [...filter] as Shape4,
    a.strides,
    a.dilations ?? 1,
    a.pad,
    a.dimRoundingMode,
    true,
  );
  const { top, bottom, left, right } = i.padInfo;
  requireOutputs(top + i.inHeight + bottom, i.effectiveFilterHeight, i.strideHeight, i.outHeight);
  requireOutputs(left + i.inWidth + right, i.effectiveFilterWidth, i.strideWidth, i.outWidth);
  return [
    {
      ...{ length: i.inHeight, size: i.filterHeight, outputs: i.outHeight },
      ...{ stride: i.strideHeight, dilation: i.dilationHeight, before: i.padInfo.top },
    },
    {
      ...{ length: i.inWidth, size: i.filterWidth, outputs: i.outWidth },
      ...{ stride: i.strideWidth, dilation: i.dilationWidth, before: i.padInfo.left },
    },
  ];
};

/** [h, w, c, m] -> [c m, 1, h, w], one group for each channel of the image. */
const grouped = (graph: Builder, filter: Value): Value => {
  const [h = 1, w = 1, c = 1, m = 1] = filter.shape;
  return reshape(graph, transpose(graph, filter, [2, 3, 0, 1]), [c * m, 1, h, w]);
};

/** Each channel of the image has m filters of its own: filters [h, w, c, m], results [N, H, W, c m]. */
export const depthwise: Record<string, Rule> = {
  DepthwiseConv2dNative: (inputs, attributes: DepthwiseAttributes, graph) => {
    const [x, filter] = [operand(inputs, 'x'), operand(inputs, 'filter')];
    const axes = axesOf(x.shape, filter.shape, attributes);
    const group = x.shape[3] ?? 1;
    return channelsLast(
      graph,
      correlate(graph, channelsFirst(graph, x), grouped(graph, filter), axes, group),
    );
  },
  DepthwiseConv2dNativeBackpropInput: (
    inputs,
    attributes: DepthwiseAttributes & { inputShape: number[] },
    graph,
  ) => {
    const [dy, filter] = [operand(inputs, 'dy'), operand(inputs, 'filter')];
    const { inputShape } = attributes;
    const axes = axesOf(inputShape, filter.shape, attributes);
    const group = inputShape[3] ?? 1;
    const dx = imageGradient(graph, channelsFirst(graph, dy), grouped(graph, filter), axes, group);
    return channelsLast(graph, dx);
  },
  DepthwiseConv2dNativeBackpropFilter: (
    inputs,
    attributes: DepthwiseAttributes & { filterShape: number[] },
    graph,
  ) => {
    const [x, dy] = [operand(inputs, 'x'), operand(inputs, 'dy')];
    const [h = 1, w = 1, c = 1, m = 1] = attributes.filterShape;
    const axes = axesOf(x.shape, attributes.filterShape, attributes);
    const dw = filterGradient(graph, channelsFirst(graph, x), channelsFirst(graph, dy), axes, c);
    return transpose(graph, reshape(graph, dw, [c, m, h, w]), [2, 3, 0, 1]);
  },
};
