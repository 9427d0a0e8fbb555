import { createRequire } from 'node:module';
import { workerData } from 'node:worker_threads';
import type * as TensorFlow from '@tensorflow/tfjs';
import type { Tape } from './tape.js';
import { tapePlayer, type LoadedTape } from './tape-player.js';
import type { DType } from '../types.js';
import { serve } from '../worker/loop.js';

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

const { load, play, unload, toTensor } = tapePlayer(tf);

serve<Tape, LoadedTape, Tensor>({
  description: `TensorFlow ${binding?.TF_Version ?? ''} on the ${isUsingGpuDevice === true ? 'GPU' : 'CPU'}`,
  create: async (tape) => {
    const unknown = tape.steps.find(({ kernel }) => tf.getKernel(kernel, tf.getBackend()) === undefined);
    if (unknown !== undefined) throw new Error(`tfjs-node has no kernel ${unknown.kernel}`);
    return load(tape);
  },
  run: async (session, inputs) => play(session, inputs),
  release: async (session) => unload(session),
  toTensor,
  read: async (tensor) => ({
    shape: tensor.shape,
    dtype: tensor.dtype as DType,
    data: await tensor.data<'float32'>(),
  }),
  free: (tensor) => tensor.dispose(),
});
