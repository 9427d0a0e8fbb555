import { ints, numbersOf, rewrite, type Graph, type Node, type Value } from '../graph.js';

/** Which rows of `of` a slice along one axis takes. */
interface Strip {
  readonly of: Value;
  readonly axis: number;
  readonly begin: number;
  readonly end: number;
}

const stripOf = (node: Node | undefined): Strip | undefined => {
  const [of, starts, ends, axes, steps] = node?.inputs ?? [];
  if (node?.op !== 'Slice' || of === undefined || steps !== undefined) return undefined;
  const [axis, ...others] = numbersOf(axes);
  const [begin] = numbersOf(starts);
  const [end] = numbersOf(ends);
  if (axis === undefined || begin === undefined || end === undefined || others.length > 0) return undefined;
  return { of, axis, begin, end };
};

interface Border {
  readonly of: Value;
  readonly mode: 'edge' | 'wrap';
  readonly before: number;
  readonly after: number;
}

/** The border that a concatenation of a value with its own first and last rows is, if it is one. */
const borderOf = (
  inputs: readonly Value[],
  axis: number,
  makers: ReadonlyMap<Value, Node>,
): Border | undefined => {
  const strips = inputs.map((value) => stripOf(makers.get(value)));
  if (strips.every((strip) => strip === undefined)) return undefined;
  for (const [at, of] of inputs.entries()) {
    if (!strips.every((strip, k) => k === at || (strip?.of === of && strip.axis === axis))) continue;
    const size = of.shape[axis] ?? 0;
    const [first, last] = [strips.slice(0, at), strips.slice(at + 1)];
    const is = (strip: Strip | undefined, begin: number, end: number): boolean =>
      strip?.begin === begin && strip.end === end;
    const isEdge =
      first.every((strip) => is(strip, 0, 1)) && last.every((strip) => is(strip, size - 1, size));
    if (isEdge && inputs.length > 1) return { of, mode: 'edge', before: first.length, after: last.length };
    const [head, tail] = [first[0], last[0]];
    if (head === undefined || tail === undefined || inputs.length !== 3) continue;
    const wraps = head.end === size && tail.begin === 0;
    if (wraps) return { of, mode: 'wrap', before: head.end - head.begin, after: tail.end - tail.begin };
  }
  return undefined;
};

/**
 * Borders that networks write as a concatenation of an image with its own first and last rows, then columns, become one
 * padding that repeats the edge (no flux) or goes around (periodic).
 */
export const mergeBoundary = (graph: Graph): Graph => {
  const makers = new Map<Value, Node>();
  return rewrite(graph, (node, inputs, out) => {
    const result = node.outputs[0];
    if (result === undefined) return undefined;
    if (node.op === 'Slice') makers.set(result, { ...node, inputs });
    if (node.op !== 'Concat') return undefined;
    const axis = node.attributes['axis'] as number;
    const border = borderOf(inputs, axis, makers);
    if (border === undefined) return undefined;
    const { of, mode } = border;
    const pads = (width: number): number[] => result.shape.map((_, k) => (k === axis ? width : 0));
    let [image, before, after] = [of, pads(border.before), pads(border.after)];
    const inner = makers.get(of);
    const known = inner?.op === 'Pad' && inner.attributes['mode'] === mode ? numbersOf(inner.inputs[1]) : [];
    const rank = result.shape.length;
    // Going around twice along one axis is not going around by more: the second time what was added goes around too.
    const isApart = (known[axis] ?? 0) === 0 && (known[rank + axis] ?? 0) === 0;
    if (inner !== undefined && known.length > 0 && (mode === 'edge' || isApart)) {
      // Rows were added before these columns: one padding does both, corners included.
      image = inner.inputs[0] as Value;
      before = before.map((width, k) => width + (known[k] ?? 0));
      after = after.map((width, k) => width + (known[rank + k] ?? 0));
    }
    const padded = out.add('Pad', [image, ints([...before, ...after])], result.shape, {
      dtype: result.dtype,
      attributes: { mode },
    });
    const made = out.nodes.at(-1);
    if (made !== undefined) makers.set(padded, made);
    return [padded];
  });
};
