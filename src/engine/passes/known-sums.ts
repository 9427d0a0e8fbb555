import { rewrite, type Graph, type Node, type Value } from '../graph.js';

interface Part {
  readonly split: Node;
  readonly index: number;
}

/**
 * The sum of the same part of two vectors is that part of their sum, where this is there already: of a bias that a part
 * is added to before each use, the gradients are added up once instead of once more for the part.
 */
export const knownSums = (graph: Graph): Graph => {
  const sums = new Map<Value, Map<Value, Value>>();
  const parts = new Map<Value, Part>();
  const notePart = (split: Node): void =>
    split.outputs.forEach((value, index) => parts.set(value, { split, index }));
  return rewrite(graph, (node, inputs, out) => {
    const [a, b] = inputs;
    if (a?.shape.length !== 1) return undefined;
    if (node.op === 'Split') notePart({ ...node, inputs });
    if (node.op !== 'Add' || b === undefined) return undefined;
    const [p, q] = [parts.get(a), parts.get(b)];
    const same =
      p !== undefined &&
      p.index === q?.index &&
      p.split.outputs.map(({ shape }) => shape).join() === q.split.outputs.map(({ shape }) => shape).join();
    const sum = same ? sums.get(p.split.inputs[0] as Value)?.get(q.split.inputs[0] as Value) : undefined;
    if (p === undefined || sum === undefined) {
      const known = sums.get(a) ?? new Map<Value, Value>();
      sums.set(a, known.set(b, node.outputs[0] as Value));
      return undefined;
    }
    const shapes = p.split.outputs.map(({ shape }) => shape);
    const made = out.addMany('Split', [sum, p.split.inputs[1] as Value], shapes, p.split.attributes);
    notePart(out.nodes.at(-1) as Node);
    return [made[p.index] as Value];
  });
};
