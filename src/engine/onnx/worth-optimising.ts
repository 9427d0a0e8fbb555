import { count, type Graph } from '../graph.js';

/** Operators from which on ONNX Runtime's own optimisations cost seconds: their time grows with the square of them. */
const MANY = 5000;
/** Numbers in a constant from which on it is a weight, not a small matrix of ours. */
const WEIGHT = 2 ** 15;

/**
 * Whether ONNX Runtime's optimisations are worth their time. They lay out, fold and join what has constant weights;
 * in a long training graph, where weights are inputs and the gradients use every intermediate value, they find nothing
 * (docs/performance.md).
 */
export const worthOptimising = ({ nodes }: Graph): boolean =>
  nodes.length < MANY ||
  nodes.some(
    ({ inputs, model }) =>
      model !== undefined ||
      inputs.some(
        ({ constant, shape }) => constant !== undefined && 'data' in constant && count(shape) >= WEIGHT,
      ),
  );
