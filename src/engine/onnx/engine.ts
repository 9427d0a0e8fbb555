import { cacheFolder } from './cache-folder.js';
import { outputName } from './file.js';
import type { OnnxSource } from './runtime.js';
import { explainRuntimeError } from './runtime-errors.js';
import { trace } from '../tracer.js';
import { inTurn } from './turns.js';
import type { Engine, Named, Spec, TensorFunction } from '../types.js';
import { connect, specsOf, workerEngine, type Compiled, type Connection } from '../worker/engine.js';

export interface OnnxOptions {
  /** ONNX Runtime's name of an execution provider: cpu, cuda, tensorrt, webgpu, coreml, dml. */
  readonly provider: string;
  /** Threads of the CPU provider; 0 = one per core. */
  readonly threads?: number;
  /** Where each program writes what its operators took (Chrome's trace format) when it is disposed: path and begin of the name. */
  readonly profile?: string;
}

/**
 * Official builds of ONNX Runtime report usage to Microsoft, and keep a device id and log files for it, unless this is
 * set before the library is loaded. A worker's own `process.env` would not reach it.
 */
const TELEMETRY_OFF = 'ORT_DISABLE_TELEMETRY';
process.env[TELEMETRY_OFF] ??= '1';

/** Messages of ORT's own warnings (unused initialisers and the like) say nothing to a user. */
const ERRORS_ONLY = 3;

const SESSION = {
  // Threads of a session that has finished would go on spinning, and take a core from the session that runs next.
  session: { force_spinning_stop: '1' },
  // Our passes have placed the transposes; these would undo passes/collapse-transposes.ts.
  optimization: {
    disable_specified_optimizers: 'TransposeOptimizer;TransposeOptimizer_CPUExecutionProvider',
  },
};

/** A tensor function as ONNX Runtime takes it. */
export const compileOnnx =
  ({ provider, threads = 0, profile }: OnnxOptions) =>
  (fn: TensorFunction, inputs: Named<Spec>): Compiled<OnnxSource> => {
    // The calls stay here: the graph alone is copied to the worker.
    const { calls: _, ...graph } = trace(fn, inputs);
    const options = {
      executionProviders: [provider],
      graphOptimizationLevel: 'all' as const,
      intraOpNumThreads: threads,
      logSeverityLevel: ERRORS_ONLY as 3,
      extra: SESSION,
      ...(profile !== undefined && { enableProfiling: true, profileFilePrefix: profile }),
    };
    return {
      source: {
        graph,
        options,
        cache: provider === 'cpu' && profile === undefined ? cacheFolder() : undefined,
      },
      outputs: specsOf(graph.outputs),
      names: Object.fromEntries(Object.keys(graph.outputs).map((name) => [name, outputName(graph, name)])),
    };
  };

const takingTurns = <Source>({ ask, terminate }: Connection<Source>): Connection<Source> => ({
  ask: (message) => inTurn(() => ask(message)),
  terminate: () => inTurn(terminate),
});

/** TensorFlow.js functions as ONNX graphs on ONNX Runtime, in a thread of its own. */
export const onnxEngine = (options: OnnxOptions): Engine => {
  const { provider, threads = 0 } = options;
  const connection = connect<OnnxSource>({
    worker: new URL('./worker.js', import.meta.url),
    workerOptions: { workerData: provider },
    explain: explainRuntimeError,
  });
  return workerEngine(
    provider === 'cpu' ? `onnx cpu (${threads === 0 ? 'all' : threads} threads)` : `onnx ${provider}`,
    provider === 'webgpu' ? takingTurns(connection) : connection,
    compileOnnx(options),
  );
};
