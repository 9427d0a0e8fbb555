import type { TensorInfo } from '@tensorflow/tfjs-core';
import type { Builder, Value } from '../graph.js';
import type { DType } from '../types.js';

/** An input of a kernel by tfjs's name for it. */
export const operand = (inputs: Record<string, Value>, name: string): Value => {
  const value = inputs[name];
  if (value === undefined) throw new Error(`kernel input ${name} is missing`);
  return value;
};

/** Shape and type of a value, for tfjs's own checks. */
export const sizesOf = ({ shape, dtype }: Value): TensorInfo => ({
  dataId: {},
  shape: [...shape],
  dtype: dtype as DType,
});

export const cast = (graph: Builder, value: Value, dtype: DType): Value =>
  value.dtype === dtype
    ? value
    : graph.add('Cast', [value], value.shape, { dtype, attributes: { to: dtype } });

/** `a` where the condition holds, else `b`; the result has the given shape. */
export const where = (
  graph: Builder,
  condition: Value,
  a: Value,
  b: Value,
  shape: readonly number[],
): Value => {
  // ONNX Runtime chooses between numbers only.
  if (a.dtype === 'bool')
    return cast(
      graph,
      where(graph, condition, cast(graph, a, 'int32'), cast(graph, b, 'int32'), shape),
      'bool',
    );
  return graph.add('Where', [condition, a, b], shape, { dtype: a.dtype });
};

/** A comparison, as bool. ONNX orders numbers only, so truth values are compared as 0 and 1. */
export const compare = (graph: Builder, op: string, a: Value, b: Value, shape: readonly number[]): Value => {
  const number = (value: Value): Value => (value.dtype === 'bool' ? cast(graph, value, 'int32') : value);
  return graph.add(op, [number(a), number(b)], shape, { dtype: 'bool' });
};
