import { listOf, rewrite, type Builder, type Graph, type Value } from '../graph.js';
import { reshape, transpose } from '../kernels/layout.js';

/** Runs of axes that stay neighbours, as groups in the order of the input; unit axes belong nowhere. */
const groups = (shape: readonly number[], perm: readonly number[]): number[][] => {
  const runs: number[][] = [];
  const moving = shape.map((_, axis) => axis).filter((axis) => shape[axis] !== 1);
  const after = (axis: number): number | undefined => moving[moving.indexOf(axis) + 1];
  for (const axis of perm.filter((a) => shape[a] !== 1)) {
    const run = runs.at(-1);
    if (run !== undefined && after(run.at(-1) as number) === axis) run.push(axis);
    else runs.push([axis]);
  }
  return runs;
};

/** [a, b, c] to [c, b, a]: c to the front as a transpose of [a b, c], then a and b change places under each c. */
const reversed = (x: Value, out: Builder): Value => {
  const [a, b, c] = x.shape as [number, number, number];
  const front = transpose(out, reshape(out, x, [a * b, c]), [1, 0]);
  return transpose(out, reshape(out, front, [c, a, b]), [0, 2, 1]);
};

/**
 * Transposes with as few axes as they have moving parts: [N, C, H, W] to channels last is a transpose of [N, C, H W].
 * ONNX Runtime has a fast routine for those that move a single axis; [K, K, I, O] to [O, I, K, K], filters as its
 * convolutions want them, is two of that kind, and three times as fast as at once.
 */
export const collapseTransposes = (graph: Graph): Graph =>
  rewrite(graph, (node, [x], out) => {
    const result = node.outputs[0];
    if (node.op !== 'Transpose' || x === undefined || result === undefined) return undefined;
    const moved = groups(x.shape, listOf(node, 'perm'));
    const inOrder = [...moved].sort((a, b) => (a[0] as number) - (b[0] as number));
    const perm = moved.map((run) => inOrder.indexOf(run));
    const inReverse = perm.join() === '2,1,0';
    if (moved.length === x.shape.length && !inReverse) return undefined;
    const sizes = inOrder.map((run) => run.reduce((size, axis) => size * (x.shape[axis] as number), 1));
    if (moved.length <= 1) return [reshape(out, x, result.shape)];
    const flat = reshape(out, x, sizes);
    return [reshape(out, inReverse ? reversed(flat, out) : transpose(out, flat, perm), result.shape)];
  });
