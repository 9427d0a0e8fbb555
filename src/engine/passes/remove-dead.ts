import type { Graph, Node, Value } from '../graph.js';

/** Drops nodes whose outputs nobody uses. */
export const removeDead = (graph: Graph): Graph => {
  const needed = new Set<Value>(Object.values(graph.outputs));
  const kept: Node[] = [];
  for (const node of [...graph.nodes].reverse()) {
    if (!node.outputs.some((value) => needed.has(value))) continue;
    node.inputs.forEach((value) => needed.add(value));
    kept.push(node);
  }
  return { ...graph, nodes: kept.reverse() };
};
