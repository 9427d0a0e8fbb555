import { rewrite, type Graph, type Value } from '../graph.js';

/** Longer constants are not compared. */
const SHORT = 64;

/** The same operation on the same values is done once: transposed filters of a recurrent network above all. */
export const mergeEqual = (graph: Graph): Graph => {
  const names = new Map<Value, string>();
  const nameOf = (value: Value): string => {
    const known = names.get(value);
    if (known !== undefined) return known;
    const { constant, shape, dtype } = value;
    let name = `v${names.size}`;
    if (constant !== undefined && 'uniform' in constant)
      name = `u${constant.uniform}:${shape.join()}:${dtype}`;
    else if (constant !== undefined && constant.data.length <= SHORT)
      name = `c${constant.data.join()}:${shape.join()}:${dtype}`;
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
