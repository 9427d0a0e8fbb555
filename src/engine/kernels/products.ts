import { backend_util } from '@tensorflow/tfjs-core';
import type { Value } from '../graph.js';
import { transpose } from './layout.js';
import type { Rule } from './rule.js';

/** Swaps the last two axes. */
const swapped = (rank: number): number[] => [...Array(rank - 2).keys(), rank - 1, rank - 2];

export const products: Record<string, Rule> = {
  BatchMatMul: (inputs, { transposeA, transposeB }: { transposeA: boolean; transposeB: boolean }, graph) => {
    let [a, b] = [inputs['a'] as Value, inputs['b'] as Value];
    if (transposeA) a = transpose(graph, a, swapped(a.shape.length));
    if (transposeB) b = transpose(graph, b, swapped(b.shape.length));
    const batch = backend_util.assertAndGetBroadcastShape(a.shape.slice(0, -2), b.shape.slice(0, -2));
    return graph.add('MatMul', [a, b], [...batch, a.shape.at(-2) ?? 1, b.shape.at(-1) ?? 1]);
  },
};
