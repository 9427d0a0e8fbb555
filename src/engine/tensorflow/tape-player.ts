import type * as TensorFlow from '@tensorflow/tfjs';
import type { Tape, TapeConstant } from './tape.js';
import type { HostTensor, Named, Spec } from '../types.js';

type Tensor = TensorFlow.Tensor;

/** A tape with its constants as tensors. */
export interface LoadedTape {
  readonly tape: Tape;
  readonly constants: ReadonlyMap<number, Tensor>;
}

/** Plays tapes on a TensorFlow.js that was loaded with a backend: tfjs-node's, in a thread of its own. */
export const tapePlayer = (tf: typeof TensorFlow) => {
  const toTensor = ({ data, shape, dtype }: HostTensor): Tensor => tf.tensor(data, [...shape], dtype);
  const fromConstant = (constant: TapeConstant): Tensor =>
    'uniform' in constant
      ? tf.fill([...constant.shape], constant.uniform, constant.dtype)
      : toTensor(constant);

  /** Where TensorFlow sees a kernel otherwise than TensorFlow.js: another type is mended, another shape refused. */
  const asPromised = (kernel: string, tensor: Tensor, { shape, dtype }: Spec): Tensor => {
    if (tensor.shape.join() !== shape.join())
      throw new Error(
        `${kernel} has the shape [${tensor.shape.join(', ')}] in TensorFlow, but [${shape.join(', ')}] in TensorFlow.js`,
      );
    return tensor.dtype === dtype ? tensor : tf.cast(tensor, dtype);
  };

  /** Plays a tape. Inputs and constants stay; of what it makes, only the outputs do. */
  const play = ({ tape, constants }: LoadedTape, given: Named<Tensor>): Record<string, Tensor> => {
    const slots = new Map(constants);
    const at = (slot: number): Tensor => slots.get(slot) as Tensor;
    const made = new Set<number>();
    const drop = (slot: number): void => {
      at(slot).dispose();
      made.delete(slot);
    };
    for (const [name, slot] of Object.entries(tape.inputs)) slots.set(slot, given[name] as Tensor);
    try {
      for (const { kernel, inputs, attributes, outputs, done } of tape.steps) {
        const tensors = Array.isArray(inputs)
          ? inputs.map(at)
          : Object.fromEntries(Object.entries(inputs).map(([name, slot]) => [name, at(slot)]));
        // Kernels leave temporaries behind; the tidy takes them.
        const results = tf.tidy(() => {
          const raw = tf
            .engine()
            .runKernel<Tensor | Tensor[]>(
              kernel,
              tensors as TensorFlow.NamedTensorMap,
              attributes as TensorFlow.NamedAttrMap,
            );
          return [raw].flat().map((tensor, k) => {
            const expected = outputs[k];
            return expected === undefined ? undefined : asPromised(kernel, tensor, expected);
          });
        });
        outputs.forEach((output, k) => {
          if (output === undefined) return;
          slots.set(output.slot, results[k] as Tensor);
          made.add(output.slot);
        });
        done.forEach(drop);
      }
      // Each output is a tensor of its own: an input handed through, a constant, one tensor under two names.
      return Object.fromEntries(
        Object.entries(tape.outputs).map(([name, slot]) => [name, tf.clone(at(slot))]),
      );
    } finally {
      [...made].forEach(drop);
    }
  };

  const load = (tape: Tape): LoadedTape => ({
    tape,
    constants: new Map(tape.constants.map(([slot, constant]) => [slot, fromConstant(constant)])),
  });
  const unload = ({ constants }: LoadedTape): void => constants.forEach((tensor) => tensor.dispose());
  return { load, play, unload, toTensor };
};
