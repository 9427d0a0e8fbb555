import { backend_util, util } from '@tensorflow/tfjs-core';
import type { Value } from '../graph.js';
import { requireOutputs } from './padded.js';
import type { Rule } from './rule.js';

type Pad = Parameters<typeof backend_util.computeConv2DInfo>[4];
interface ConvAttributes {
  strides: number | [number, number];
  pad: Pad;
  dilations?: number | [number, number];
  dimRoundingMode?: 'floor' | 'round' | 'ceil';
}

/** Geometry of a 2-D convolution: tfjs works it out, the graph carries it as attributes in ONNX's order. */
const geometry = (input: readonly number[], filter: readonly number[], a: ConvAttributes) => {
  const info = backend_util.computeConv2DInfo(
    input as [number, number, number, number],
    filter as [number, number, number, number],
    a.strides,
    a.dilations ?? 1,
    a.pad,
    a.dimRoundingMode,
  );
  const { top, left, bottom, right } = info.padInfo;
  /** ONNX rounds down: where tfjs rounds up, the last window has to have its place. */
  const after = (given: number, outputs: number, stride: number, window: number, covered: number): number =>
    Math.max(given, (outputs - 1) * stride + window - covered);
  const { outHeight, outWidth, strideHeight, strideWidth, effectiveFilterHeight, effectiveFilterWidth } =
    info;
  requireOutputs(top + info.inHeight + bottom, effectiveFilterHeight, strideHeight, outHeight);
  requireOutputs(left + info.inWidth + right, effectiveFilterWidth, strideWidth, outWidth);
  const attributes = {
    strides: [strideHeight, strideWidth],
    dilations: [info.dilationHeight, info.dilationWidth],
    pads: [
      top,
      left,
      after(bottom, outHeight, strideHeight, effectiveFilterHeight, top + info.inHeight),
      after(right, outWidth, strideWidth, effectiveFilterWidth, left + info.inWidth),
    ],
  };
  return { attributes, outShape: info.outShape };
};

/**
 * Convolutions are recorded as tfjs states them (NHWC images, HWIO filters) and lowered to ONNX afterwards
 * (passes/lower-convolutions.ts), when what surrounds them is known.
 */
export const convolution: Record<string, Rule> = {
  Conv2D: (inputs, attributes: ConvAttributes, graph) => {
    const [x, filter] = [inputs['x'] as Value, inputs['filter'] as Value];
    const { attributes: conv, outShape } = geometry(x.shape, filter.shape, attributes);
    return graph.add('Conv', [x, filter], outShape, { domain: 'mesocast', attributes: conv });
  },
  Conv2DBackpropInput: (inputs, attributes: ConvAttributes & { inputShape: number[] }, graph) => {
    const [dy, filter] = [inputs['dy'] as Value, inputs['filter'] as Value];
    const { attributes: conv, outShape } = geometry(attributes.inputShape, filter.shape, attributes);
    util.assertShapesMatch(
      outShape,
      [...dy.shape],
      `A convolution of [${attributes.inputShape.join()}] with this filter, stride and padding gives another shape. `,
    );
    return graph.add('ConvInputGradient', [dy, filter], attributes.inputShape, {
      domain: 'mesocast',
      attributes: conv,
    });
  },
  Conv2DBackpropFilter: (inputs, attributes: ConvAttributes & { filterShape: number[] }, graph) => {
    const [x, dy] = [inputs['x'] as Value, inputs['dy'] as Value];
    const { attributes: conv } = geometry(x.shape, attributes.filterShape, attributes);
    return graph.add('ConvFilterGradient', [x, dy], attributes.filterShape, {
      domain: 'mesocast',
      attributes: conv,
    });
  },
};
