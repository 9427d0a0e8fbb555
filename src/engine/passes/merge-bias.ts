import { count, type Graph, type Node, type Value } from '../graph.js';
import { usesOf } from './uses.js';

/** A number for each channel of an NHWC image, whatever axes of length 1 stand before it. */
const isBias = ({ shape, constant }: Value, image: readonly number[]): boolean =>
  constant === undefined &&
  shape.length <= image.length &&
  shape.at(-1) === image.at(-1) &&
  count(shape) === image.at(-1);

/** What is added to each channel of a convolution that nothing else uses becomes the convolution's own bias. */
export const mergeBias = (graph: Graph): Graph => {
  const uses = usesOf(graph);
  const makers = new Map<Value, Node>();
  for (const node of graph.nodes) for (const value of node.outputs) makers.set(value, node);
  const merged = new Set<Node>();
  const biased = (node: Node): Node | undefined => {
    if (node.op !== 'Add') return undefined;
    for (const [k, value] of node.inputs.entries()) {
      const [maker, bias] = [makers.get(value), node.inputs[1 - k] as Value];
      if (maker?.op !== 'Conv' || maker.domain !== 'mesocast' || maker.inputs.length > 2) continue;
      if (uses.get(value) !== 1 || !isBias(bias, value.shape)) continue;
      merged.add(maker);
      return { ...maker, inputs: [...maker.inputs, bias], outputs: node.outputs };
    }
    return undefined;
  };
  const nodes = graph.nodes.map((node) => biased(node) ?? node);
  return { ...graph, nodes: nodes.filter((node) => !merged.has(node)) };
};
