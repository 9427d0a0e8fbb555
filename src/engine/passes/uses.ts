import type { Graph, Value } from '../graph.js';

/** How often each value is used, graph outputs included. */
export const usesOf = ({ nodes, outputs }: Graph): Map<Value, number> => {
  const counts = new Map<Value, number>();
  for (const value of [...nodes.flatMap(({ inputs }) => inputs), ...Object.values(outputs)])
    counts.set(value, (counts.get(value) ?? 0) + 1);
  return counts;
};
