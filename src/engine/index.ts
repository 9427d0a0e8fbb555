export type { DType, Engine, Handle, HostTensor, Named, Program, Spec, TensorFunction } from './types.js';
export { DEVICES, type Device } from './device-needs.js';
export { openEngine, probeDevices, type DeviceReport } from './devices.js';
export { onnxEngine, type OnnxOptions } from './onnx.js';
export { tensorflowEngine } from './tensorflow.js';
export { eagerEngine } from './eager.js';
export { exportOnnx } from './export.js';
export { callOnnxModel } from './onnx-call.js';
export { readOnnxModel, type OnnxModel } from './onnx-model.js';
