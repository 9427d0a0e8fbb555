import { EngineError } from '../../pipeline/errors.js';
import { missing, type Device } from './needs.js';
import { eagerEngine } from '../eager.js';
import { onnxEngine } from '../onnx/engine.js';
import { tensorflowEngine } from '../tensorflow/engine.js';
import type { Engine } from '../types.js';

/** An engine on the device, not tried out yet. @throws EngineError with the reason where it cannot be */
export const startDevice = async (device: Device, threads?: number): Promise<Engine> => {
  const reason = missing(device);
  if (reason !== undefined) throw new EngineError(reason);
  if (device === 'reference') return eagerEngine('cpu', 'reference (tfjs cpu)');
  if (device === 'tensorflow') return tensorflowEngine(threads);
  return onnxEngine({ provider: device, ...(threads === undefined ? {} : { threads }) });
};
