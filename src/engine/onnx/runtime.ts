import ort from 'onnxruntime-node';
import { gpuTransfer, stayOnGpu } from './gpu-tensors.js';
import type { Graph } from '../graph.js';
import { writeOnnx } from './file.js';
import { optimise } from '../passes/index.js';
import { programCache } from './program-cache.js';
import { ERRORS_ONLY } from './quiet.js';
import type { DType, HostTensor } from '../types.js';
import { forWebgpu, WEBGPU } from './webgpu.js';
import { worthOptimising } from './worth-optimising.js';
import type { Runtime } from '../worker/loop.js';

/** A graph as it was traced, and how to run it. */
export interface OnnxSource {
  readonly graph: Graph;
  readonly options: ort.InferenceSession.SessionOptions;
  /** Folder of optimised programs, if any are to be kept. */
  readonly cache: string | undefined;
}

type OnnxRuntime = Runtime<OnnxSource, ort.InferenceSession, ort.Tensor>;

const toTensor = ({ dtype, data, shape }: HostTensor): ort.Tensor => new ort.Tensor(dtype, data, shape);
const toHost = async (tensor: ort.Tensor): Promise<HostTensor> => ({
  shape: tensor.dims,
  dtype: tensor.type as DType,
  data: (await tensor.getData()) as Float32Array,
});

const programs = programCache();

/** Tensors in the memory of the CPU; a GPU provider copies what a run takes and gives. */
const onCpu: OnnxRuntime = {
  // The passes and the writing take longer than the tracing: they are done here, off the event loop.
  create: ({ graph, options, cache }) => {
    const onCpu = options.executionProviders?.[0] === 'cpu';
    const program = optimise(graph, { onCpu });
    const bytes = writeOnnx(program);
    if (!onCpu || worthOptimising(program)) return programs.open({ bytes, options, cache });
    // A file of what was not optimised would save nothing.
    return programs.open({
      bytes,
      options: { ...options, graphOptimizationLevel: 'disabled' },
      cache: undefined,
    });
  },
  run: (session, inputs, wanted) => session.run(inputs, wanted),
  release: (session) => programs.release(session),
  toTensor,
  read: toHost,
  free: (tensor) => tensor.dispose(),
};

/** Results, and what was uploaded, stay on the GPU until they are read. */
const onWebgpu = (): OnnxRuntime => {
  const { up, down } = gpuTransfer({ executionProviders: [WEBGPU], logSeverityLevel: ERRORS_ONLY });
  return {
    ...onCpu,
    create: ({ graph, options, cache }) => {
      const { placed, provider } = forWebgpu(optimise(graph));
      return programs.open({
        bytes: writeOnnx(placed),
        options: { ...options, executionProviders: [provider], ...stayOnGpu },
        cache,
      });
    },
    upload: (tensor) => up(toTensor(tensor)),
    read: async (tensor) => toHost(await down(tensor)),
  };
};

/** ONNX Runtime as a worker thread sees it, on one of its providers. */
export const onnxRuntime = (provider: string): OnnxRuntime => (provider === WEBGPU.name ? onWebgpu() : onCpu);
