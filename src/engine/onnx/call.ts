import * as tf from '@tensorflow/tfjs-core';
import type { NamedAttrMap, Tensor } from '@tensorflow/tfjs-core';
import { EngineError } from '../../pipeline/errors.js';
import type { OnnxModel } from './model.js';

/** The tfjs kernel that stands for a model: the tracer has a rule for it, other backends have not. */
export const MODEL_KERNEL = 'OnnxModel';

/** What is said of a model where its kernel cannot be run. */
export const needsOnnxRuntime = ({ path }: OnnxModel): EngineError =>
  new EngineError(`${path} needs ONNX Runtime, which does not run here`, {
    hint: 'take another device: auto, cpu, cuda, webgpu, ...',
  });

/**
 * An .onnx file as an operation in a function that is compiled for ONNX Runtime. Inputs are float32, in the order of
 * `model.inputs`; outputs have the given shapes, which are those that the model makes of such inputs. No gradient.
 * @throws EngineError on a device that is not ONNX Runtime's
 */
export const callOnnxModel = (
  model: OnnxModel,
  inputs: readonly Tensor[],
  shapes: readonly (readonly number[])[],
): Tensor[] => {
  if (tf.getKernel(MODEL_KERNEL, tf.getBackend()) === undefined) throw needsOnnxRuntime(model);
  const attributes: object = { model, shapes };
  const named = Object.fromEntries(inputs.map((tensor, k) => [String(k), tensor]));
  return tf.engine().runKernel(MODEL_KERNEL, named, attributes as NamedAttrMap);
};
