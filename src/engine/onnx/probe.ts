import { EngineError, messageOf } from '../../pipeline/errors.js';
import { count } from '../graph.js';
import { ERRORS_ONLY } from './quiet.js';
import type { Named } from '../types.js';

/**
 * Shapes of what a model makes of inputs of these shapes (float32): it is run once, on zeros. What a file declares of
 * sizes that it leaves open cannot be relied on.
 * @throws EngineError naming the file, with what ONNX Runtime says
 */
export const probeOnnxModel = async (
  path: string,
  inputs: Named<readonly number[]>,
): Promise<Record<string, readonly number[]>> => {
  const { default: ort } = await import('onnxruntime-node');
  try {
    const session = await ort.InferenceSession.create(path, {
      executionProviders: ['cpu'],
      logSeverityLevel: ERRORS_ONLY,
    });
    try {
      const feeds = Object.entries(inputs).map(([name, shape]) => {
        const data = new Float32Array(count(shape));
        return [name, new ort.Tensor('float32', data, shape)] as const;
      });
      const results = await session.run(Object.fromEntries(feeds));
      return Object.fromEntries(Object.entries(results).map(([name, { dims }]) => [name, dims]));
    } finally {
      await session.release();
    }
  } catch (cause) {
    const shapes = Object.entries(inputs).map(([name, shape]) => `${name} [${shape.join(', ')}]`);
    throw new EngineError(`${path} cannot be run on ${shapes.join(', ')}: ${messageOf(cause)}`, { cause });
  }
};
