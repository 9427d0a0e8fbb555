import { callOnnxModel } from '../engine/onnx/call.js';
import { readOnnxModel, type ModelValue, type OnnxModel } from '../engine/onnx/model.js';
import { probeOnnxModel } from '../engine/onnx/probe.js';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor4D } from '@tensorflow/tfjs-core';
import type { Named } from '../engine/types.js';
import { ForecasterError } from '../pipeline/errors.js';

/** What the inputs and outputs of a stage's file are called; `many` names come numbered from 0: skip_0, skip_1, ... */
export interface Contract {
  readonly inputs: readonly string[];
  readonly manyInputs?: string;
  /** Inputs that have to be there; the others only if the stage wants them. */
  readonly needs: readonly string[];
  readonly outputs: readonly string[];
  readonly manyOutputs?: string;
  /** The contract in words. */
  readonly words: string;
}

/** N, channels, height, width: files have channels first, as PyTorch does. */
type Shape = readonly [number, number, number, number];

/** One stage from a file: a function of channels-last tensors, with its shapes known. */
export interface OnnxStage {
  readonly path: string;
  readonly hash: string;
  /** Channels of the file's inputs by name; only of those that it has. */
  readonly channels: Named<number>;
  /** Height and width of an input, where the file fixes them. */
  fixed(input: string): readonly [number | undefined, number | undefined];
  /** Names of the outputs. */
  readonly outputs: readonly string[];
  /** @throws ForecasterError naming the input that is of another shape than the file takes */
  check(shapes: Named<readonly number[]>): void;
  /** Shapes of the outputs for one series, found out by running the file on zeros. */
  probe(shapes: Named<Shape>): Promise<Named<Shape>>;
  /** Outputs [N, H, W, C] of these sizes; inputs that the file does not have are left out. */
  call(inputs: Named<Tensor4D>, outputs: Named<readonly [h: number, w: number, c: number]>): Named<Tensor4D>;
}

const TYPES: Readonly<Record<number, string>> = {
  2: 'uint8',
  6: 'int32',
  7: 'int64',
  9: 'bool',
  10: 'float16',
  11: 'float64',
  16: 'bfloat16',
};
const FLOAT32 = 1;

const list = (names: readonly string[]): string => (names.length === 0 ? 'none' : names.join(', '));
const shapeText = (shape: readonly (number | undefined)[]): string =>
  `[${shape.map((d) => d ?? '?').join(', ')}]`;

/** How many of the names are prefix_0, prefix_1, ..., if they count up without a gap. */
const isNumbered = (names: readonly string[], prefix: string | undefined): ((name: string) => boolean) => {
  const matching = names.filter((name) => prefix !== undefined && name.startsWith(`${prefix}_`));
  const whole = matching.every((_, k) => matching.includes(`${prefix}_${k}`));
  return (name) => whole && matching.includes(name);
};

const checkNames = ({ inputs, outputs }: OnnxModel, contract: Contract): string | undefined => {
  const [taken, given] = [inputs, outputs].map((values) => values.map(({ name }) => name)) as [
    string[],
    string[],
  ];
  const inMany = isNumbered(taken, contract.manyInputs);
  const outMany = isNumbered(given, contract.manyOutputs);
  const fits =
    taken.every((name) => contract.inputs.includes(name) || inMany(name)) &&
    given.every((name) => contract.outputs.includes(name) || outMany(name)) &&
    contract.needs.every((name) => taken.includes(name)) &&
    contract.outputs.every((name) => given.includes(name));
  return fits
    ? undefined
    : `its inputs are ${list(taken)} and its outputs ${list(given)}, but ${contract.words}`;
};

const checkValue = ({ name, type, shape }: ModelValue, isInput: boolean): string | undefined => {
  const what = `its ${isInput ? 'input' : 'output'} ${name}`;
  if (type !== FLOAT32) return `${what} is ${TYPES[type] ?? `of type ${type}`}, not float32`;
  if (!isInput) return undefined;
  if (shape.length !== 4)
    return `${what} is ${shapeText(shape)}, not [N, C, H, W]: batch, channels, height, width`;
  if (shape[1] === undefined) return `${what} leaves the number of channels open: export it with that fixed`;
  if (shape[0] !== undefined && shape[0] !== 1)
    return `${what} has a batch of ${shape[0]}: export it with a batch of 1, or open`;
  return undefined;
};

