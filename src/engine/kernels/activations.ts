import { backend_util } from '@tensorflow/tfjs-core';
import { uniform, type Builder, type Value } from '../graph.js';
import { cast, compare, operand, where } from './operands.js';
import type { Rule } from './rule.js';

const plain =
  (op: string): Rule =>
  (inputs, _, graph) => {
    const x = operand(inputs, 'x');
    return graph.add(op, [x], x.shape);
  };

export const leakyRelu = (graph: Builder, value: Value, alpha: number): Value => {
  const x = cast(graph, value, 'float32');
  return graph.add('LeakyRelu', [x], x.shape, { attributes: { alpha: { float: alpha } } });
};

export const relu6 = (graph: Builder, x: Value): Value =>
  graph.add('Clip', [x, uniform(0, [], x.dtype), uniform(6, [], x.dtype)], x.shape);

/** x above zero, alpha x below; alpha broadcasts. */
export const prelu = (graph: Builder, value: Value, alpha: Value): Value => {
  const x = cast(graph, value, 'float32');
  const shape = backend_util.assertAndGetBroadcastShape([...x.shape], [...alpha.shape]);
  const below = compare(graph, 'Less', x, uniform(0), x.shape);
  return where(graph, below, graph.add('Mul', [alpha, x], shape), x, shape);
};

export const activations: Record<string, Rule> = {
  Sigmoid: plain('Sigmoid'),
  Tanh: plain('Tanh'),
  Relu: plain('Relu'),
  Elu: plain('Elu'),
  Selu: plain('Selu'),
  Softplus: plain('Softplus'),
  Relu6: (inputs, _, graph) => relu6(graph, operand(inputs, 'x')),
  LeakyRelu: (inputs, { alpha }: { alpha: number }, graph) => leakyRelu(graph, operand(inputs, 'x'), alpha),
  Prelu: (inputs, _, graph) => prelu(graph, operand(inputs, 'x'), operand(inputs, 'alpha')),
  /** From the result y = e^x - 1 of the negative side: its derivative is y + 1. */
  EluGrad: (inputs, _, graph) => {
    const [dy, y] = [operand(inputs, 'dy'), operand(inputs, 'y')];
    const negative = graph.add('Mul', [dy, graph.add('Add', [y, uniform(1)], y.shape)], y.shape);
    return where(graph, compare(graph, 'GreaterOrEqual', y, uniform(0), y.shape), dy, negative, y.shape);
  },
  /** 1 above zero, alpha below: the derivative that tfjs uses for abs and relu. */
  Step: (inputs, { alpha }: { alpha: number }, graph) => {
    const x = operand(inputs, 'x');
    const above = compare(graph, 'Greater', x, uniform(0, [], x.dtype), x.shape);
    return where(graph, above, uniform(1, [], x.dtype), uniform(alpha, [], x.dtype), x.shape);
  },
  Softmax: (inputs, { dim }: { dim: number }, graph) => {
    const logits = operand(inputs, 'logits');
    return graph.add('Softmax', [logits], logits.shape, { attributes: { axis: dim } });
  },
};
