import { EngineError } from '../../pipeline/errors.js';
import type { Constant, Value } from '../graph.js';
import { MODEL_KERNEL, needsOnnxRuntime } from '../onnx/call.js';
import type { OnnxModel } from '../onnx/model.js';
import type { Call, Trace } from '../tracer.js';
import type { HostTensor, Named, Spec } from '../types.js';

/** Where a tensor is kept while a tape runs. */
type Slot = number;

export type TapeConstant = Spec & ({ readonly uniform: number } | { readonly data: HostTensor['data'] });

/** One kernel call. */
export interface Step {
  readonly kernel: string;
  readonly inputs: Named<Slot> | readonly Slot[];
  readonly attributes: object;
  /** What should come out; undefined for what nobody uses. */
  readonly outputs: readonly ((Spec & { readonly slot: Slot }) | undefined)[];
  /** Used here for the last time. */
  readonly done: readonly Slot[];
}

/** The kernel calls that a function is made of, in order, to be played on any tfjs backend. Can be sent to a thread. */
export interface Tape {
  readonly inputs: Named<Slot>;
  readonly outputs: Named<Slot>;
  readonly constants: readonly (readonly [Slot, TapeConstant])[];
  readonly steps: readonly Step[];
}

/** Tensors of tfjs have no int64. */
const specOf = ({ shape, dtype }: Value): Spec => {
  if (dtype === 'int64') throw new EngineError('an index of the graph is not a tensor of tfjs');
  return { shape, dtype };
};

const constantOf = (value: Value, constant: Constant): TapeConstant =>
  'uniform' in constant
    ? { ...specOf(value), uniform: constant.uniform }
    : { ...specOf(value), data: constant.data as HostTensor['data'] };

/** What TensorFlow does not have (it pads in two ways only), or what tfjs-node does not pass on to it. */
const check = ({ kernel, attributes }: Call): void => {
  if (kernel === MODEL_KERNEL) throw needsOnnxRuntime((attributes as { model: OnnxModel }).model);
  const { pad = 'valid', halfPixelCenters } = attributes as Readonly<Record<string, unknown>>;
  if (pad !== 'valid' && pad !== 'same' && pad !== 0)
    throw new EngineError(`TensorFlow computes ${kernel} with the padding 'same' or 'valid' only`, {
      hint: "enlarge the tensor with tf.pad, then use 'valid'",
    });
  if (halfPixelCenters === true && kernel.endsWith('Grad'))
    throw new EngineError(`tfjs-node computes ${kernel} as if halfPixelCenters were false`, {
      hint: 'resize by products with constant matrices, or leave halfPixelCenters out',
    });
};

/**
 * The calls that the outputs depend on, each tensor freed after its last use. A call whose result the tracer knows already
 * (an identity, a constant) is left out.
 * @throws EngineError for a kernel that TensorFlow would compute otherwise
 */
export const tapeOf = ({ inputs, outputs, calls }: Trace): Tape => {
  const slots = new Map<Value, Slot>();
  const constants: (readonly [Slot, TapeConstant])[] = [];
  const slotOf = (value: Value): Slot => {
    const known = slots.get(value);
    if (known !== undefined) return known;
    const slot = slots.size;
    slots.set(value, slot);
    const { constant } = value;
    if (constant !== undefined) constants.push([slot, constantOf(value, constant)]);
    return slot;
  };
  const slotsOf = (values: Named<Value>): Record<string, Slot> =>
    Object.fromEntries(Object.entries(values).map(([name, value]) => [name, slotOf(value)]));

  const given = new Set(Object.values(inputs));
  const makers = new Map<Value, Call>();
  for (const call of calls) {
    for (const value of call.outputs) {
      if (value.constant === undefined && !given.has(value) && !makers.has(value)) makers.set(value, call);
    }
  }

  const ends = { inputs: slotsOf(inputs), outputs: slotsOf(outputs) };
  // Backwards: a value that was needed later is made here; one that was not is let go after this step.
  const needed = new Set<Value>(Object.values(outputs));
  const steps: Step[] = [];
  for (const call of calls.toReversed()) {
    const made = call.outputs.map((value) => makers.get(value) === call && needed.has(value));
    if (!made.includes(true)) continue;
    check(call);
    const used = Object.values<Value>(call.inputs);
    const done = new Set(used.filter((value) => makers.has(value) && !needed.has(value)));
    used.forEach((value) => needed.add(value));
    steps.push({
      kernel: call.kernel,
      inputs: Array.isArray(call.inputs) ? used.map(slotOf) : slotsOf(call.inputs as Named<Value>),
      attributes: call.attributes,
      outputs: call.outputs.map((value, k) =>
        made[k] === true ? { ...specOf(value), slot: slotOf(value) } : undefined,
      ),
      done: [...done].map(slotOf),
    });
  }
  return { ...ends, constants, steps: steps.reverse() };
};