/**
 * Reads a stage's file and checks names, types and ranks.
 * @throws EngineError or ForecasterError naming the file, what it has, and what was expected
 */
export const openOnnxStage = async (path: string, contract: Contract): Promise<OnnxStage> => {
  const model = await readOnnxModel(path);
  const refuse = (why: string): never => {
    throw new ForecasterError(`${path}: ${why}`, { hint: 'docs/onnx.md says what a stage has to be' });
  };
  const problem =
    checkNames(model, contract) ??
    model.inputs.map((value) => checkValue(value, true)).find((text) => text !== undefined) ??
    model.outputs.map((value) => checkValue(value, false)).find((text) => text !== undefined);
  if (problem !== undefined) refuse(problem);
  const declared = (input: string): ModelValue['shape'] =>
    model.inputs.find(({ name }) => name === input)?.shape ?? [];
  const check = (shapes: Named<readonly number[]>): void => {
    for (const { name, shape } of model.inputs) {
      const given = shapes[name];
      if (given === undefined) return refuse(`it wants an input ${name}, which the other stages do not give`);
      // The batch is none of its concern: see `call`.
      if (shape.every((d, axis) => axis === 0 || d === undefined || d === given[axis])) continue;
      refuse(
        `its input ${name} is ${shapeText(shape)} (batch, channels, height, width), but here it would get ${shapeText(given)}`,
      );
    }
  };
  const wanted = <T>(values: Named<T>): Record<string, T> =>
    Object.fromEntries(model.inputs.map(({ name }) => [name, values[name] as T]));
  const isSingle = model.inputs.some(({ shape }) => shape[0] === 1);

  return {
    path,
    hash: model.hash,
    channels: Object.fromEntries(model.inputs.map(({ name, shape }) => [name, shape[1] as number])),
    fixed: (input) => {
      const [, , h, w] = declared(input);
      return [h, w];
    },
    outputs: model.outputs.map(({ name }) => name),
    check,
    probe: async (shapes) => {
      check(shapes);
      const found = await probeOnnxModel(path, wanted(shapes));
      for (const [name, shape] of Object.entries(found))
        if (shape.length !== 4 || shape[0] !== 1)
          refuse(`its output ${name} came out as ${shapeText(shape)} for one series, not [1, C, H, W]`);
      return found as Record<string, Shape>;
    },
    call: (inputs, outputs) => {
      const first = Object.fromEntries(
        Object.entries(inputs).map(([name, x]) => [name, tf.transpose(x, [0, 3, 1, 2])]),
      );
      check(Object.fromEntries(Object.entries(first).map(([name, { shape }]) => [name, shape])));
      const tensors = Object.values(wanted(first));
      const n = (tensors[0] as Tensor4D).shape[0];
      const run = (some: readonly Tensor4D[], batch: number): Tensor4D[] =>
        callOnnxModel(
          model,
          some,
          model.outputs.map(({ name }) => {
            const [h, w, c] = outputs[name] as readonly [number, number, number];
            return [batch, c, h, w];
          }),
        ) as Tensor4D[];
      const results = isSingle && n > 1 ? oneByOne(tensors, n, (some) => run(some, 1)) : run(tensors, n);
      return Object.fromEntries(
        model.outputs.map(({ name }, k) => [name, tf.transpose(results[k] as Tensor4D, [0, 2, 3, 1])]),
      );
    },
  };
};

/** A file that takes one series at a time, on a batch of n. */
const oneByOne = (
  tensors: readonly Tensor4D[],
  n: number,
  run: (some: readonly Tensor4D[]) => Tensor4D[],
): Tensor4D[] => {
  const parts = tensors.map((tensor) => tf.split(tensor, n, 0));
  const results = Array.from({ length: n }, (_, series) =>
    run(parts.map((part) => part[series] as Tensor4D)),
  );
  return (results[0] as Tensor4D[]).map((_, k) =>
    tf.concat(
      results.map((outputs) => outputs[k] as Tensor4D),
      0,
    ),
  );
};
