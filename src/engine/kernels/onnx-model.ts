import type { Value } from '../graph.js';
import type { OnnxModel } from '../onnx/model.js';
import type { Rule } from './rule.js';

/** Somebody's .onnx file as one node, whatever is in it: passes leave it alone, and the writer puts the file in its place. */
export const onnxModels: Record<string, Rule> = {
  OnnxModel: (inputs, { model, shapes }: { model: OnnxModel; shapes: number[][] }, graph) => {
    const outputs = shapes.map((shape): Value => ({ shape, dtype: 'float32' }));
    const attributes = { hash: model.hash }; // equal nodes are merged by their attributes
    graph.nodes.push({
      op: 'OnnxModel',
      domain: 'mesocast',
      inputs: Object.values(inputs),
      outputs,
      attributes,
      model,
    });
    return outputs;
  },
};
