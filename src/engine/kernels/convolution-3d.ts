import { backend_util } from '@tensorflow/tfjs-core';
import {
  channelsFirst,
  channelsLast,
  correlate,
  filterGradient,
  imageGradient,
  type Axis,
} from './correlation.js';
import { transpose } from './layout.js';
import { operand } from './operands.js';
import type { Rule } from './rule.js';

type Triple = [number, number, number];
type Shape5 = [number, number, number, number, number];
interface Conv3DAttributes {
  readonly strides: number | Triple;
  readonly pad: 'valid' | 'same';
  readonly dilations?: number | Triple;
}

const axesOf = (image: readonly number[], filter: readonly number[], a: Conv3DAttributes): Axis[] => {
  const i = backend_util.computeConv3DInfo(
    [...image] as Shape5,
    [...filter] as Shape5,
    a.strides,
    a.dilations ?? 1,
    a.pad,
  );
  // Where a stride beyond the filter leaves voxels out, tfjs speaks of negative padding; TensorFlow of none.
  const before = (pad: number): number => Math.max(0, pad);
  return [
    {
      ...{ length: i.inDepth, size: i.filterDepth, outputs: i.outDepth },
      ...{ stride: i.strideDepth, dilation: i.dilationDepth, before: before(i.padInfo.front) },
    },
    {
      ...{ length: i.inHeight, size: i.filterHeight, outputs: i.outHeight },
      ...{ stride: i.strideHeight, dilation: i.dilationHeight, before: before(i.padInfo.top) },
    },
    {
      ...{ length: i.inWidth, size: i.filterWidth, outputs: i.outWidth },
      ...{ stride: i.strideWidth, dilation: i.dilationWidth, before: before(i.padInfo.left) },
    },
  ];
};

/** Filters [d, h, w, in, out] -> [out, in, d, h, w], and back. */
const TO_ONNX = [4, 3, 0, 1, 2];
const FROM_ONNX = [2, 3, 4, 1, 0];

/** Volumes [N, D, H, W, C]. */
export const convolution3d: Record<string, Rule> = {
  Conv3D: (inputs, attributes: Conv3DAttributes, graph) => {
    const [x, filter] = [operand(inputs, 'x'), operand(inputs, 'filter')];
    const axes = axesOf(x.shape, filter.shape, attributes);
    const rows = transpose(graph, filter, TO_ONNX);
    return channelsLast(graph, correlate(graph, channelsFirst(graph, x), rows, axes, 1));
  },
  Conv3DBackpropInputV2: (inputs, attributes: Conv3DAttributes & { inputShape: number[] }, graph) => {
    const [dy, filter] = [operand(inputs, 'dy'), operand(inputs, 'filter')];
    const axes = axesOf(attributes.inputShape, filter.shape, attributes);
    const rows = transpose(graph, filter, TO_ONNX);
    return channelsLast(graph, imageGradient(graph, channelsFirst(graph, dy), rows, axes, 1));
  },
  Conv3DBackpropFilterV2: (inputs, attributes: Conv3DAttributes & { filterShape: number[] }, graph) => {
    const [x, dy] = [operand(inputs, 'x'), operand(inputs, 'dy')];
    const axes = axesOf(x.shape, attributes.filterShape, attributes);
    const dw = filterGradient(graph, channelsFirst(graph, x), channelsFirst(graph, dy), axes, 1);
    return transpose(graph, dw, FROM_ONNX);
  },
};
