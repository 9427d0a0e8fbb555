import type { HostTensor } from '../types.js';
import type { Connection } from '../worker/engine.js';
import type { Request } from '../worker/loop.js';

let last: Promise<unknown> = Promise.resolve();

const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
  const done = last.then(work);
  last = done.catch(() => undefined);
  return done;
};

const copied = (tensor: HostTensor): HostTensor => ({ ...tensor, data: tensor.data.slice() });

/** With arrays of its own: the caller may change those that it handed over. */
const owned = <Source>(message: Request<Source>): Request<Source> => {
  if (message.kind === 'upload') return { ...message, tensor: copied(message.tensor) };
  if (message.kind !== 'run') return message;
  const inputs = Object.entries(message.inputs).map(
    ([name, input]) => [name, typeof input === 'number' ? input : copied(input)] as const,
  );
  return { ...message, inputs: Object.fromEntries(inputs) };
};

/**
 * A connection that asks one thing at a time, in order, with all others of its kind. ONNX Runtime has one WebGPU device for
 * the whole process, and sessions that use it from several threads at once may end the process: engines on webgpu take
 * turns.
 */
export const takingTurns = <Source>({ ask, terminate }: Connection<Source>): Connection<Source> => ({
  ask: async (message) => {
    const mine = owned(message); // now: the turn may come much later
    return inTurn(() => ask(mine));
  },
  terminate: () => inTurn(terminate),
});
