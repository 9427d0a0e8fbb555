import { cacheFolder } from './cache-folder.js';
import { outputName } from './file.js';
import { ERRORS_ONLY } from './quiet.js';
import type { OnnxSource } from './runtime.js';
import { explainRuntimeError } from './runtime-errors.js';
import { trace } from '../tracer.js';
import { takingTurns } from './turns.js';
import type { CompileOptions, Engine, Named, Spec, TensorFunction } from '../types.js';
import { connect, specsOf, workerEngine, type Compiled } from '../worker/engine.js';

export interface OnnxOptions {
  /** ONNX Runtime's name of an execution provider: cpu, cuda, tensorrt, webgpu, coreml, dml. */
  readonly provider: string;
  /** Threads of the CPU provider; 0 = one per core. */
  readonly threads?: number;
  /** Where each program writes what its operators took (Chrome's trace format) when it is disposed: path and begin of the name. */
  readonly profile?: string;
}

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
  (fn: TensorFunction, inputs: Named<Spec>, { isKept = true }: CompileOptions = {}): Compiled<OnnxSource> => {
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
        cache: isKept && provider === 'cpu' && profile === undefined ? cacheFolder() : undefined,
      },
      outputs: specsOf(graph.outputs),
      names: Object.fromEntries(Object.keys(graph.outputs).map((name) => [name, outputName(graph, name)])),
    };
  };

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
    () => Promise.resolve(onnxEngine(options)),
  );
};
