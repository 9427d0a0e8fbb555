import { count, ints, uniform, type Builder, type Node, type Value } from '../graph.js';
import { concat, reshape, transpose } from '../kernels/layout.js';
import { geometryOf, PLANES, shape4, type Geometry, type Two } from './geometry.js';

/** One position of the filter: where its view of the padded image begins. */
interface Offset {
  readonly row: number;
  readonly column: number;
}

const positions = (kh: number, kw: number): Offset[] =>
  Array.from({ length: kh * kw }, (_, k) => ({ row: Math.floor(k / kw), column: k % kw }));

/** What the filter sees of planes [C, N, H, W] from one position: every `strides`-th pixel of `size`. */
const viewFrom = (planes: Value, begin: Offset, size: Two, strides: Two, out: Builder): Value => {
  const shape = [...planes.shape.slice(0, 2), ...size];
  const end = [begin.row + (size[0] - 1) * strides[0] + 1, begin.column + (size[1] - 1) * strides[1] + 1];
  const steps = strides.every((s) => s === 1) ? [] : [ints(strides)];
  const begins = ints([begin.row, begin.column]);
  return out.add('Slice', [planes, begins, ints(end), ints([2, 3]), ...steps], shape);
};

/** Rows and columns of zeros above, left of, below and right of planes [C, N, H, W]. */
const padded = (planes: Value, [top, left, bottom, right]: Geometry['pads'], out: Builder): Value => {
  if (top === 0 && left === 0 && bottom === 0 && right === 0) return planes;
  const [c, n, h, w] = shape4(planes);
  const pads = ints([0, 0, top, left, 0, 0, bottom, right]);
  return out.add('Pad', [planes, pads, uniform(0)], [c, n, h + top + bottom, w + left + right]);
};

/** Fewer channels than this make a product too slim on its own: the positions' views become one, with one product. */
const FEW_CHANNELS = 16;
/** Numbers in an image from which on that pays for many channels too; measured with `npm run bench -- engine`. */
const LARGE_IMAGE = 2 ** 19;

/** An image, and the gradient of what was made of it. Both NHWC. */
type Pair = readonly [x: Value, dy: Value];

/**
 * Sums over all pixels of products of `shifted`, seen from every position, with `fixed`: [positions, shifted's channels,
 * fixed's channels]. A matrix product for each pair of images, each added to the last. The products take the images as
 * planes, rows of pixels, which ONNX Runtime multiplies a fifth faster than rows of channels.
 */
const correlate = (
  images: readonly { shifted: Value; fixed: Value }[],
  pads: Geometry['pads'],
  strides: Two,
  begins: readonly Offset[],
  out: Builder,
): Value => {
  const [few, c] = [shape4(images[0]?.shifted as Value)[3], shape4(images[0]?.fixed as Value)[3]];
  const pixelsOf = ({ fixed }: (typeof images)[number]): number => count(fixed.shape) / c;
  const together = few < FEW_CHANNELS || few * Math.max(...images.map(pixelsOf)) >= LARGE_IMAGE;
  const operands = images.map((image) => {
    const { shifted, fixed } = image;
    const [, h, w] = shape4(fixed);
    const pixels = pixelsOf(image);
    const planes = padded(transpose(out, shifted, PLANES), pads, out);
    const views = begins.map((begin) => viewFrom(planes, begin, [h, w], strides, out));
    return {
      views: (together ? [concat(out, views, 0)] : views).map((view) =>
        reshape(out, view, [view.shape[0] as number, pixels]),
      ),
      rows: reshape(out, transpose(out, fixed, PLANES), [c, pixels]),
    };
  });
  // ONNX Runtime works out first what is written last. So that it lays out one image at a time, not all before the first
  // product, the products come after all operands.
  let sums: readonly Value[] = [];
  for (const { views, rows } of operands)
    sums = views.map((view, k) =>
      out.add('Gemm', [view, rows, ...sums.slice(k, k + 1)], [view.shape[0] as number, c], {
        attributes: { transB: 1 },
      }),
    );
  return reshape(out, concat(out, sums, 0), [begins.length, few, c]);
};

/** The pairs of a ConvFilterGradient, whose inputs are x, dy, x, dy, ... */
export const pairsOf = (inputs: readonly Value[]): Pair[] =>
  inputs.flatMap((x, k): Pair[] => (k % 2 === 0 ? [[x, inputs[k + 1] as Value]] : []));

/**
 * dW: for every position of the filter, x as seen from there times dy, summed over all pixels. Either of the two can be
 * the one that is shifted; the one with fewer channels costs less to move.
 */
export const filterGradient = (inputs: readonly Value[], node: Node, out: Builder): Value => {
  const pairs = pairsOf(inputs);
  const { strides, dilations, pads } = geometryOf(node);
  const [kh, kw, ci, co] = shape4(node.outputs[0] as Value);
  const [top, left, bottom, right] = pads;
  const reach: Two = [dilations[0] * (kh - 1), dilations[1] * (kw - 1)];
  const room = Math.min(reach[0] - Math.max(top, bottom), reach[1] - Math.max(left, right)) >= 0;
  if (strides.every((s) => s === 1) && room && co < ci) {
    const begins = positions(kh, kw).map(({ row, column }) => ({
      row: reach[0] - row * dilations[0],
      column: reach[1] - column * dilations[1],
    }));
    const around: Geometry['pads'] = [reach[0] - top, reach[1] - left, reach[0] - bottom, reach[1] - right];
    const images = pairs.map(([x, dy]) => ({ shifted: dy, fixed: x }));
    const products = correlate(images, around, [1, 1], begins, out); // [positions, co, ci]
    return reshape(out, transpose(out, products, [0, 2, 1]), [kh, kw, ci, co]);
  }
  const begins = positions(kh, kw).map(({ row, column }) => ({
    row: row * dilations[0],
    column: column * dilations[1],
  }));
  const images = pairs.map(([x, dy]) => ({ shifted: x, fixed: dy }));
  return reshape(out, correlate(images, pads, strides, begins, out), [kh, kw, ci, co]);
};
