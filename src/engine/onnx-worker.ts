import { parentPort } from 'node:worker_threads';
import ort from 'onnxruntime-node';
import type { DType, HostTensor } from './types.js';

/** What the engine asks its worker thread. Tensors and sessions are known by numbers that the engine hands out. */
export type Request =
  | {
      readonly kind: 'create';
      readonly session: number;
      readonly model: Uint8Array;
      readonly options: ort.InferenceSession.SessionOptions;
    }
  | {
      readonly kind: 'run';
      readonly session: number;
      readonly inputs: Readonly<Record<string, number | HostTensor>>;
      readonly outputs: Readonly<Record<string, number>>;
    }
  | { readonly kind: 'upload'; readonly handle: number; readonly tensor: HostTensor }
  | { readonly kind: 'read'; readonly handle: number }
  | { readonly kind: 'free'; readonly handle: number }
  | { readonly kind: 'release'; readonly session: number };

export interface Reply {
  readonly request: number;
  readonly error?: string;
  readonly tensor?: HostTensor;
}

const sessions = new Map<number, ort.InferenceSession>();
const tensors = new Map<number, ort.Tensor>();

const found = <T>(map: ReadonlyMap<number, T>, key: number, what: string): T => {
  const value = map.get(key);
  if (value === undefined) throw new Error(`${what} was released already`);
  return value;
};

const toTensor = ({ dtype, data, shape }: HostTensor): ort.Tensor => new ort.Tensor(dtype, data, shape);

const answer = async (message: Request): Promise<HostTensor | undefined> => {
  switch (message.kind) {
    case 'create':
      sessions.set(message.session, await ort.InferenceSession.create(message.model, message.options));
      return undefined;
    case 'run': {
      const feeds: Record<string, ort.Tensor> = {};
      for (const [name, input] of Object.entries(message.inputs)) {
        feeds[name] = typeof input === 'number' ? found(tensors, input, `input "${name}"`) : toTensor(input);
      }
      const results = await found(sessions, message.session, 'the program').run(
        feeds,
        Object.keys(message.outputs),
      );
      for (const [name, handle] of Object.entries(message.outputs)) {
        const tensor = results[name];
        if (tensor === undefined) throw new Error(`the program returned no "${name}"`);
        tensors.set(handle, tensor);
      }
      return undefined;
    }
    case 'upload':
      tensors.set(message.handle, toTensor(message.tensor));
      return undefined;
    case 'read': {
      const tensor = found(tensors, message.handle, 'the tensor');
      return {
        shape: tensor.dims,
        dtype: tensor.type as DType,
        data: (await tensor.getData()) as Float32Array,
      };
    }
    case 'free':
      tensors.get(message.handle)?.dispose();
      tensors.delete(message.handle);
      return undefined;
    case 'release':
      await sessions.get(message.session)?.release();
      sessions.delete(message.session);
      return undefined;
  }
};

// One request at a time, in the order sent: a tensor is freed only after the runs that were asked for before.
let last = Promise.resolve();
parentPort?.on('message', ({ request, message }: { request: number; message: Request }) => {
  last = last.then(async () => {
    let reply: Reply;
    try {
      const tensor = await answer(message);
      reply = tensor === undefined ? { request } : { request, tensor };
    } catch (error) {
      reply = { request, error: error instanceof Error ? error.message : String(error) };
    }
    parentPort?.postMessage(reply);
  });
});
