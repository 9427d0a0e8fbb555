import { listOf, rewrite, type Builder, type Graph, type Node, type Value } from '../graph.js';
import { transpose } from '../kernels/layout.js';
import { CHANNELS_FIRST, CHANNELS_LAST, shape4 } from './geometry.js';

/** Of [N, H, W, b, b, C] and of [N, H, b, W, b, C]: each becomes the other. */
const EXCHANGE = '0,1,3,2,4,5';

const is = (value: Value, ...shape: readonly number[]): boolean => value.shape.join() === shape.join();

/** What ONNX calls the way from `x` over `middle`, whose third and fourth axis change places, to `y`. */
const named = (x: Value, middle: Value, y: Value): { op: string; block: number } | undefined => {
  const [n = 0, h = 0, p = 0, q = 0, r = 0, c = 0] = middle.shape;
  if (x.dtype !== 'float32' || r === 1) return undefined;
  if (q === r && is(x, n, h, p, q * r * c) && is(y, n, h * q, p * r, c))
    return { op: 'DepthToSpace', block: r };
  if (p === r && is(x, n, h * p, q * r, c) && is(y, n, h, q, p * r * c))
    return { op: 'SpaceToDepth', block: r };
  return undefined;
};

const exchanged = (x: Value, y: Value, { op, block }: { op: string; block: number }, out: Builder): Value => {
  const [n, h, w, c] = shape4(y);
  const moved = out.add(op, [transpose(out, x, CHANNELS_FIRST)], [n, c, h, w], {
    attributes: { blocksize: block },
  });
  return transpose(out, moved, CHANNELS_LAST);
};

/**
 * Groups of channels that become blocks of pixels, and the reverse, are a reshape, a transposition and a reshape in
 * tfjs: one operation of ONNX's, which takes channels first as the convolutions beside it.
 */
export const mergeBlocks = (graph: Graph): Graph => {
  const makers = new Map<Value, Node>();
  return rewrite(graph, (node, inputs, out) => {
    const [[x], [result]] = [inputs, node.outputs];
    if (x === undefined || result === undefined) return undefined;
    if (node.op === 'Reshape') {
      const turned = makers.get(x);
      const split = makers.get(turned?.inputs[0] as Value);
      const [image] = split?.inputs ?? [];
      if (turned?.op === 'Transpose' && listOf(turned, 'perm').join() === EXCHANGE && image !== undefined) {
        const known = named(image, turned.inputs[0] as Value, result);
        if (known !== undefined) return [exchanged(image, result, known, out)];
      }
    }
    if (node.op === 'Reshape' || node.op === 'Transpose') makers.set(result, { ...node, inputs });
    return undefined;
  });
};
