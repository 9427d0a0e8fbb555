import { contentOf, rewrite, type Graph, type Value } from '../graph.js';

/** The same operation on the same values is done once: transposed filters of a recurrent network above all. */
export const mergeEqual = (graph: Graph): Graph => {
  const names = new Map<Value, string>();
  const nameOf = (value: Value): string => {
    const known = names.get(value);
    if (known !== undefined) return known;
    const name = contentOf(value) ?? `v${names.size}`;
    names.set(value, name);
    return name;
  };
  const seen = new Map<string, readonly Value[]>();
  return rewrite(graph, (node, inputs) => {
    const key = [
      node.domain,
      node.op,
      node.outputs.length,
      JSON.stringify(node.attributes),
      ...inputs.map(nameOf),
    ].join('|');
    const earlier = seen.get(key);
    if (earlier === undefined) seen.set(key, node.outputs);
    return earlier;
  });
};
