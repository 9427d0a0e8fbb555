import { constantOf, uniform } from '../graph.js';
import type { DType } from '../types.js';
import { operand } from './operands.js';
import type { Rule } from './rule.js';

/** What depends on shapes and attributes alone is known when the function is compiled. */
export const constants: Record<string, Rule> = {
  ZerosLike: (inputs) => uniform(0, operand(inputs, 'x').shape, operand(inputs, 'x').dtype),
  OnesLike: (inputs) => uniform(1, operand(inputs, 'x').shape, operand(inputs, 'x').dtype),
  Fill: (_, { shape, value, dtype }: { shape: number[]; value: number | string; dtype?: DType }) => {
    if (typeof value === 'string') throw new Error('a compiled function cannot hold string tensors');
    return uniform(dtype === 'int32' ? Math.trunc(value) : value, shape, dtype ?? 'float32');
  },
  /** start, start + step, ... before stop; a step of 1 counts down where stop is below start. */
  Range: (_, attributes: { start: number; stop: number; step: number; dtype: 'float32' | 'int32' }) => {
    const { start, stop, dtype } = attributes;
    const step = attributes.step === 1 && stop < start ? -1 : attributes.step;
    const length = Math.max(0, Math.ceil((stop - start) / step));
    const values = Array.from({ length }, (_v, i) => start + i * step);
    return constantOf(
      dtype === 'int32' ? Int32Array.from(values) : Float32Array.from(values),
      [length],
      dtype,
    );
  },
  LinSpace: (_, { start, stop, num }: { start: number; stop: number; num: number }) => {
    const step = num > 1 ? (stop - start) / (num - 1) : 0;
    return constantOf(
      Float32Array.from({ length: num }, (_v, i) => start + i * step),
      [num],
      'float32',
    );
  },
};
