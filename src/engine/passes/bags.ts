import type { Graph, Node, Value } from '../graph.js';
import { usesOf } from './uses.js';

/** Operations of one kind at several places of the graph whose results are only ever added up. */
export interface Bag {
  readonly terms: readonly Node[];
  /** The additions, without the last. */
  readonly additions: readonly Node[];
}

/** Bags by the value that holds their sum; operations of one `kindOf` go together. */
export const collectBags = (
  graph: Graph,
  isTerm: (node: Node) => boolean,
  kindOf: (node: Node) => string,
): Map<Value, Bag> => {
  const uses = usesOf(graph);
  const bags = new Map<Value, Bag>();
  const adders = new Map<Value, Node>();
  for (const node of graph.nodes) {
    const [output] = node.outputs;
    if (output === undefined) continue;
    if (isTerm(node)) bags.set(output, { terms: [node], additions: [] });
    if (node.op !== 'Add' && node.op !== 'Sum') continue;
    const parts = node.inputs.map((value) => (uses.get(value) === 1 ? bags.get(value) : undefined));
    const kinds = new Set(parts.map((bag) => bag && kindOf(bag.terms[0] as Node)));
    if (kinds.size !== 1 || kinds.has(undefined)) continue;
    adders.set(output, node);
    const inner = node.inputs.flatMap((value) => adders.get(value) ?? []);
    bags.set(output, {
      terms: parts.flatMap((bag) => bag?.terms ?? []),
      additions: [...parts.flatMap((bag) => bag?.additions ?? []), ...inner],
    });
    for (const value of node.inputs) bags.delete(value);
  }
  return new Map([...bags].filter(([, { terms }]) => terms.length > 1));
};
