import { createRequire } from 'node:module';
import { workerData } from 'node:worker_threads';
import type * as TensorFlow from '@tensorflow/tfjs';
import type { Tape, TapeConstant } from './tape.js';
import type { DType, HostTensor, Named, Spec } from './types.js';
import { serve } from './worker-loop.js';

type Tensor = TensorFlow.Tensor;

const require = createRequire(import.meta.url);

// What tfjs-node 4.22 asks of Node, and Node 23 no longer has.
const util = require('node:util') as Record<string, unknown>;
util['isNullOrUndefined'] ??= (value: unknown) => value === undefined || value === null;
util['isArray'] ??= Array.isArray;

// tfjs-node brings a TensorFlow.js of its own, which lives in this thread alone: mesocast's, in the main thread, may be
// another copy. Nothing here imports that one.
const tf = require(workerData as string) as typeof TensorFlow;
tf.enableProdMode();

/** What tfjs-node's backend tells of the library below it. */
interface NodeBackend {
  readonly isUsingGpuDevice?: boolean;
  readonly binding?: { readonly TF_Version?: string };
}
const { isUsingGpuDevice, binding } = tf.backend() as NodeBackend;

const toTensor = ({ data, shape, dtype }: HostTensor): Tensor => tf.tensor(data, [...shape], dtype);
const fromConstant = (constant: TapeConstant): Tensor =>
  'uniform' in constant ? tf.fill([...constant.shape], constant.uniform, constant.dtype) : toTensor(constant);

interface Session {
  readonly tape: Tape;
  readonly constants: ReadonlyMap<number, Tensor>;
}

/** Where TensorFlow sees a kernel otherwise than TensorFlow.js: another type is mended, another shape refused. */
const asPromised = (kernel: string, tensor: Tensor, { shape, dtype }: Spec): Tensor => {
  if (tensor.shape.join() !== shape.join())
    throw new Error(
      `${kernel} has the shape [${tensor.shape.join(', ')}] in TensorFlow, but [${shape.join(', ')}] in TensorFlow.js`,
    );
  return tensor.dtype === dtype ? tensor : tf.cast(tensor, dtype);
};

/** Plays a tape. Inputs and constants stay; of what it makes, only the outputs do. */
const play = ({ tape, constants }: Session, given: Named<Tensor>): Record<string, Tensor> => {
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
        const made = tf
          .engine()
          .runKernel<Tensor | Tensor[]>(
            kernel,
            tensors as TensorFlow.NamedTensorMap,
            attributes as TensorFlow.NamedAttrMap,
          );
        return [made].flat().map((tensor, k) => {
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
    return Object.fromEntries(Object.entries(tape.outputs).map(([name, slot]) => [name, tf.clone(at(slot))]));
  } finally {
    [...made].forEach(drop);
  }
};

serve<Tape, Session, Tensor>({
  description: `TensorFlow ${binding?.TF_Version ?? ''} on the ${isUsingGpuDevice === true ? 'GPU' : 'CPU'}`,
  create: async (tape) => {
    const unknown = tape.steps.find(({ kernel }) => tf.getKernel(kernel, tf.getBackend()) === undefined);
    if (unknown !== undefined) throw new Error(`tfjs-node has no kernel ${unknown.kernel}`);
    return {
      tape,
      constants: new Map(tape.constants.map(([slot, constant]) => [slot, fromConstant(constant)])),
    };
  },
  run: async (session, inputs) => play(session, inputs),
  release: async ({ constants }) => constants.forEach((tensor) => tensor.dispose()),
  toTensor,
  read: async (tensor) => ({
    shape: tensor.shape,
    dtype: tensor.dtype as DType,
    data: await tensor.data<'float32'>(),
  }),
  free: (tensor) => tensor.dispose(),
});
