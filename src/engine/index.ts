export type { DType, Engine, Handle, HostTensor, Named, Program, Spec, TensorFunction } from './types.js';
export { DEVICES, type Device } from './devices/needs.js';
export { openEngine, probeDevices, type DeviceReport } from './devices/open.js';
export { onnxEngine, type OnnxOptions } from './onnx/engine.js';
export { tensorflowEngine } from './tensorflow/engine.js';
export { eagerEngine } from './eager.js';
export { exportOnnx } from './onnx/export.js';
export { callOnnxModel } from './onnx/call.js';
export { readOnnxModel, type OnnxModel } from './onnx/model.js';
