import { util } from '@tensorflow/tfjs-core';
import { ints, uniform, type Value } from '../graph.js';
import { reshape } from './layout.js';
import type { Rule } from './rule.js';

/** An ONNX reduction; axes that are summed over vanish unless `keepDims`. */
const reduction =
  (op: string): Rule =>
  (inputs, { axis, keepDims = false }: { axis: number | number[]; keepDims?: boolean }, graph) => {
    const x = inputs['x'] as Value;
    const axes = util.parseAxisParam(axis, [...x.shape]);
    if (axes.length === 0) return x;
    const kept = x.shape.map((d, i) => (axes.includes(i) ? 1 : d));
    const shape = keepDims ? kept : kept.filter((_, i) => !axes.includes(i));
    return graph.add(op, [x, ints(axes)], shape, { attributes: { keepdims: keepDims ? 1 : 0 } });
  };

export const reductions: Record<string, Rule> = {
  Sum: reduction('ReduceSum'),
  Mean: reduction('ReduceMean'),
  Max: reduction('ReduceMax'),
  Min: reduction('ReduceMin'),
  Prod: reduction('ReduceProd'),
  Softmax: (inputs, { dim }: { dim: number }, graph) => {
    const logits = inputs['logits'] as Value;
    return graph.add('Softmax', [logits], logits.shape, { attributes: { axis: dim } });
  },
  /** Nearest-neighbour enlargement by whole factors: repeat rows and columns, in NHWC. */
  ResizeNearestNeighbor: (inputs, { size }: { size: [number, number] }, graph) => {
    const images = inputs['images'] as Value;
    const [n = 0, h = 0, w = 0, c = 0] = images.shape;
    const [fy, fx] = [size[0] / h, size[1] / w];
    if (!Number.isInteger(fy) || !Number.isInteger(fx)) throw new Error('nearest-neighbour resize is traced for whole factors only');
    const blocks = reshape(graph, images, [n, h, 1, w, 1, c]);
    const repeated = graph.add('Expand', [blocks, ints([n, h, fy, w, fx, c])], [n, h, fy, w, fx, c]);
    return reshape(graph, repeated, [n, h * fy, w * fx, c]);
  },
  ResizeNearestNeighborGrad: (inputs, _, graph) => {
    const dy = inputs['dy'] as Value;
    const [n = 0, h = 0, w = 0, c = 0] = (inputs['images'] as Value).shape;
    const [fy, fx] = [(dy.shape[1] ?? 0) / h, (dy.shape[2] ?? 0) / w];
    const blocks = reshape(graph, dy, [n, h, fy, w, fx, c]);
    return graph.add('ReduceSum', [blocks, ints([2, 4])], [n, h, w, c], { attributes: { keepdims: 0 } });
  },
  ArgMax: (inputs, { axis }: { axis: number }, graph) => {
    const x = inputs['x'] as Value;
    const at = util.parseAxisParam(axis, [...x.shape])[0] ?? 0;
    const shape = x.shape.filter((_, i) => i !== at);
    const index = graph.add('ArgMax', [x], shape, { dtype: 'int64', attributes: { axis: at, keepdims: 0 } });
    return graph.add('Cast', [index], shape, { dtype: 'int32', attributes: { to: 'int32' } });
  },
  Cumsum: (inputs, attributes: { axis: number; exclusive: boolean; reverse: boolean }, graph) => {
    const x = inputs['x'] as Value;
    const options = { exclusive: attributes.exclusive ? 1 : 0, reverse: attributes.reverse ? 1 : 0 };
    return graph.add('CumSum', [x, uniform(attributes.axis, [], 'int32')], x.shape, { attributes: options });
  },
};
