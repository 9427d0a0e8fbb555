import { Worker } from 'node:worker_threads';
import { EngineError } from '../pipeline/errors.js';
import { checkInputs, handleFactory, isHandle } from './handles.js';
import { outputName, writeOnnx } from './onnx-file.js';
import type { Reply, Request } from './onnx-worker.js';
import { optimise } from './passes/index.js';
import { trace } from './tracer.js';
import type { Engine, Handle, HostTensor, Named, Program, Spec } from './types.js';

export interface OnnxOptions {
  /** ONNX Runtime's name of an execution provider: cpu, cuda, tensorrt, webgpu, coreml, dml. */
  readonly provider: string;
  /** Threads of the CPU provider; 0 = one per core. */
  readonly threads?: number;
}

const LONG = 2 ** 30;

/**
 * Official builds of ONNX Runtime report usage to Microsoft, and keep a device id and log files for it, unless this is
 * set before the library is loaded. A worker's own `process.env` would not reach it.
 */
const TELEMETRY_OFF = 'ORT_DISABLE_TELEMETRY';
process.env[TELEMETRY_OFF] ??= '1';

/** ONNX Runtime's errors begin with the place in its source, and the condition that did not hold. */
const withoutPlace = (error: string): string => error.replace(/\S*onnxruntime_src\S* .* was false\. /, '');

/** Sends requests to the worker thread and matches replies. The thread keeps the process alive only while it owes one. */
const connect = () => {
  const worker = new Worker(new URL('./onnx-worker.js', import.meta.url));
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
    else waiter?.reject(new EngineError(`ONNX Runtime: ${withoutPlace(reply.error)}`));
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
  const ask = (message: Request): Promise<Reply> =>
    new Promise((resolve, reject) => {
      if (dead !== undefined) return reject(dead);
      const request = sent++;
      waiting.set(request, { resolve, reject });
      hold ??= setInterval(() => undefined, LONG);
      worker.postMessage({ request, message });
    });
  return { ask, terminate: () => worker.terminate() };
};

/** Messages of ORT's own warnings (unused initialisers and the like) say nothing to a user. */
const ERRORS_ONLY = 3;

/** TensorFlow.js functions as ONNX graphs on ONNX Runtime, in a thread of its own. */
export const onnxEngine = ({ provider, threads = 0 }: OnnxOptions): Engine => {
  const { ask, terminate } = connect();
  let numbers = 0;
  // A release that fails was asked of a dead worker, which has released everything.
  const forget = (request: Promise<unknown>): void => void request.catch(() => undefined);
  const handles = handleFactory<number>((handle) => forget(ask({ kind: 'free', handle })));

  const program = (
    session: number,
    inputs: Named<Spec>,
    outputs: Named<Spec>,
    inFile: Named<string>,
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
      const wanted = Object.fromEntries(results.map(({ name, handle }) => [inFile[name] as string, handle]));
      await ask({ kind: 'run', session, inputs: feeds, outputs: wanted });
      return Object.fromEntries(results.map(({ name, spec, handle }) => [name, handles.make(handle, spec)]));
    },
    dispose: async () => {
      await ask({ kind: 'release', session }).catch(() => undefined);
    },
  });

  return {
    device: provider === 'cpu' ? `onnx cpu (${threads === 0 ? 'all' : threads} threads)` : `onnx ${provider}`,
    compile: async (fn, inputs) => {
      const graph = optimise(trace(fn, inputs));
      const session = ++numbers;
      const options = {
        executionProviders: [provider],
        graphOptimizationLevel: 'all' as const,
        intraOpNumThreads: threads,
        logSeverityLevel: ERRORS_ONLY as 3,
        // Threads of a session that has finished would go on spinning, and take a core from the session that runs next.
        extra: { session: { force_spinning_stop: '1' } },
      };
      await ask({ kind: 'create', session, model: writeOnnx(graph), options });
      const outputs = Object.fromEntries(
        Object.entries(graph.outputs).map(([name, { shape, dtype }]) => [name, { shape, dtype } as Spec]),
      );
      const inFile = Object.fromEntries(Object.keys(outputs).map((name) => [name, outputName(graph, name)]));
      return program(session, inputs, outputs, inFile);
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
    get liveHandles() {
      return handles.live();
    },
    dispose: async () => {
      await terminate();
    },
  };
};
