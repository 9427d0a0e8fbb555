import ort from 'onnxruntime-node';
import type { Graph } from '../../src/engine/graph.js';
import { outputName, writeOnnx } from '../../src/engine/onnx/file.js';
import type { DType, HostTensor, Named } from '../../src/engine/types.js';

/** Runs a graph as it stands: on one thread, without ONNX Runtime's own optimisations. */
export const runGraph = async (
  graph: Graph,
  inputs: Named<HostTensor>,
): Promise<Record<string, HostTensor>> => {
  const session = await ort.InferenceSession.create(writeOnnx(graph), {
    intraOpNumThreads: 1,
    graphOptimizationLevel: 'disabled',
    logSeverityLevel: 3,
  });
  const feeds = Object.entries(inputs).map(
    ([name, t]) => [name, new ort.Tensor(t.dtype, t.data, t.shape)] as const,
  );
  const results = await session.run(Object.fromEntries(feeds));
  const outputs = Object.keys(graph.outputs).map((name): [string, HostTensor] => {
    const { dims, type, data } = results[outputName(graph, name)]!;
    return [name, { shape: dims, dtype: type as DType, data: data as Float32Array }];
  });
  await session.release();
  return Object.fromEntries(outputs);
};
