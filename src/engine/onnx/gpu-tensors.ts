import ort from 'onnxruntime-node';
import type { Value } from '../graph.js';
import { edited } from './fields.js';
import { writeOnnx } from './file.js';
import type { DType } from '../types.js';

/** Where tensors of the webgpu provider can stay from run to run. ONNX Runtime has no such place for other GPUs in Node. */
const LOCATION = 'gpu-buffer';

/** What makes a program's results stay on the GPU. */
export const stayOnGpu = { preferredOutputLocation: LOCATION } as const;

/** A model that hands its input through, of any shape: writeOnnx's without what it says of shapes. */
const identityModel = (dtype: DType): Uint8Array => {
  const value: Value = { shape: [], dtype };
  const model = writeOnnx({ nodes: [], inputs: { x: value }, outputs: { y: value } });
  // ValueInfoProto: type 2 { tensor_type 1 { shape 2 } }
  const anyShape = (info: Uint8Array): Uint8Array =>
    edited(info, { 2: (type) => edited(type, { 1: (tensor) => edited(tensor, { 2: () => undefined }) }) });
  return edited(model, { 7: (graph) => edited(graph, { 11: anyShape, 12: anyShape }) });
};

/**
 * Brings tensors to the GPU and back. Reading one there directly (`getData`) ends the process in ONNX Runtime 1.30;
 * what a session returns to the CPU is safe.
 */
export const gpuTransfer = (options: ort.InferenceSession.SessionOptions) => {
  const sessions = new Map<string, Promise<ort.InferenceSession>>();
  const handThrough = async (tensor: ort.Tensor, toGpu: boolean): Promise<ort.Tensor> => {
    const key = `${tensor.type} ${toGpu}`;
    const known =
      sessions.get(key) ??
      ort.InferenceSession.create(identityModel(tensor.type as DType), {
        ...options,
        ...(toGpu && stayOnGpu),
      });
    sessions.set(key, known);
    known.catch(() => sessions.delete(key)); // a GPU that was full may have room the next time
    const { y } = await (await known).run({ x: tensor });
    return y as ort.Tensor;
  };
  return {
    /** A copy on the GPU; the given tensor stays the caller's. */
    up: (tensor: ort.Tensor): Promise<ort.Tensor> => handThrough(tensor, true),
    /** A copy whose values can be read; the given tensor stays the caller's. */
    down: (tensor: ort.Tensor): Promise<ort.Tensor> => handThrough(tensor, false),
  };
};
