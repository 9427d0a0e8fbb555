import ort from 'onnxruntime-node';
import type { DType } from './types.js';
import { serve } from './worker-loop.js';

/** A graph as ONNX, and how to run it. */
export interface OnnxSource {
  readonly model: Uint8Array;
  readonly options: ort.InferenceSession.SessionOptions;
}

serve<OnnxSource, ort.InferenceSession, ort.Tensor>({
  create: ({ model, options }) => ort.InferenceSession.create(model, options),
  run: (session, inputs, wanted) => session.run(inputs, wanted),
  release: (session) => session.release(),
  toTensor: ({ dtype, data, shape }) => new ort.Tensor(dtype, data, shape),
  read: async (tensor) => ({
    shape: tensor.dims,
    dtype: tensor.type as DType,
    data: (await tensor.getData()) as Float32Array,
  }),
  free: (tensor) => tensor.dispose(),
});
