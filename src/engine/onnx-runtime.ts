import ort from 'onnxruntime-node';
import { gpuTransfer, stayOnGpu } from './gpu-tensors.js';
import type { DType, HostTensor } from './types.js';
import type { Runtime } from './worker-loop.js';

/** A graph as ONNX, and how to run it. */
export interface OnnxSource {
  readonly model: Uint8Array;
  readonly options: ort.InferenceSession.SessionOptions;
}

type OnnxRuntime = Runtime<OnnxSource, ort.InferenceSession, ort.Tensor>;

const toTensor = ({ dtype, data, shape }: HostTensor): ort.Tensor => new ort.Tensor(dtype, data, shape);
const toHost = async (tensor: ort.Tensor): Promise<HostTensor> => ({
  shape: tensor.dims,
  dtype: tensor.type as DType,
  data: (await tensor.getData()) as Float32Array,
});

/** Tensors in the memory of the CPU; a GPU provider copies what a run takes and gives. */
const onCpu: OnnxRuntime = {
  create: ({ model, options }) => ort.InferenceSession.create(model, options),
  run: (session, inputs, wanted) => session.run(inputs, wanted),
  release: (session) => session.release(),
  toTensor,
  read: toHost,
  free: (tensor) => tensor.dispose(),
};

/** Results, and what was uploaded, stay on the GPU until they are read. */
const onGpu = (provider: string): OnnxRuntime => {
  const { up, down } = gpuTransfer({ executionProviders: [provider], logSeverityLevel: 3 });
  return {
    ...onCpu,
    create: ({ model, options }) => ort.InferenceSession.create(model, { ...options, ...stayOnGpu }),
    upload: (tensor) => up(toTensor(tensor)),
    read: async (tensor) => toHost(await down(tensor)),
  };
};

/** ONNX Runtime as a worker thread sees it, on one of its providers. */
export const onnxRuntime = (provider: string): OnnxRuntime =>
  provider === 'webgpu' ? onGpu(provider) : onCpu;
