import { builder, count, type Builder, type Graph, type Node, type Value } from '../graph.js';
import { concat } from '../kernels/layout.js';
import { usesOf } from './uses.js';

/** Gradients of one filter at several places of the graph that are only ever added up. */
type Bag = readonly Node[];

const mergeable = (a: Node, b: Node): boolean =>
  JSON.stringify(a.attributes) === JSON.stringify(b.attributes) &&
  [0, 1].every((i) => {
    const [p, q] = [a.inputs[i]?.shape ?? [], b.inputs[i]?.shape ?? []];
    return p.length === q.length && p.slice(1).every((d, axis) => d === q[axis + 1]);
  });

/** Bags by the value that holds their sum; bags that went into a larger one are gone. */
const collect = (graph: Graph): { bags: Map<Value, Bag>; inner: Set<Node> } => {
  const counts = usesOf(graph);
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

/**
 * Pixels that make a product large enough: joining more would only spread it over memory that no cache holds. Between
 * 2,048 and 16,384 it makes little difference (`npm run bench -- engine`), and larger groups are fewer operators.
 */
const ENOUGH_PIXELS = 8192;

const pixelsOf = ({ inputs }: Node): number => count((inputs[1] as Value).shape.slice(0, -1));

/** Neighbours in the bag together, until they have enough pixels. */
const grouped = (bag: Bag): Node[][] => {
  const groups: Node[][] = [];
  let pixels = Infinity;
  for (const node of bag) {
    if (pixels >= ENOUGH_PIXELS) {
      groups.push([]);
      pixels = 0;
    }
    groups.at(-1)?.push(node);
    pixels += pixelsOf(node);
  }
  return groups;
};

/** One node for all: its inputs are an image and a gradient for each group, laid end to end along the batch. */
const merged = (bag: Bag, output: Value, out: Builder): Node => {
  const [first] = bag as [Node];
  const join = (group: readonly Node[], i: number): Value =>
    concat(
      out,
      group.map((node) => node.inputs[i] as Value),
      0,
    );
  const inputs = grouped(bag).flatMap((group) => [join(group, 0), join(group, 1)]);
  return { ...first, inputs, outputs: [output] };
};

/**
 * A filter that is used at T time steps gets T gradients that are added. One gradient over several batches laid end to
 * end is the same sum, as one large matrix product instead of small ones; the products add up as they are made.
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
