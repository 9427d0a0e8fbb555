import { edited, textOf } from './fields.js';
import type { OnnxModel } from './model.js';

type Rename = (name: string) => string;

const encoded = (name: string): Uint8Array => new TextEncoder().encode(name);

/** Names in a NodeProto and in the graphs of its control flow; "" is an optional input that is not there. */
const renamedNode = (node: Uint8Array, rename: Rename): Uint8Array => {
  const named = (value: Uint8Array): Uint8Array => {
    const name = textOf(value);
    return name === '' ? value : encoded(rename(name));
  };
  const info = (value: Uint8Array): Uint8Array => edited(value, { 1: named });
  const graph = (value: Uint8Array): Uint8Array =>
    edited(value, {
      1: (inner) => renamedNode(inner, rename),
      5: (tensor) => edited(tensor, { 8: named }),
      11: info,
      12: info,
      13: info,
    });
  const drop = (): undefined => undefined;
  // Nodes' own names (3) would come twice; notes (6, 9), such as PyTorch's stack traces, at every place.
  return edited(node, {
    1: named,
    2: named,
    3: drop,
    6: drop,
    9: drop,
    5: (attribute) => edited(attribute, { 6: graph, 11: graph }),
  });
};

/** The same at every place where a program uses the model: its weights are there once. */
const weightName = ({ hash }: OnnxModel, name: string): string => `m${hash.slice(0, 12)}.${name}`;

/** The weights as TensorProto messages, under the names that a program has for them. */
export const placedWeights = (model: OnnxModel): Uint8Array[] =>
  [...model.initialisers].map(([name, tensor]) =>
    edited(tensor, { 8: () => encoded(weightName(model, name)) }),
  );

/**
 * The model as NodeProto messages that read the program's values `inputs`, in the model's order, and what its outputs
 * are called then. `place` tells the uses of one model apart.
 */
export const placedNodes = (
  model: OnnxModel,
  inputs: readonly string[],
  place: string,
): { readonly nodes: readonly Uint8Array[]; readonly outputs: readonly string[] } => {
  const given = new Map(model.inputs.map(({ name }, k) => [name, inputs[k] as string]));
  const rename: Rename = (name) =>
    given.get(name) ?? (model.initialisers.has(name) ? weightName(model, name) : `${place}.${name}`);
  return {
    nodes: model.nodes.map((node) => renamedNode(node, rename)),
    outputs: model.outputs.map(({ name }) => rename(name)),
  };
};
