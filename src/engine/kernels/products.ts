import { backend_util } from '@tensorflow/tfjs-core';
import type { Value } from '../graph.js';
import { transpose } from './layout.js';
import type { Rule } from './rule.js';

/** Swaps the last two axes. */
const swapped = (rank: number): number[] => [...Array(rank - 2).keys(), rank - 1, rank - 2];

export const products: Record<string, Rule> = {
  BatchMatMul: (inputs, { transposeA, transposeB }: { transposeA: boolean; transposeB: boolean }, graph) => {
    let [a, b] = [inputs['a'] as Value, inputs['b'] as Value];
    const said = `[${a.shape.join()}]${transposeA ? ' transposed' : ''} and [${b.shape.join()}]${transposeB ? ' transposed' : ''}`;
    if (a.shape.length < 2 || b.shape.length < 2) throw new Error(`${said} are not both matrices`);
    if (transposeA) a = transpose(graph, a, swapped(a.shape.length));
    if (transposeB) b = transpose(graph, b, swapped(b.shape.length));
    if (a.shape.at(-1) !== b.shape.at(-2)) throw new Error(`the inner sizes of ${said} differ`);
    const batch = backend_util.assertAndGetBroadcastShape(a.shape.slice(0, -2), b.shape.slice(0, -2));
    return graph.add('MatMul', [a, b], [...batch, a.shape.at(-2) ?? 1, b.shape.at(-1) ?? 1]);
  },
  Einsum: (inputs, { equation }: { equation: string }, graph) => {
    const terms = Object.values(inputs);
    const { allDims, summedDims, idDims } = backend_util.decodeEinsumEquation(equation, terms.length);
    const sizes = allDims.map((_, letter) => {
      const owner = idDims.findIndex((letters) => letters.includes(letter));
      return terms[owner]?.shape[idDims[owner]?.indexOf(letter) ?? 0] ?? 1;
    });
    for (const [i, { shape }] of terms.entries()) {
      const at = shape.findIndex((d, axis) => d !== sizes[idDims[i]?.[axis] ?? -1]);
      if (at < 0) continue;
      const wanted = sizes[idDims[i]?.[at] ?? -1] ?? 'no';
      throw new Error(
        `${equation} needs dimension ${wanted} at axis ${at} of the input shaped [${shape.join()}]`,
      );
    }
    const shape = sizes.slice(0, allDims.length - summedDims.length);
    return graph.add('Einsum', terms, shape, { attributes: { equation } });
  },
};
