import type ort from 'onnxruntime-node';
import { numbersOf, type Graph, type Node } from '../graph.js';

/**
 * ONNX Runtime 1.30 on WebGPU. In its layout of choice, NHWC, a convolution of 6 or 9 channels (divisible by 3, not by 4,
 * more than 3) to a multiple of 4 is wrong; in NCHW, which is what our graphs are written in, it is right.
 */
export const WEBGPU = { name: 'webgpu', preferredLayout: 'NCHW' } as const;

/** A slice that goes backwards from anywhere but the end: the provider begins at the end. */
const isBackwards = ({ inputs: [x, starts, , axes, steps] }: Node): boolean => {
  const [from, along] = [numbersOf(starts), numbersOf(axes)];
  return numbersOf(steps).some((step, k) => {
    const length = x?.shape[along[k] ?? k] ?? 0;
    const start = from[k] ?? 0;
    return step < 0 && (start < 0 ? start + length : start) < length - 1;
  });
};

/** Scalars aside, the provider's Pow fails where it has to broadcast. */
const isBroadcast = ({ inputs: [a, b] }: Node): boolean =>
  a?.shape.join() !== b?.shape.join() && a?.shape.length !== 0 && b?.shape.length !== 0;

/** What the provider computes wrongly or not at all though it says that it can. */
const BROKEN: Readonly<Record<string, (node: Node) => boolean>> = {
  MaxPool: ({ outputs }) => outputs.length > 1, // where the largest values were
  Slice: isBackwards,
  Pow: isBroadcast,
};

/** The graph with names for the nodes that the CPU has to compute, and the provider that is told so. */
export const forWebgpu = (
  graph: Graph,
): { readonly placed: Graph; readonly provider: ort.InferenceSession.WebGpuExecutionProviderOption } => {
  const names: string[] = [];
  const nodes = graph.nodes.map((node) => {
    if (node.domain !== '' || BROKEN[node.op]?.(node) !== true) return node;
    const name = `cpu.${names.length}`;
    names.push(name);
    return { ...node, name };
  });
  const provider = names.length === 0 ? WEBGPU : { ...WEBGPU, forceCpuNodeNames: names }; // empty ones are refused
  return { placed: { ...graph, nodes }, provider };
};
