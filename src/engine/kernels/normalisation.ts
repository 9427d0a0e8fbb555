import { uniform, type Builder, type Value } from '../graph.js';
import { operand } from './operands.js';
import { axisMap, mapAxis } from './resize.js';
import type { Rule } from './rule.js';

interface LrnAttributes {
  readonly depthRadius: number;
  readonly bias: number;
  readonly alpha: number;
  readonly beta: number;
}

/** Sums over the channels within `radius` of each, by a band of ones. */
const neighbours = (graph: Builder, x: Value, radius: number): Value => {
  const channels = x.shape.at(-1) ?? 0;
  const band = axisMap(channels, channels, (add) => {
    for (let i = 0; i < channels; i++)
      for (let j = Math.max(0, i - radius); j <= Math.min(channels - 1, i + radius); j++) add(i, j, 1);
  });
  return mapAxis(graph, x, x.shape.length - 1, band);
};

/** bias + alpha times the sum of neighbouring channels' squares. */
const energy = (graph: Builder, x: Value, { depthRadius, bias, alpha }: LrnAttributes): Value => {
  const sum = neighbours(graph, graph.add('Mul', [x, x], x.shape), depthRadius);
  return graph.add('Add', [graph.add('Mul', [sum, uniform(alpha)], x.shape), uniform(bias)], x.shape);
};

/** Local response normalisation (Krizhevsky et al. 2012, section 3.3): y = x energy^-beta. */
export const normalisation: Record<string, Rule> = {
  LRN: (inputs, attributes: LrnAttributes, graph) => {
    const x = operand(inputs, 'x');
    const factor = graph.add('Pow', [energy(graph, x, attributes), uniform(-attributes.beta)], x.shape);
    return graph.add('Mul', [x, factor], x.shape);
  },
  /** dy energy^-beta - 2 alpha beta x (sum over neighbours of dy y / energy). */
  LRNGrad: (inputs, attributes: LrnAttributes, graph) => {
    const [x, y, dy] = [operand(inputs, 'x'), operand(inputs, 'y'), operand(inputs, 'dy')];
    const e = energy(graph, x, attributes);
    const own = graph.add('Mul', [dy, graph.add('Pow', [e, uniform(-attributes.beta)], x.shape)], x.shape);
    const share = graph.add('Div', [graph.add('Mul', [dy, y], x.shape), e], x.shape);
    const others = graph.add('Mul', [x, neighbours(graph, share, attributes.depthRadius)], x.shape);
    const scale = uniform(2 * attributes.alpha * attributes.beta);
    return graph.add('Sub', [own, graph.add('Mul', [others, scale], x.shape)], x.shape);
  },
};
