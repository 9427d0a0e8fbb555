import { builder, count, numbersOf, type Builder, type Graph, type Node, type Value } from '../graph.js';
import { concat } from '../kernels/layout.js';
import { collectBags, type Bag } from './bags.js';

const isFilter = (node: Node): boolean => node.op === 'ConvFilterGradient';
const isSum = (node: Node): boolean => node.op === 'ReduceSum' && numbersOf(node.inputs[1]).includes(0);

/** A text that operations share that can be done at once, on batches laid end to end. */
const kindOf = (node: Node): string => {
  const shapes = node.inputs.slice(0, 2).map(({ shape }) => shape.slice(1).join());
  const axes = isSum(node) ? numbersOf(node.inputs[1]).join() : '';
  return [node.op, JSON.stringify(node.attributes), ...shapes, axes].join(' ');
};

/**
 * Numbers in images and gradients that make a product large enough: joining more would only spread it over memory that no
 * cache holds. Between half and one and a half times as many it makes no difference, and larger groups are fewer operators.
 */
const ENOUGH_NUMBERS = 2 ** 21;

const numbersIn = ({ inputs: [x, dy] }: Node): number =>
  count((x as Value).shape) + count((dy as Value).shape);

/** Neighbours together, until they have enough numbers. */
const grouped = (terms: readonly Node[]): Node[][] => {
  const groups: Node[][] = [];
  let numbers = Infinity;
  for (const node of terms) {
    if (numbers >= ENOUGH_NUMBERS) {
      groups.push([]);
      numbers = 0;
    }
    groups.at(-1)?.push(node);
    numbers += numbersIn(node);
  }
  return groups;
};

const join = (group: readonly Node[], input: number, out: Builder): Value =>
  concat(
    out,
    group.map((node) => node.inputs[input] as Value),
    0,
  );

/** One node for all: its inputs are an image and a gradient for each group, laid end to end along the batch. */
const mergedFilters = ({ terms }: Bag, output: Value, out: Builder): Node => {
  const inputs = grouped(terms).flatMap((group) => [join(group, 0, out), join(group, 1, out)]);
  return { ...(terms[0] as Node), inputs, outputs: [output] };
};

/** A sum over the sum of all values of one shape, and their sum where there are several shapes. */
const mergedSums = ({ terms }: Bag, output: Value, out: Builder): Node => {
  const [{ attributes, inputs }] = terms as [Node];
  const byShape = new Map<string, Value[]>();
  for (const {
    inputs: [dy],
  } of terms) {
    const key = (dy as Value).shape.join();
    byShape.set(key, [...(byShape.get(key) ?? []), dy as Value]);
  }
  const sums = [...byShape.values()].map((values) => {
    const [first] = values as [Value];
    const total = values.length === 1 ? first : out.add('Sum', values, first.shape);
    return out.add('ReduceSum', [total, inputs[1] as Value], output.shape, { attributes });
  });
  return { op: 'Sum', domain: '', inputs: sums, outputs: [output], attributes: {} };
};

/** The filter whose gradients are of the very values that a bag of sums adds up, in the same order. */
const filterOf = ({ terms }: Bag, filters: ReadonlyMap<Value, Bag>): Bag | undefined => {
  const filter = filters.get(terms[0]?.inputs[0] as Value);
  return filter?.terms.map(({ inputs }) => inputs[1]).every((dy, k) => dy === terms[k]?.inputs[0]) === true &&
    filter.terms.length === terms.length
    ? filter
    : undefined;
};

/**
 * A filter that is used at T time steps gets T gradients that are added. One gradient over several batches laid end to
 * end is the same sum, as one large matrix product instead of small ones; the products add up as they are made. The
 * gradients of the bias beside it are sums over the same values, which are all kept for the filter: they are added first.
 */
export const mergeFilterGradients = (graph: Graph): Graph => {
  const bags = collectBags(graph, (node) => isFilter(node) || isSum(node), kindOf);
  const filters = new Map<Value, Bag>();
  for (const bag of bags.values()) {
    const [first] = bag.terms as [Node];
    if (isFilter(first)) filters.set(first.inputs[1] as Value, bag);
  }
  const out = builder();
  const merged = new Map<Value, (output: Value) => Node>();
  const gone = new Set<Node>();
  for (const [output, bag] of bags) {
    const filter = isFilter(bag.terms[0] as Node) ? bag : filterOf(bag, filters);
    if (filter === undefined) continue;
    merged.set(output, (sum) => (filter === bag ? mergedFilters(bag, sum, out) : mergedSums(bag, sum, out)));
    for (const node of [...bag.terms, ...bag.additions]) gone.add(node);
  }
  for (const node of graph.nodes) {
    if (gone.has(node)) continue;
    const [output] = node.outputs;
    const merge = merged.get(output as Value);
    out.nodes.push(merge === undefined ? node : merge(output as Value));
  }
  return { ...graph, nodes: out.nodes };
};
