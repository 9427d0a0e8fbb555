import { constantOf, ints, rewrite, uniform, type Builder, type Graph, type Node, type Value } from '../graph.js';
import { concat, reshape, transpose } from '../kernels/layout.js';

type Pair = readonly [number, number];
interface Geometry {
  readonly strides: Pair;
  readonly dilations: Pair;
  /** top, left, bottom, right */
  readonly pads: readonly [number, number, number, number];
}
type Shape4 = readonly [number, number, number, number];

const geometryOf = (node: Node): Geometry => node.attributes as unknown as Geometry;
const shape4 = (value: Value): Shape4 => value.shape as unknown as Shape4;

const CHANNELS_FIRST = [0, 3, 1, 2];
const CHANNELS_LAST = [0, 2, 3, 1];
/** HWIO -> OIHW */
const FILTER = [3, 2, 0, 1];

const convolution = (x: Value, filter: Value, node: Node, out: Builder): Value => {
  const { strides, dilations, pads } = geometryOf(node);
  const y = out.add(
    'Conv',
    [transpose(out, x, CHANNELS_FIRST), transpose(out, filter, FILTER)],
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
  const reach: Pair = [dilations[0] * (kh - 1), dilations[1] * (kw - 1)];
  const first = transpose(out, dy, CHANNELS_FIRST);
  const room = reach[0] >= Math.max(top, bottom) && reach[1] >= Math.max(left, right);
  if (strides[0] === 1 && strides[1] === 1 && room) {
    const end = -(2 ** 31);
    const turned = out.add('Slice', [filter, ints([-1, -1]), ints([end, end]), ints([0, 1]), ints([-1, -1])], filter.shape);
    const y = out.add('Conv', [first, transpose(out, turned, [2, 3, 0, 1])], [n, c, h, w], {
      attributes: { strides, dilations, pads: [reach[0] - top, reach[1] - left, reach[0] - bottom, reach[1] - right] },
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

/** Fewer input channels than this, and rows of the matrix product become too short to be worth it. */
const FEW_CHANNELS = 8;

/** dW as a convolution in which batch and channels change places: x is the image, dy the filter. */
const filterGradientByConvolution = (x: Value, dy: Value, node: Node, out: Builder): Value => {
  const { strides, dilations, pads } = geometryOf(node);
  const [kh, kw, ci, co] = shape4(node.outputs[0] as Value);
  const [n, h, w] = shape4(x);
  const [, ho, wo] = shape4(dy);
  const [top, left] = pads;
  // What the convolution never looked at (the stride did not divide) is cut off by a smaller, even negative, pad.
  const bottom = dilations[0] * (kh - 1) + (ho - 1) * strides[0] + 1 - h - top;
  const right = dilations[1] * (kw - 1) + (wo - 1) * strides[1] + 1 - w - left;
  const image = out.add(
    'Pad',
    [transpose(out, x, [3, 0, 1, 2]), ints([0, 0, top, left, 0, 0, bottom, right]), uniform(0)],
    [ci, n, h + top + bottom, w + left + right],
  );
  const y = out.add('Conv', [image, transpose(out, dy, [3, 0, 1, 2])], [ci, co, kh, kw], {
    attributes: { strides: dilations, dilations: strides, pads: [0, 0, 0, 0] },
  });
  return transpose(out, y, [2, 3, 0, 1]);
};

/** dW as one matrix product per filter position: x under that position, transposed, times dy. */
const filterGradientByProducts = (x: Value, dy: Value, node: Node, out: Builder): Value => {
  const { strides, dilations, pads } = geometryOf(node);
  const [kh, kw, ci, co] = shape4(node.outputs[0] as Value);
  const [n, h, w] = shape4(x);
  const [, ho, wo] = shape4(dy);
  const [top, left, bottom, right] = pads;
  const image = pads.every((p) => p === 0)
    ? x
    : out.add('Pad', [x, ints([0, top, left, 0, 0, bottom, right, 0]), uniform(0)], [n, h + top + bottom, w + left + right, ci]);
  const rows = reshape(out, dy, [n * ho * wo, co]);
  const products: Value[] = [];
  for (let i = 0; i < kh; i++) {
    for (let j = 0; j < kw; j++) {
      const begin = [i * dilations[0], j * dilations[1]] as const;
      const end = [begin[0] + (ho - 1) * strides[0] + 1, begin[1] + (wo - 1) * strides[1] + 1];
      const whole = kh === 1 && kw === 1 && strides.every((s) => s === 1) && image === x;
      const under = whole
        ? x
        : out.add('Slice', [image, ints(begin), ints(end), ints([1, 2]), ints(strides)], [n, ho, wo, ci]);
      const matrix = reshape(out, under, [n * ho * wo, ci]);
      products.push(out.add('Gemm', [matrix, rows], [ci, co], { attributes: { transA: 1 } }));
    }
  }
  return reshape(out, concat(out, products, 0), [kh, kw, ci, co]);
};

const filterGradient = (x: Value, dy: Value, node: Node, out: Builder): Value =>
  shape4(x)[3] < FEW_CHANNELS
    ? filterGradientByConvolution(x, dy, node, out)
    : filterGradientByProducts(x, dy, node, out);

/** Every pixel repeated, in channels-first order as its neighbours want it. */
const enlarge = (x: Value, node: Node, out: Builder): Value => {
  const [fy, fx] = node.attributes['factors'] as unknown as Pair;
  const [n, h, w, c] = shape4(x);
  const region = constantOf(new Float32Array(0), [0], 'float32');
  const scales = constantOf(Float32Array.of(1, 1, fy, fx), [4], 'float32');
  const y = out.add('Resize', [transpose(out, x, CHANNELS_FIRST), region, scales], [n, c, h * fy, w * fx], {
    attributes: { mode: 'nearest', nearest_mode: 'floor', coordinate_transformation_mode: 'asymmetric' },
  });
  return transpose(out, y, CHANNELS_LAST);
};

/** The sum over the copies of every pixel. */
const enlargeGradient = (dy: Value, node: Node, out: Builder): Value => {
  const [fy, fx] = node.attributes['factors'] as unknown as Pair;
  const [n, h, w, c] = shape4(node.outputs[0] as Value);
  const blocks = reshape(out, transpose(out, dy, CHANNELS_FIRST), [n, c, h, fy, w, fx]);
  const sum = out.add('ReduceSum', [blocks, ints([3, 5])], [n, c, h, w], { attributes: { keepdims: 0 } });
  return transpose(out, sum, CHANNELS_LAST);
};

type Lowering = (inputs: readonly Value[], node: Node, out: Builder) => Value;
const ofTwo =
  (lower: (a: Value, b: Value, node: Node, out: Builder) => Value): Lowering =>
  ([a, b], node, out) =>
    lower(a as Value, b as Value, node, out);
const ofOne =
  (lower: (x: Value, node: Node, out: Builder) => Value): Lowering =>
  ([x], node, out) =>
    lower(x as Value, node, out);

const lowerings: Record<string, Lowering> = {
  Conv: ofTwo(convolution),
  ConvInputGradient: ofTwo(inputGradient),
  ConvFilterGradient: ofTwo(filterGradient),
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
