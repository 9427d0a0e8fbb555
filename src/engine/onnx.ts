import { outputName, writeOnnx } from './onnx-file.js';
import type { OnnxSource } from './onnx-worker.js';
import { optimise } from './passes/index.js';
import { trace } from './tracer.js';
import type { Engine } from './types.js';
import { connect, specsOf, workerEngine } from './worker-engine.js';

export interface OnnxOptions {
  /** ONNX Runtime's name of an execution provider: cpu, cuda, tensorrt, webgpu, coreml, dml. */
  readonly provider: string;
  /** Threads of the CPU provider; 0 = one per core. */
  readonly threads?: number;
}

/**
 * Official builds of ONNX Runtime report usage to Microsoft, and keep a device id and log files for it, unless this is
 * set before the library is loaded. A worker's own `process.env` would not reach it.
 */
const TELEMETRY_OFF = 'ORT_DISABLE_TELEMETRY';
process.env[TELEMETRY_OFF] ??= '1';

/** ONNX Runtime's errors begin with the place in its source, and the condition that did not hold. */
const withoutPlace = (error: string): string => error.replace(/\S*onnxruntime_src\S* .* was false\. /, '');

/** Messages of ORT's own warnings (unused initialisers and the like) say nothing to a user. */
const ERRORS_ONLY = 3;

/** TensorFlow.js functions as ONNX graphs on ONNX Runtime, in a thread of its own. */
export const onnxEngine = ({ provider, threads = 0 }: OnnxOptions): Engine =>
  workerEngine<OnnxSource>(
    provider === 'cpu' ? `onnx cpu (${threads === 0 ? 'all' : threads} threads)` : `onnx ${provider}`,
    connect({
      worker: new URL('./onnx-worker.js', import.meta.url),
      explain: (error) => `ONNX Runtime: ${withoutPlace(error)}`,
    }),
    (fn, inputs) => {
      const graph = optimise(trace(fn, inputs));
      const options = {
        executionProviders: [provider],
        graphOptimizationLevel: 'all' as const,
        intraOpNumThreads: threads,
        logSeverityLevel: ERRORS_ONLY as 3,
        // Threads of a session that has finished would go on spinning, and take a core from the session that runs next.
        extra: { session: { force_spinning_stop: '1' } },
      };
      return {
        source: { model: writeOnnx(graph), options },
        outputs: specsOf(graph.outputs),
        names: Object.fromEntries(Object.keys(graph.outputs).map((name) => [name, outputName(graph, name)])),
      };
    },
  );
