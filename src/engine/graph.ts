import type { OnnxModel } from './onnx/model.js';
import type { Named, Spec } from './types.js';

/** What a traced function computes: static single assignment, shapes known everywhere. */
export interface Graph {
  readonly inputs: Named<Value>;
  readonly outputs: Named<Value>;
  /** In an order in which every input comes before its use. */
  readonly nodes: readonly Node[];
}

export type ValueType = Spec['dtype'] | 'int64';

/** One tensor in a graph. Compared by identity. */
export interface Value {
  readonly shape: readonly number[];
  readonly dtype: ValueType;
  /** Set for constants. */
  readonly constant?: Constant;
}

/** Data of a constant; `uniform` where all elements are that number (then `data` is made only when written). */
export type Constant =
  { readonly uniform: number } | { readonly data: Float32Array | Int32Array | Uint8Array | BigInt64Array };

export type Attribute = number | readonly number[] | string | { readonly float: number };

/** One operation. `domain` "" is ONNX's own; "com.microsoft" ONNX Runtime's; "mesocast" ours, lowered before writing. */
export interface Node {
  readonly op: string;
  readonly domain: '' | 'com.microsoft' | 'mesocast';
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly attributes: Named<Attribute>;
  /** Where a provider is told of it. */
  readonly name?: string;
  /** Of an "OnnxModel": what the writer puts in its place. */
  readonly model?: OnnxModel;
}

export const count = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

export const constantOf = (
  data: Float32Array | Int32Array | Uint8Array | BigInt64Array,
  shape: readonly number[],
  dtype: ValueType,
): Value => ({ shape, dtype, constant: { data } });

const vectors = new Map<string, Value>();

/** int64 vector, as ONNX takes shapes, axes and pads. Equal ones are one value: a graph has thousands, of few kinds. */
export const ints = (values: readonly number[]): Value => {
  const key = values.join();
  const known = vectors.get(key);
  if (known !== undefined) return known;
  const data = BigInt64Array.from(values, (v) => BigInt(v));
  const made = constantOf(data, [values.length], 'int64');
  vectors.set(key, made);
  return made;
};

/** A constant whose elements are all `value`; a scalar when no shape is given. */
export const uniform = (
  value: number,
  shape: readonly number[] = [],
  dtype: ValueType = 'float32',
): Value => ({
  shape,
  dtype,
  constant: { uniform: value },
});

/** Longer constants are not compared. */
const SHORT = 64;

/** A text that equal constants share; undefined for values that are no constants, and for long ones. */
export const contentOf = ({ constant, shape, dtype }: Value): string | undefined => {
  if (constant === undefined) return undefined;
  const type = `${dtype} ${shape.join()}`;
  // 0 and -0 are two numbers here.
  if ('uniform' in constant) return `${type} of ${Object.is(constant.uniform, -0) ? '-0' : constant.uniform}`;
  if (constant.data.length > SHORT) return undefined;
  const { buffer, byteOffset, byteLength } = constant.data;
  return `${type}: ${Buffer.from(buffer, byteOffset, byteLength).toString('latin1')}`;
};

/** Collects nodes in order. Rules and passes write graphs with it. */
export interface Builder {
  readonly nodes: Node[];
  /** Appends an operation with one output. */
  add(
    op: string,
    inputs: readonly Value[],
    shape: readonly number[],
    options?: { dtype?: ValueType; attributes?: Named<Attribute>; domain?: Node['domain'] },
  ): Value;
  /** Appends an operation with several outputs of the given shapes. */
  addMany(
    op: string,
    inputs: readonly Value[],
    shapes: readonly (readonly number[])[],
    attributes?: Named<Attribute>,
  ): Value[];
}

export const builder = (): Builder => {
  const nodes: Node[] = [];
  return {
    nodes,
    add: (op, inputs, shape, { dtype, attributes = {}, domain = '' } = {}) => {
      const output: Value = { shape, dtype: dtype ?? inputs[0]?.dtype ?? 'float32' };
      nodes.push({ op, domain, inputs, outputs: [output], attributes });
      return output;
    },
    addMany: (op, inputs, shapes, attributes = {}) => {
      const outputs = shapes.map((shape): Value => ({ shape, dtype: inputs[0]?.dtype ?? 'float32' }));
      nodes.push({ op, domain: '', inputs, outputs, attributes });
      return outputs;
    },
  };
};

/** The numbers of a constant (axes, starts, pads); none for a value that is not one. */
export const numbersOf = (value: Value | undefined): number[] =>
  value?.constant !== undefined && 'data' in value.constant ? Array.from(value.constant.data, Number) : [];

/** A list attribute (strides, pads, perm); empty where the node has none of that name. */
export const listOf = ({ attributes }: Node, name: string): readonly number[] => {
  const value = attributes[name];
  return typeof value === 'object' && !('float' in value) ? value : [];
};

/** `perm` applied to a shape: result axis i is input axis perm[i]. */
export const permuted = <T>(values: readonly T[], perm: readonly number[]): T[] =>
  perm.map((axis) => values[axis] as T);

/** Rewrites a graph: `visit` re-emits each node, on inputs already mapped, and returns its new outputs. */
export const rewrite = (
  graph: Graph,
  visit: (node: Node, inputs: readonly Value[], out: Builder) => readonly Value[] | undefined,
): Graph => {
  const out = builder();
  const map = new Map<Value, Value>();
  const mapped = (value: Value): Value => map.get(value) ?? value;
  for (const node of graph.nodes) {
    const same = !node.inputs.some((value) => map.has(value));
    const inputs = same ? node.inputs : node.inputs.map(mapped);
    const outputs = visit(node, inputs, out);
    if (outputs === undefined) out.nodes.push(same ? node : { ...node, inputs });
    else node.outputs.forEach((old, i) => map.set(old, outputs[i] ?? old));
  }
  const outputs = Object.fromEntries(
    Object.entries(graph.outputs).map(([name, value]) => [name, mapped(value)]),
  );
  return { inputs: graph.inputs, outputs, nodes: out.nodes };
};
