import type { Named } from '../engine/types.js';
import { didYouMean } from '../pipeline/closest.js';
import { ForecasterError, messageOf, UsageError } from '../pipeline/errors.js';
import { buildNetwork, withWeights, type Forecaster, type Settings } from './forecaster.js';
import { networkParams } from './network-functions.js';
import { readSafetensors, type Weight } from './safetensors.js';
import { resolveSource, type WeightMap } from './weight-map.js';

const text = (shape: readonly number[]): string => `[${shape.join(', ')}]`;

/** Axes of length one do not matter: a linear layer is a 1x1 convolution, a depthwise filter has one input. */
const withoutOnes = (shape: readonly number[]): string => shape.filter((d) => d !== 1).join();

/** Names with * for any characters. */
const matcher = (patterns: readonly string[]): ((name: string) => boolean) => {
  const escaped = patterns.map((pattern) =>
    pattern
      .split('*')
      .map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'))
      .join('.*'),
  );
  const expressions = escaped.map((pattern) => new RegExp(`^${pattern}$`));
  return (name) => expressions.some((expression) => expression.test(name));
};

/**
 * A forecaster of these settings with the weights of a safetensors file that something else wrote. Tensors are found
 * under the forecaster's own names, or where the map says.
 * @throws ForecasterError listing what is missing, what does not fit and what is left over, UsageError for a map that
 * names no weight of the forecaster
 */
export const importWeights = async (
  bytes: Buffer,
  settings: Settings,
  { weights: sources, ignore }: WeightMap,
): Promise<Forecaster> => {
  const network = await buildNetwork(settings);
  const specs = networkParams(network);
  for (const name of Object.keys(sources))
    if (!(name in specs))
      throw new UsageError(`the map has "${name}", which is no weight of this forecaster`, {
        hint: didYouMean(name, Object.keys(specs)),
      });
  const { tensors } = readSafetensors(bytes, matcher(ignore));
  const used = new Set<string>();
  const missing: string[] = [];
  const misfits: string[] = [];
  const weights: Record<string, Weight> = {};
  for (const [name, { shape }] of Object.entries(specs)) {
    const absent: string[] = [];
    const take = (from: string): Weight => {
      used.add(from);
      const tensor = Object.hasOwn(tensors, from) ? tensors[from] : undefined;
      if (tensor === undefined) absent.push(from);
      return tensor ?? { shape, data: new Float32Array(0) };
    };
    try {
      const weight = resolveSource(sources[name] ?? name, shape, take);
      if (absent.length > 0) throw new Error();
      if (withoutOnes(weight.shape) === withoutOnes(shape)) weights[name] = { shape, data: weight.data };
      else misfits.push(`${name} ${text(shape)} would get ${text(weight.shape)}`);
    } catch (cause) {
      const [from] = absent;
      if (from === undefined) misfits.push(`${name} ${text(shape)}: ${messageOf(cause)}`);
      else missing.push(from === name ? `${name} ${text(shape)}` : `${name} ${text(shape)} from ${from}`);
    }
  }
  const left = Object.entries(tensors as Named<Weight>)
    .filter(([name]) => !used.has(name))
    .map(([name, { shape }]) => `${name} ${text(shape)}`);
  const problems = [
    ...(missing.length > 0 ? [`not in the file: ${missing.join(', ')}`] : []),
    ...(misfits.length > 0 ? [`of another shape: ${misfits.join(', ')}`] : []),
    ...(left.length > 0 ? [`in the file, but not used: ${left.join(', ')}`] : []),
  ];
  if (problems.length > 0)
    throw new ForecasterError(problems.join('; '), {
      hint: 'say in a --map where weights come from, and what to ignore: docs/onnx.md shows how',
    });
  return withWeights(settings, network, weights);
};
