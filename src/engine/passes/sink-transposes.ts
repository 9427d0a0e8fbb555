import {
  builder,
  count,
  ints,
  listOf,
  numbersOf,
  permuted,
  uniform,
  type Attribute,
  type Graph,
  type Node,
  type Value,
} from '../graph.js';

/** A value that stands for a transposed one which need not exist: axis i of it is axis perm[i] of `base`. */
interface View {
  readonly base: Value;
  readonly perm: readonly number[];
}

const identity = (perm: readonly number[]): boolean => perm.every((axis, i) => axis === i);
const inverse = (perm: readonly number[]): number[] => perm.map((_, i) => perm.indexOf(i));
const same = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((v, i) => v === b[i]);

/** The order that convolutions leave behind, whatever the number of spatial axes: the one that is worth carrying on. */
const isChannelsLast = (perm: readonly number[]): boolean =>
  perm.length > 2 && same(perm, [0, ...perm.slice(2).map((_, i) => i + 2), 1]);

const ELEMENTWISE = new Set(
  [
    'Add Sub Mul Div Max Min Pow Mod Sum Where Clip Cast And Or Xor Not',
    'Equal Greater GreaterOrEqual Less LessOrEqual IsNaN IsInf',
    'Sigmoid Tanh Relu LeakyRelu Elu Selu Softplus Erf',
    'Sqrt Neg Abs Exp Log Floor Ceil Round Sign Reciprocal',
    'Sin Cos Tan Asin Acos Atan Sinh Cosh Asinh Acosh Atanh',
  ].flatMap((names) => names.split(' ')),
);
const REDUCTIONS = new Set(['ReduceSum', 'ReduceMean', 'ReduceMax', 'ReduceMin', 'ReduceProd']);

/**
 * Convolutions want channels first, tfjs states everything channels last. This pass carries each transpose down
 * through operations that do not care, until it meets its inverse or an operation that does care (or an output).
 * Other transposes stay where they are wanted.
 */
