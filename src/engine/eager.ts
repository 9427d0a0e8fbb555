import * as tf from '@tensorflow/tfjs';
import './gradients.js';
import { EngineError } from '../pipeline/errors.js';
import { checkInputs, handleFactory, isHandle } from './handles.js';
import type { DType, Engine, Handle, HostTensor, Named, Spec } from './types.js';

/** Runs `work` with a tfjs backend as the current one, whatever it was before. */
const withBackend = <T>(backend: string, work: () => T): T => {
  const previous = tf.getBackend() as string | undefined;
  if (previous !== backend) void tf.setBackend(backend); // made already: takes effect at once
  try {
    return work();
  } finally {
    if (previous !== undefined && previous !== backend) void tf.setBackend(previous);
  }
};

/**
 * TensorFlow.js functions one operation at a time, on a tfjs backend of this thread: `cpu` is the reference that tests
 * compare with. Computes on the calling thread.
 */
export const eagerEngine = async (backend: string, device: string): Promise<Engine> => {
  const before = tf.getBackend() as string | undefined;
  if (!(await tf.setBackend(backend)))
    throw new EngineError(`the tfjs backend "${backend}" could not be started`);
  await tf.ready();
  // The cpu backend greets at its first tensor, on standard error, with advice that is not the user's concern.
  const isProduction = tf.env().getBool('PROD');
  tf.env().set('PROD', true);
  tf.scalar(0).dispose();
  tf.env().set('PROD', isProduction);
  if (before !== undefined && before !== backend) await tf.setBackend(before);

  const handles = handleFactory<tf.Tensor>((tensor) => withBackend(backend, () => tensor.dispose()));
  const specOf = (tensor: tf.Tensor): Spec => ({ shape: tensor.shape, dtype: tensor.dtype as DType });
  // tfjs keeps the array it is given; a caller may change its own afterwards.
  const toTensor = ({ data, shape, dtype }: HostTensor): tf.Tensor =>
    tf.tensor(data.slice(), [...shape], dtype);

  let disposed = false;
  const alive = (): void => {
    if (disposed) throw new EngineError('the engine was disposed');
  };

  return {
    device,
    compile: async (fn, inputs) => {
      alive();
      // The first call says what comes out, and fails as early as a compiler would.
      const outputs: Record<string, Spec> = {};
      withBackend(backend, () => {
        tf.tidy(() => {
          const zeros = Object.entries(inputs).map(
            ([name, { shape, dtype }]) => [name, tf.zeros([...shape], dtype)] as const,
          );
          for (const [name, tensor] of Object.entries(fn(Object.fromEntries(zeros))))
            outputs[name] = specOf(tensor);
        });
      });
      return {
        inputs,
        outputs,
        run: async (values: Named<Handle | HostTensor>) => {
          alive();
          checkInputs(inputs, values);
          return withBackend(backend, () => {
            const results = tf.tidy(() => {
              const tensors = Object.keys(inputs).map((name) => {
                const input = values[name] as Handle | HostTensor;
                return [name, isHandle(input) ? handles.valueOf(input) : toTensor(input)] as const;
              });
              // An input handed through, or one tensor under two names, would be owned twice: each gets its own.
              const owned = new Set<tf.Tensor>(tensors.map(([, tensor]) => tensor));
              const out = Object.entries(fn(Object.fromEntries(tensors)));
              return Object.fromEntries(
                out.map(([name, t]) => {
                  const mine = owned.has(t) ? tf.clone(t) : t;
                  owned.add(mine);
                  return [name, mine];
                }),
              );
            });
            return Object.fromEntries(
              Object.entries(results).map(([name, tensor]) => [
                name,
                handles.make(tf.keep(tensor), specOf(tensor)),
              ]),
            );
          });
        },
        dispose: async () => undefined,
      };
    },
    upload: async (tensor) => {
      alive();
      return withBackend(backend, () => handles.make(tf.keep(toTensor(tensor)), tensor));
    },
    read: async (handle) => {
      alive();
      const tensor = handles.valueOf(handle);
      const data = (await tensor.data()).slice();
      return { ...specOf(tensor), data };
    },
    another: () => eagerEngine(backend, device),
    get liveHandles() {
      return handles.live();
    },
    dispose: async () => {
      disposed = true;
    },
  };
};
