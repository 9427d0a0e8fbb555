import { backend_util } from '@tensorflow/tfjs-core';
import type { Value } from '../graph.js';
import type { Rule } from './rule.js';

type Pad = Parameters<typeof backend_util.computeConv2DInfo>[4];
interface ConvAttributes {
  strides: number | [number, number];
  pad: Pad;
  dilations?: number | [number, number];
  dimRoundingMode?: 'floor' | 'round' | 'ceil';
  dataFormat?: 'NHWC' | 'NCHW';
}

/** Geometry of a 2-D convolution: tfjs works it out, the graph carries it as attributes in ONNX's order. */
const geometry = (input: readonly number[], filter: readonly number[], a: ConvAttributes) => {
  if (a.dataFormat === 'NCHW') throw new Error('convolutions are traced in NHWC only: transpose first');
  const info = backend_util.computeConv2DInfo(
    input as [number, number, number, number],
    filter as [number, number, number, number],
    a.strides,
    a.dilations ?? 1,
    a.pad,
    a.dimRoundingMode,
  );
  const { top, left, bottom, right } = info.padInfo;
  const attributes = {
    strides: [info.strideHeight, info.strideWidth],
    dilations: [info.dilationHeight, info.dilationWidth],
    pads: [top, left, bottom, right],
  };
  return { attributes, outShape: info.outShape };
};

/** How often nearest-neighbour enlargement repeats rows and columns. */
const factors = (
  small: readonly number[],
  large: readonly number[],
): { factors: readonly [number, number] } => {
  const [fy, fx] = [(large[1] ?? 0) / (small[1] ?? 1), (large[2] ?? 0) / (small[2] ?? 1)];
  if (!Number.isInteger(fy) || !Number.isInteger(fx)) {
    throw new Error(
      'nearest-neighbour resize is traced for whole factors only: enlarge by a whole factor, then crop',
    );
  }
  return { factors: [fy, fx] };
};

/**
 * Convolutions (and enlargement, which stands between them in a decoder) are recorded as tfjs states them (NHWC images, HWIO filters) and lowered to ONNX afterwards
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
    const { attributes: conv } = geometry(attributes.inputShape, filter.shape, attributes);
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
  ResizeNearestNeighbor: (inputs, { size }: { size: [number, number] }, graph) => {
    const images = inputs['images'] as Value;
    const [n = 0, , , c = 0] = images.shape;
    const shape = [n, size[0], size[1], c];
    return graph.add('Enlarge', [images], shape, {
      domain: 'mesocast',
      attributes: factors(images.shape, shape),
    });
  },
  ResizeNearestNeighborGrad: (inputs, _, graph) => {
    const [dy, images] = [inputs['dy'] as Value, inputs['images'] as Value];
    return graph.add('EnlargeGradient', [dy], images.shape, {
      domain: 'mesocast',
      attributes: factors(images.shape, dy.shape),
    });
  },
};
