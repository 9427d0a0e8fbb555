import { writeOnnx, type FileOptions } from './file.js';
import { optimise } from '../passes/index.js';
import { trace } from '../tracer.js';
import type { Named, Spec, TensorFunction } from '../types.js';

/**
 * A tensor function as the bytes of an .onnx file, for other programs: standard operators of opset 20, all shapes as
 * given. Inputs named in `weights` are written into the file with these values.
 * @throws EngineError naming the operation that has no rule
 */
export const exportOnnx = (fn: TensorFunction, inputs: Named<Spec>, options: FileOptions = {}): Uint8Array =>
  writeOnnx(optimise(trace(fn, inputs)), options);
