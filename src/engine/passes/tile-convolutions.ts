import { listOf, rewrite, type Builder, type Graph, type Node, type Value } from '../graph.js';
import { transpose } from '../kernels/layout.js';
import { pairsOf } from './filter-gradients.js';
import { CHANNELS_FIRST, CHANNELS_LAST, geometryOf, shape4, type Geometry, type Shape4 } from './geometry.js';
import {
  evaluateFilter,
  evaluateGradient,
  evaluateImage,
  gatherFilter,
  interpolate,
  multiply,
  multiplyTransposed,
  TILE,
} from './winograd.js';

/** Kernels of convolutions and of their inputs' gradients, and of filters' gradients, that gain by it. */
const CONVOLUTIONS = [5];
const FILTER_GRADIENTS = [3, 5];
/** Channels that make the saved products outweigh the tiles' making: of x and y together as 1 / (1 / x + 1 / y). */
const ENOUGH_CHANNELS = 40;
/** Making tiles of a line takes products of its whole length. */
const LONGEST_LINE = 32;

/** Shapes [N, H, W, C] of what is convolved and of the result. */
const pays = (x: Shape4, y: Shape4, [kh, kw]: Shape4, node: Node, kernels: readonly number[]): boolean => {
  return (
    kh === kw &&
    kernels.includes(kh) &&
    [...listOf(node, 'strides'), ...listOf(node, 'dilations')].every((step) => step === 1) &&
    Math.min(...geometryOf(node).pads) >= 0 &&
    y[1] % TILE === 0 &&
    y[2] % TILE === 0 &&
    Math.max(x[1], x[2], y[1], y[2]) <= LONGEST_LINE &&
    1 / (1 / x[3] + 1 / y[3]) >= ENOUGH_CHANNELS
  );
};

const convolved = (x: Value, filter: Value, pads: Geometry['pads'], turned: boolean, out: Builder): Value => {
  const [n, h, w] = shape4(x);
  const [kernel, , ci, co] = shape4(filter);
  const [top, left, bottom, right] = pads;
  const image = evaluateImage(transpose(out, x, CHANNELS_FIRST), { kernel, pads }, out);
  const filters = evaluateFilter(filter, turned, out);
  const products = multiply(turned ? filters : transpose(out, filters, [0, 2, 1]), image, out);
  const size: Shape4 = [n, turned ? ci : co, h + top + bottom - kernel + 1, w + left + right - kernel + 1];
  return transpose(out, interpolate(products, size, kernel, out), CHANNELS_LAST);
};

const tiled = (node: Node, inputs: readonly Value[], out: Builder): Value | undefined => {
  const [x, second] = inputs;
  const [result] = node.outputs;
  if (x === undefined || second === undefined || result === undefined) return undefined;
  const { pads } = geometryOf(node);
  if (node.op !== 'ConvFilterGradient') {
    if (!pays(shape4(x), shape4(result), shape4(second), node, CONVOLUTIONS)) return undefined;
    if (node.op === 'Conv') return convolved(x, second, pads, false, out);
    const [reach] = shape4(second);
    const [top, left, bottom, right] = pads.map((pad) => reach - 1 - pad) as [number, number, number, number];
    if (Math.min(top, left, bottom, right) < 0) return undefined;
    return convolved(x, second, [top, left, bottom, right], true, out);
  }
  const [kernel] = shape4(result);
  if (!pays(shape4(x), shape4(second), shape4(result), node, FILTER_GRADIENTS)) return undefined;
  const sum = pairsOf(inputs)
    .map(([image, dy]) => {
      const a = evaluateImage(transpose(out, image, CHANNELS_FIRST), { kernel, pads }, out);
      const b = evaluateGradient(transpose(out, dy, CHANNELS_FIRST), kernel, out);
      return multiplyTransposed(a, b, out);
    })
    .reduce((total, one) => out.add('Add', [total, one], total.shape));
  return gatherFilter(sum, kernel, out);
};

const TILED = new Set(['Conv', 'ConvInputGradient', 'ConvFilterGradient']);

/**
 * Convolutions with many channels by Winograd's algorithm (winograd.ts), on the CPU, where it is faster: gradients of
 * filters 3 x 3 and 5 x 5, and everything of 5 x 5.
 */
export const tileConvolutions = (graph: Graph): Graph =>
  rewrite(graph, (node, inputs, out) => {
    if (node.domain !== 'mesocast' || !TILED.has(node.op)) return undefined;
    const result = tiled(node, inputs, out);
    return result && [result];
  });
