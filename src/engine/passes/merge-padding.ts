import { listOf, numbersOf, rewrite, type Graph, type Node, type Value } from '../graph.js';
import { usesOf } from './uses.js';

type Pads = readonly [top: number, left: number, bottom: number, right: number];

/** Zeros added around the rows and columns of an NHWC image, if that is what the node does. */
const zeroPadding = (node: Node | undefined): Pads | undefined => {
  const fill = node?.inputs[2]?.constant;
  const isZero = fill !== undefined && ('uniform' in fill ? fill.uniform === 0 : Number(fill.data[0]) === 0);
  if (
    node?.op !== 'Pad' ||
    node.attributes['mode'] !== undefined ||
    !isZero ||
    node.outputs[0]?.shape.length !== 4
  )
    return undefined;
  const [n0 = 0, top = 0, left = 0, c0 = 0, n1 = 0, bottom = 0, right = 0, c1 = 0] = numbersOf(
    node.inputs[1],
  );
  return n0 + c0 + n1 + c1 === 0 ? [top, left, bottom, right] : undefined;
};

/** Rows and columns that a slice cuts off an NHWC image, if it cuts nothing else. */
const cutOff = (node: Node): Pads | undefined => {
  const [x, starts, ends, axes, steps] = node.inputs;
  if (node.op !== 'Slice' || x?.shape.length !== 4 || steps !== undefined) return undefined;
  const pads: [number, number, number, number] = [0, 0, 0, 0];
  for (const [k, axis] of numbersOf(axes).entries()) {
    if (axis !== 1 && axis !== 2) return undefined;
    const [before, after] = [numbersOf(starts)[k] ?? 0, (x.shape[axis] ?? 0) - (numbersOf(ends)[k] ?? 0)];
    if (axis === 1) [pads[0], pads[2]] = [before, after];
    else [pads[1], pads[3]] = [before, after];
  }
  return pads;
};

const withPads = (node: Node, more: Pads) => ({
  ...node.attributes,
  pads: listOf(node, 'pads').map((pad, k) => pad + (more[k] as number)),
});

/**
 * Padding with zeros before a convolution becomes the convolution's own padding, forwards and in both gradients, where
 * it also saves computing what the padding's gradient cuts off again.
 */
export const mergePadding = (graph: Graph): Graph => {
  const makers = new Map<Value, Node>();
  const uses = usesOf(graph);
  return rewrite(graph, (node, inputs, out) => {
    const [x, second] = inputs;
    const result = node.outputs[0];
    if (x === undefined || result === undefined) return undefined;
    const remember = (value: Value): readonly Value[] => {
      const made = out.nodes.at(-1);
      if (made !== undefined) makers.set(value, made);
      return [value];
    };
    if (
      node.domain === 'mesocast' &&
      second !== undefined &&
      (node.op === 'Conv' || node.op === 'ConvFilterGradient')
    ) {
      const padded = makers.get(x);
      const pads = zeroPadding(padded);
      if (padded === undefined || pads === undefined) return undefined;
      return [
        out.add(node.op, [padded.inputs[0] as Value, second], result.shape, {
          domain: 'mesocast',
          attributes: withPads(node, pads),
        }),
      ];
    }
    if (node.op === 'Slice') {
      const maker = makers.get(x);
      const cut = cutOff({ ...node, inputs });
      if (maker?.op !== 'ConvInputGradient' || cut === undefined || uses.get(node.inputs[0] as Value) !== 1)
        return undefined;
      return [
        out.add('ConvInputGradient', maker.inputs, result.shape, {
          domain: 'mesocast',
          attributes: withPads(maker, cut),
        }),
      ];
    }
    if (node.op === 'Pad' || node.op === 'ConvInputGradient') {
      out.nodes.push({ ...node, inputs });
      return remember(result);
    }
    return undefined;
  });
};
