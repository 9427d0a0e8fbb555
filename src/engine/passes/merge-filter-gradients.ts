import { builder, type Builder, type Graph, type Node, type Value } from '../graph.js';
import { concat } from '../kernels/layout.js';

/** Gradients of one filter at several places of the graph that are only ever added up. */
type Bag = readonly Node[];

const mergeable = (a: Node, b: Node): boolean =>
  JSON.stringify(a.attributes) === JSON.stringify(b.attributes) &&
  [0, 1].every((i) => {
    const [p, q] = [a.inputs[i]?.shape ?? [], b.inputs[i]?.shape ?? []];
    return p.length === q.length && p.slice(1).every((d, axis) => d === q[axis + 1]);
  });

/** How often each value is used, graph outputs included. */
const uses = (graph: Graph): Map<Value, number> => {
  const counts = new Map<Value, number>();
  for (const value of [...graph.nodes.flatMap((node) => node.inputs), ...Object.values(graph.outputs)]) {
    counts.set(value, (counts.get(value) ?? 0) + 1);
  }
  return counts;
};

/** Bags by the value that holds their sum; bags that went into a larger one are gone. */
const collect = (graph: Graph): { bags: Map<Value, Bag>; inner: Set<Node> } => {
  const counts = uses(graph);
  const bags = new Map<Value, Bag>();
  const inner = new Set<Node>();
  const makers = new Map<Value, Node>();
  for (const node of graph.nodes) {
    const [output] = node.outputs;
    if (output === undefined) continue;
    makers.set(output, node);
    if (node.op === 'ConvFilterGradient') bags.set(output, [node]);
    if (node.op !== 'Add' && node.op !== 'Sum') continue;
    const parts = node.inputs.map((value) => (counts.get(value) === 1 ? bags.get(value) : undefined));
    const first = parts[0]?.[0];
    if (first === undefined || !parts.every((bag) => bag !== undefined && mergeable(first, bag[0] as Node)))
      continue;
    for (const value of node.inputs) {
      bags.delete(value);
      const maker = makers.get(value);
      if (maker !== undefined) inner.add(maker);
    }
    bags.set(
      output,
      parts.flatMap((bag) => bag ?? []),
    );
  }
  return { bags, inner };
};

const merged = (bag: Bag, output: Value, out: Builder): Node => {
  const [first] = bag as [Node];
  const join = (i: number): Value =>
    concat(
      out,
      bag.map((node) => node.inputs[i] as Value),
      0,
    );
  return { ...first, inputs: [join(0), join(1)], outputs: [output] };
};

/**
 * A filter that is used at T time steps gets T gradients that are added. One gradient over the T batches laid end to
 * end is the same sum, as one large matrix product instead of T small ones.
 */
export const mergeFilterGradients = (graph: Graph): Graph => {
  const { bags, inner } = collect(graph);
  const out = builder();
  for (const node of graph.nodes) {
    if (inner.has(node)) continue;
    const [output] = node.outputs;
    const bag = output === undefined ? undefined : bags.get(output);
    if (output !== undefined && bag !== undefined && bag.length > 1) out.nodes.push(merged(bag, output, out));
    else out.nodes.push(node);
  }
  return { ...graph, nodes: out.nodes };
};
