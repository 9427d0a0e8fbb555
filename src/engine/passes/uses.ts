import type { Graph, Value } from '../graph.js';

/** How often each value is used, graph outputs included. */
export const usesOf = ({ nodes, outputs }: Graph): Map<Value, number> => {
  const counts = new Map<Value, number>();
  const use = (value: Value): void => void counts.set(value, (counts.get(value) ?? 0) + 1);
  for (const { inputs } of nodes) inputs.forEach(use);
  Object.values(outputs).forEach(use);
  return counts;
};
