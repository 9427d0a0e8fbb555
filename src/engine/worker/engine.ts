import { Worker, type WorkerOptions } from 'node:worker_threads';
import { EngineError, messageOf } from '../../pipeline/errors.js';
import type { Value } from '../graph.js';
import { checkInputs, handleFactory, isHandle } from '../handles.js';
import type { DType, Engine, Handle, HostTensor, Named, Program, Spec } from '../types.js';
import type { Reply, Request } from './loop.js';

/** A tensor function made ready for the worker's runtime. */
export interface Compiled<Source> {
  readonly source: Source;
  readonly outputs: Named<Spec>;
  /** The runtime's names of the outputs, by ours. */
  readonly names: Named<string>;
}

export interface ConnectOptions {
  readonly worker: URL;
  readonly workerOptions?: WorkerOptions;
  /** What a message of the runtime is to people. */
  readonly explain: (error: string) => string;
}

/** Shapes and types of a graph's values, without what else is known of them. */
export const specsOf = (values: Named<Value>): Record<string, Spec> =>
  Object.fromEntries(
    Object.entries(values).map(([name, { shape, dtype }]) => [name, { shape, dtype: dtype as DType }]),
  );

/** The thread that an engine's runtime lives in. */
export interface Connection<Source> {
  /** @throws EngineError with what the runtime says */
  readonly ask: (message: Request<Source>) => Promise<Reply>;
  readonly terminate: () => Promise<unknown>;
}

const LONG = 2 ** 30;

/** Sends requests to the worker thread and matches replies. The thread keeps the process alive only while it owes one. */
export const connect = <Source>({
  worker: url,
  workerOptions,
  explain,
}: ConnectOptions): Connection<Source> => {
  const worker = new Worker(url, workerOptions);
  worker.unref();
  // A timer holds the process while replies are owed; ref and unref of the worker itself can lose count.
  let hold: NodeJS.Timeout | undefined;
  const waiting = new Map<number, { resolve: (reply: Reply) => void; reject: (error: Error) => void }>();
  let sent = 0;
  let dead: EngineError | undefined;
  const letGo = (): void => {
    clearInterval(hold);
    hold = undefined;
  };
  const settle = (reply: Reply): void => {
    const waiter = waiting.get(reply.request);
    waiting.delete(reply.request);
    if (waiting.size === 0) letGo();
    if (reply.error === undefined) waiter?.resolve(reply);
    else waiter?.reject(new EngineError(explain(reply.error)));
  };
  const fail = (error: EngineError): void => {
    dead ??= error; // an exit follows every failure: the first says why
    for (const waiter of waiting.values()) waiter.reject(dead);
    waiting.clear();
    letGo();
  };
  worker.on('message', settle);
  worker.on('error', (error) =>
    fail(new EngineError(`the engine's thread failed: ${error.message}`, { cause: error })),
  );
  worker.on('exit', () => fail(new EngineError('the engine was disposed')));
  const ask = (message: Request<Source>): Promise<Reply> =>
    new Promise((resolve, reject) => {
      if (dead !== undefined) return reject(dead);
      const request = sent++;
      waiting.set(request, { resolve, reject });
      hold ??= setInterval(() => undefined, LONG);
      try {
        worker.postMessage({ request, message });
      } catch (error) {
        // What cannot be sent: nobody will answer.
        settle({ request, error: messageOf(error) });
      }
    });
  return { ask, terminate: () => worker.terminate() };
};

/** An engine whose runtime lives in a worker thread: computing never blocks the event loop. */
export const workerEngine = <Source>(
  device: string,
  { ask, terminate }: Connection<Source>,
  prepare: (...asked: Parameters<Engine['compile']>) => Compiled<Source>,
  another: Engine['another'],
): Engine => {
  let numbers = 0;
  // A release that fails was asked of a dead worker, which has released everything.
  const forget = (request: Promise<unknown>): void => void request.catch(() => undefined);
  const handles = handleFactory<number>((handle) => forget(ask({ kind: 'free', handle })));

  const program = (
    session: number,
    inputs: Named<Spec>,
    outputs: Named<Spec>,
    names: Named<string>,
  ): Program => ({
    inputs,
    outputs,
    run: async (values) => {
      checkInputs(inputs, values);
      const feeds = Object.fromEntries(
        Object.keys(inputs).map((name) => {
          const input = values[name] as Handle | HostTensor;
          return [
            name,
            isHandle(input)
              ? handles.valueOf(input)
              : { shape: input.shape, dtype: input.dtype, data: input.data },
          ];
        }),
      );
      const results = Object.entries(outputs).map(([name, spec]) => ({ name, spec, handle: ++numbers }));
      const wanted = Object.fromEntries(results.map(({ name, handle }) => [names[name] as string, handle]));
      await ask({ kind: 'run', session, inputs: feeds, outputs: wanted });
      return Object.fromEntries(results.map(({ name, spec, handle }) => [name, handles.make(handle, spec)]));
    },
    dispose: async () => {
      await ask({ kind: 'release', session }).catch(() => undefined);
    },
  });

  return {
    device,
    compile: async (fn, inputs, compiling) => {
      const { source, outputs, names } = prepare(fn, inputs, compiling);
      const session = ++numbers;
      await ask({ kind: 'create', session, source });
      return program(session, inputs, outputs, names);
    },
    upload: async (tensor) => {
      const handle = ++numbers;
      await ask({
        kind: 'upload',
        handle,
        tensor: { shape: tensor.shape, dtype: tensor.dtype, data: tensor.data },
      });
      return handles.make(handle, tensor);
    },
    read: async (handle) => {
      const { tensor } = await ask({ kind: 'read', handle: handles.valueOf(handle) });
      if (tensor === undefined) throw new EngineError('the engine returned no values');
      return tensor;
    },
    another,
    get liveHandles() {
      return handles.live();
    },
    dispose: async () => {
      await terminate();
    },
  };
};
