import {
  constantOf,
  count,
  ints,
  rewrite,
  uniform,
  type Builder,
  type Graph,
  type Node,
  type Value,
} from '../graph.js';
import { reshape, transpose } from '../kernels/layout.js';
import { filterGradient } from './filter-gradients.js';
import { CHANNELS_FIRST, CHANNELS_LAST, FILTER, geometryOf, pairOf, shape4, type Two } from './geometry.js';

type Lowering = (inputs: readonly Value[], node: Node, out: Builder) => Value;

/** Its third input, if it has one, is the bias (merge-bias.ts). */
const convolution: Lowering = (inputs, node, out) => {
  const [x, filter, ...biases] = inputs as [Value, Value];
  const { strides, dilations, pads } = geometryOf(node);
  const y = out.add(
    'Conv',
    [
      transpose(out, x, CHANNELS_FIRST),
      transpose(out, filter, FILTER),
      ...biases.map((bias: Value) => reshape(out, bias, [count(bias.shape)])),
    ],
    CHANNELS_FIRST.map((axis) => shape4(node.outputs[0] as Value)[axis] as number),
    { attributes: { strides, dilations, pads } },
  );
  return transpose(out, y, CHANNELS_LAST);
};

/** Stride 1: a convolution of dy with the filter turned by 180 degrees. Larger strides: a transposed convolution. */
const inputGradient = (dy: Value, filter: Value, node: Node, out: Builder): Value => {
  const { strides, dilations, pads } = geometryOf(node);
  const [kh, kw] = shape4(filter);
  const [n, h, w, c] = shape4(node.outputs[0] as Value);
  const [, ho, wo] = shape4(dy);
  const [top, left, bottom, right] = pads;
  const reach: Two = [dilations[0] * (kh - 1), dilations[1] * (kw - 1)];
  const first = transpose(out, dy, CHANNELS_FIRST);
  const room = reach[0] >= Math.max(top, bottom) && reach[1] >= Math.max(left, right);
  if (strides[0] === 1 && strides[1] === 1 && room) {
    const end = -(2 ** 31);
    const turned = out.add(
      'Slice',
      [filter, ints([-1, -1]), ints([end, end]), ints([0, 1]), ints([-1, -1])],
      filter.shape,
    );
    const y = out.add('Conv', [first, transpose(out, turned, [2, 3, 0, 1])], [n, c, h, w], {
      attributes: {
        strides,
        dilations,
        pads: [reach[0] - top, reach[1] - left, reach[0] - bottom, reach[1] - right],
      },
    });
    return transpose(out, y, CHANNELS_LAST);
  }
  const left_over = [
    h - ((ho - 1) * strides[0] + reach[0] + 1 - top - bottom),
    w - ((wo - 1) * strides[1] + reach[1] + 1 - left - right),
  ];
  const y = out.add('ConvTranspose', [first, transpose(out, filter, FILTER)], [n, c, h, w], {
    attributes: { strides, dilations, pads, output_padding: left_over },
  });
  return transpose(out, y, CHANNELS_LAST);
};

/** Every pixel repeated, in channels-first order as its neighbours want it. */
const enlarge = (x: Value, node: Node, out: Builder): Value => {
  const [fy, fx] = pairOf(node, 'factors');
  const [n, h, w, c] = shape4(x);
  const region = constantOf(new Float32Array(0), [0], 'float32');
  const scales = constantOf(Float32Array.of(1, 1, fy, fx), [4], 'float32');
  const y = out.add('Resize', [transpose(out, x, CHANNELS_FIRST), region, scales], [n, c, h * fy, w * fx], {
    attributes: { mode: 'nearest', nearest_mode: 'floor', coordinate_transformation_mode: 'asymmetric' },
  });
  return transpose(out, y, CHANNELS_LAST);
};

/** The sum over the copies of every pixel: their mean, for which ONNX Runtime has the faster routine, times their number. */
const enlargeGradient = (dy: Value, node: Node, out: Builder): Value => {
  const factors = pairOf(node, 'factors');
  const [n, h, w, c] = shape4(node.outputs[0] as Value);
  const mean = out.add('AveragePool', [transpose(out, dy, CHANNELS_FIRST)], [n, c, h, w], {
    attributes: { kernel_shape: factors, strides: factors },
  });
  const sum = out.add('Mul', [mean, uniform(factors[0] * factors[1])], mean.shape);
  return transpose(out, sum, CHANNELS_LAST);
};

const ofTwo =
  (lower: (a: Value, b: Value, node: Node, out: Builder) => Value): Lowering =>
  ([a, b], node, out) =>
    lower(a as Value, b as Value, node, out);
const ofOne =
  (lower: (x: Value, node: Node, out: Builder) => Value): Lowering =>
  ([x], node, out) =>
    lower(x as Value, node, out);

const lowerings: Record<string, Lowering> = {
  Conv: convolution,
  ConvInputGradient: ofTwo(inputGradient),
  ConvFilterGradient: filterGradient,
  Enlarge: ofOne(enlarge),
  EnlargeGradient: ofOne(enlargeGradient),
};

/** Writes convolutions and their gradients in ONNX operations, which want channels first. */
export const lowerConvolutions = (graph: Graph): Graph =>
  rewrite(graph, (node, inputs, out) => {
    if (node.domain !== 'mesocast') return undefined;
    const lower = lowerings[node.op];
    return lower === undefined ? undefined : [lower(inputs, node, out)];
  });