export const sinkTransposes = (graph: Graph): Graph => {
  const out = builder();
  const mapped = new Map<Value, Value>();
  const views = new Map<Value, View>();
  const real = new Map<Value, Value>();

  /** Emits the transpose that a view stands for, once; only unit axes moving is a reshape. */
  const materialise = (value: Value): Value => {
    const view = views.get(value);
    if (view === undefined) return value;
    const known = real.get(value);
    if (known !== undefined) return known;
    const moving = view.perm.filter((axis) => view.base.shape[axis] !== 1);
    const free = moving.every((axis, i) => i === 0 || axis > (moving[i - 1] as number));
    const made = free
      ? out.add('Reshape', [view.base, ints(value.shape)], value.shape)
      : out.add('Transpose', [view.base], value.shape, { attributes: { perm: view.perm } });
    real.set(value, made);
    return made;
  };
  const viewOf = (base: Value, perm: readonly number[]): Value => {
    if (identity(perm)) return base;
    const value: Value = { shape: permuted(base.shape, perm), dtype: base.dtype };
    views.set(value, { base, perm });
    return value;
  };

  /** `value` with its axes in the order of a base: of a view its base, else a reshape or transpose if that is needed. */
  const inBaseOrder = (value: Value, perm: readonly number[]): Value => {
    const view = views.get(value);
    if (view !== undefined && same(view.perm, perm)) return view.base;
    const padded = [...Array<number>(perm.length - value.shape.length).fill(1), ...value.shape];
    const shape = permuted(padded, inverse(perm));
    if (count(value.shape) === 1) return materialise(value);
    if (value.constant !== undefined && 'uniform' in value.constant)
      return uniform(value.constant.uniform, shape, value.dtype);
    const plain = materialise(value);
    if (padded.filter((d) => d !== 1).length <= 1)
      return out.add('Reshape', [plain, ints(shape)], shape, { dtype: value.dtype });
    const full =
      padded.length === value.shape.length ? plain : out.add('Reshape', [plain, ints(padded)], padded);
    return out.add('Transpose', [full], shape, { attributes: { perm: inverse(perm) } });
  };

  /** The order in which these operands are cheapest to combine, if not their own. */
  const commonOrder = (inputs: readonly Value[], rank: number): readonly number[] | undefined => {
    const costs = new Map<string, { perm: readonly number[]; size: number }>();
    let plain = 0;
    for (const value of inputs) {
      const view = views.get(value);
      if (value.constant !== undefined && 'uniform' in value.constant) continue;
      if (view === undefined || view.perm.length !== rank) {
        if (value.shape.filter((d) => d !== 1).length > 1) plain += count(value.shape);
        continue;
      }
      const entry = costs.get(view.perm.join()) ?? { perm: view.perm, size: 0 };
      costs.set(view.perm.join(), { perm: view.perm, size: entry.size + count(value.shape) });
    }
    const best = [...costs.values()].sort((a, b) => b.size - a.size)[0];
    return best !== undefined && best.size >= plain ? best.perm : undefined;
  };

  const emit = (
    node: Node,
    inputs: readonly Value[],
    shape: readonly number[],
    attributes = node.attributes,
  ): Value => out.add(node.op, inputs, shape, { dtype: (node.outputs[0] as Value).dtype, attributes });

  /** The node on its operands' bases, as views of the results; undefined where it must see the real thing. */
  const sunk = (node: Node, inputs: readonly Value[]): readonly Value[] | undefined => {
    const [x] = inputs;
    const result = node.outputs[0];
    if (x === undefined || result === undefined) return undefined;
    if (node.domain !== '') return undefined;
    if (node.op === 'Transpose') {
      const perm = listOf(node, 'perm');
      const view = views.get(x);
      const value = view === undefined ? viewOf(x, perm) : viewOf(view.base, permuted(view.perm, perm));
      const order = views.get(value)?.perm;
      return [order === undefined || isChannelsLast(order) ? value : materialise(value)];
    }
    const operands = ELEMENTWISE.has(node.op) || node.op === 'Concat' ? inputs : [x];
    const perm = commonOrder(
      operands,
      result.shape.length === x.shape.length || ELEMENTWISE.has(node.op)
        ? result.shape.length
        : x.shape.length,
    );
    if (perm === undefined) return undefined;
    const back = inverse(perm);
    const baseShape = permuted(result.shape, back);
    if (ELEMENTWISE.has(node.op))
      return [
        viewOf(
          emit(
            node,
            inputs.map((v) => inBaseOrder(v, perm)),
            baseShape,
          ),
          perm,
        ),
      ];
    if (node.op === 'Concat') {
      const axis = perm[node.attributes['axis'] as number] as number;
      return [
        viewOf(
          emit(
            node,
            inputs.map((v) => inBaseOrder(v, perm)),
            baseShape,
            { axis },
          ),
          perm,
        ),
      ];
    }
    const base = inBaseOrder(x, perm);
    if (node.op === 'Split') {
      const axis = perm[node.attributes['axis'] as number] as number;
      const shapes = node.outputs.map((value) => permuted(value.shape, back));
      return out
        .addMany('Split', [base, inputs[1] as Value], shapes, { axis })
        .map((value) => viewOf(value, perm));
    }
    if (node.op === 'Slice') {
      const axes = ints(numbersOf(inputs[3]).map((axis) => perm[axis] as number));
      return [
        viewOf(
          emit(node, [base, inputs[1] as Value, inputs[2] as Value, axes, ...inputs.slice(4)], baseShape),
          perm,
        ),
      ];
    }
    if (node.op === 'Pad') {
      const pads = numbersOf(inputs[1]);
      const rank = perm.length;
      const moved = [...permuted(pads.slice(0, rank), back), ...permuted(pads.slice(rank), back)];
      return [viewOf(emit(node, [base, ints(moved), ...inputs.slice(2)], baseShape), perm)];
    }
    if (REDUCTIONS.has(node.op)) return [reduced(node, base, numbersOf(inputs[1]), perm)];
    return undefined;
  };

  const reduced = (node: Node, base: Value, axes: readonly number[], perm: readonly number[]): Value => {
    const gone = axes.map((axis) => perm[axis] as number);
    const attributes: Record<string, Attribute> = { ...node.attributes };
    const inputs = [base, ints([...gone].sort((a, b) => a - b))];
    if (attributes['keepdims'] === 1) {
      return viewOf(
        emit(
          node,
          inputs,
          base.shape.map((d, i) => (gone.includes(i) ? 1 : d)),
          attributes,
        ),
        perm,
      );
    }
    const left = base.shape.map((_, i) => i).filter((i) => !gone.includes(i));
    const order = perm.filter((axis) => !gone.includes(axis)).map((axis) => left.indexOf(axis));
    return viewOf(
      emit(
        node,
        inputs,
        left.map((i) => base.shape[i] as number),
        attributes,
      ),
      order,
    );
  };

  for (const node of graph.nodes) {
    const inputs = node.inputs.map((value) => mapped.get(value) ?? value);
    const results = sunk(node, inputs);
    if (results === undefined) out.nodes.push({ ...node, inputs: inputs.map(materialise) });
    else node.outputs.forEach((value, i) => mapped.set(value, results[i] as Value));
  }
  const outputs = Object.entries(graph.outputs).map(
    ([name, value]) => [name, materialise(mapped.get(value) ?? value)] as const,
  );
  return { inputs: graph.inputs, outputs: Object.fromEntries(outputs), nodes: out.nodes };
};
