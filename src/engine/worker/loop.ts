import { parentPort } from 'node:worker_threads';
import { messageOf } from '../../pipeline/errors.js';
import type { HostTensor, Named } from '../types.js';

/** What an engine asks its worker thread. Tensors and sessions are known by numbers that the engine hands out. */
export type Request<Source> =
  | { readonly kind: 'describe' }
  | { readonly kind: 'create'; readonly session: number; readonly source: Source }
  | {
      readonly kind: 'run';
      readonly session: number;
      readonly inputs: Named<number | HostTensor>;
      readonly outputs: Named<number>;
    }
  | { readonly kind: 'upload'; readonly handle: number; readonly tensor: HostTensor }
  | { readonly kind: 'read'; readonly handle: number }
  | { readonly kind: 'free'; readonly handle: number }
  | { readonly kind: 'release'; readonly session: number };

export interface Reply {
  readonly request: number;
  readonly error?: string;
  readonly tensor?: HostTensor;
  readonly text?: string;
}

/** A runtime as the worker thread sees it: makes sessions of what was compiled, and tensors of type T. */
export interface Runtime<Source, Session, T> {
  /** What people call it, where only the loaded library knows. */
  readonly description?: string;
  create(source: Source): Promise<Session>;
  /** New tensors under the wanted names; the inputs stay the caller's. */
  run(session: Session, inputs: Named<T>, wanted: readonly string[]): Promise<Named<T>>;
  release(session: Session): Promise<void>;
  toTensor(tensor: HostTensor): T;
  /** Of a tensor that is kept for later runs; default: toTensor. */
  upload?(tensor: HostTensor): Promise<T>;
  read(tensor: T): Promise<HostTensor>;
  free(tensor: T): void;
}

const found = <T>(map: ReadonlyMap<number, T>, key: number, what: string): T => {
  const value = map.get(key);
  if (value === undefined) throw new Error(`${what} was released already`);
  return value;
};

/** What answers an engine's requests with a runtime. */
export const answering = <Source, Session, T>(
  runtime: Runtime<Source, Session, T>,
): ((message: Request<Source>) => Promise<Omit<Reply, 'request'>>) => {
  const sessions = new Map<number, Session>();
  const tensors = new Map<number, T>();

  const run = async ({ session, inputs, outputs }: Request<Source> & { kind: 'run' }): Promise<void> => {
    const feeds: Record<string, T> = {};
    const passing: T[] = [];
    try {
      for (const [name, input] of Object.entries(inputs)) {
        const known = typeof input === 'number';
        const tensor = known ? found(tensors, input, `input "${name}"`) : runtime.toTensor(input);
        if (!known) passing.push(tensor);
        feeds[name] = tensor;
      }
      const results = await runtime.run(found(sessions, session, 'the program'), feeds, Object.keys(outputs));
      for (const [name, handle] of Object.entries(outputs)) {
        const tensor = results[name];
        if (tensor === undefined) throw new Error(`the program returned no "${name}"`);
        tensors.set(handle, tensor);
      }
    } finally {
      passing.forEach((tensor) => runtime.free(tensor));
    }
  };

  return async (message) => {
    switch (message.kind) {
      case 'describe':
        return { text: runtime.description ?? '' };
      case 'create':
        sessions.set(message.session, await runtime.create(message.source));
        return {};
      case 'run':
        await run(message);
        return {};
      case 'upload':
        tensors.set(
          message.handle,
          runtime.upload === undefined
            ? runtime.toTensor(message.tensor)
            : await runtime.upload(message.tensor),
        );
        return {};
      case 'read':
        return { tensor: await runtime.read(found(tensors, message.handle, 'the tensor')) };
      case 'free': {
        const tensor = tensors.get(message.handle);
        tensors.delete(message.handle);
        if (tensor !== undefined) runtime.free(tensor);
        return {};
      }
      case 'release': {
        const session = sessions.get(message.session);
        sessions.delete(message.session);
        if (session !== undefined) await runtime.release(session);
        return {};
      }
    }
  };
};

/** Answers the engine's requests, one at a time and in the order sent: a tensor is freed only after earlier runs. */
export const serve = <Source, Session, T>(runtime: Runtime<Source, Session, T>): void => {
  const answer = answering(runtime);
  let last = Promise.resolve();
  parentPort?.on('message', ({ request, message }: { request: number; message: Request<Source> }) => {
    last = last.then(async () => {
      let reply: Reply;
      try {
        reply = { request, ...(await answer(message)) };
      } catch (error) {
        reply = { request, error: error instanceof Error ? error.message : String(error) };
      }
      try {
        parentPort?.postMessage(reply);
      } catch (error) {
        // There is no memory for a copy: the thread, and what else it holds, live on.
        parentPort?.postMessage({ request, error: messageOf(error) } satisfies Reply);
      }
    });
  });
};
