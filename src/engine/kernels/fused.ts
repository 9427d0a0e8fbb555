import { backend_util } from '@tensorflow/tfjs-core';
import { uniform, type Builder, type Value } from '../graph.js';
import { leakyRelu, prelu, relu6 } from './activations.js';
import { inEitherOrder } from './channels-first.js';
import { convolution } from './convolution.js';
import { depthwise } from './depthwise.js';
import { operand } from './operands.js';
import { products } from './products.js';
import type { Rule } from './rule.js';

interface FusedAttributes {
  readonly activation: 'linear' | 'relu' | 'relu6' | 'elu' | 'sigmoid' | 'prelu' | 'leakyrelu';
  readonly leakyreluAlpha?: number;
}

const activated = (
  graph: Builder,
  x: Value,
  inputs: Record<string, Value>,
  { activation, leakyreluAlpha }: FusedAttributes,
): Value => {
  switch (activation) {
    case 'linear':
      return x;
    case 'relu':
      return graph.add('Relu', [x], x.shape);
    case 'relu6':
      return relu6(graph, x);
    case 'elu':
      return graph.add('Elu', [x], x.shape);
    case 'sigmoid':
      return graph.add('Sigmoid', [x], x.shape);
    case 'prelu':
      return prelu(graph, x, operand(inputs, 'preluActivationWeights'));
    case 'leakyrelu':
      return leakyRelu(graph, x, leakyreluAlpha ?? 0.2);
    default:
      throw new Error(`no rule for the fused activation ${String(activation)}: apply it apart`);
  }
};

/** `base`, plus a bias, then an activation: tf.fused hands them over as one kernel. */
const fused =
  (base: Rule): Rule =>
  (inputs, attributes: FusedAttributes, graph) => {
    const y = base(inputs, attributes, graph) as Value;
    const bias = inputs['bias'];
    return activated(
      graph,
      bias === undefined ? y : graph.add('Add', [y, bias], y.shape),
      inputs,
      attributes,
    );
  };

export const fusedKernels: Record<string, Rule> = {
  ...inEitherOrder({
    FusedConv2D: fused(convolution['Conv2D'] as Rule),
    FusedDepthwiseConv2D: fused(depthwise['DepthwiseConv2dNative'] as Rule),
  }),
  _FusedMatMul: fused(products['BatchMatMul'] as Rule),
  FusedBatchNorm: (inputs, { varianceEpsilon }: { varianceEpsilon: number }, graph) => {
    const [x, mean, variance] = [operand(inputs, 'x'), operand(inputs, 'mean'), operand(inputs, 'variance')];
    const { scale, offset } = inputs;
    const shapeOf = (a: Value, b: Value): number[] =>
      backend_util.assertAndGetBroadcastShape([...a.shape], [...b.shape]);
    const deviation = graph.add(
      'Sqrt',
      [graph.add('Add', [variance, uniform(varianceEpsilon)], variance.shape)],
      variance.shape,
    );
    const factor =
      scale === undefined
        ? graph.add('Reciprocal', [deviation], deviation.shape)
        : graph.add('Div', [scale, deviation], shapeOf(scale, deviation));
    const y = graph.add('Mul', [graph.add('Sub', [x, mean], x.shape), factor], x.shape);
    return offset === undefined ? y : graph.add('Add', [y, offset], x.shape);
  },
};
