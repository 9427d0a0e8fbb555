import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { EngineError, messageOf } from '../../pipeline/errors.js';
import { edited, fieldsOf, numberOf, partsOf, stringOf, type Field } from './fields.js';

/** An input or output of a model as its file declares it. */
export interface ModelValue {
  readonly name: string;
  /** TensorProto.DataType: 1 is float32. */
  readonly type: number;
  /** Undefined for a size that the file leaves open. */
  readonly shape: readonly (number | undefined)[];
}

/** Somebody's .onnx file, to be placed into programs as it is. */
export interface OnnxModel {
  readonly path: string;
  /** sha256 of all its bytes, hex. */
  readonly hash: string;
  readonly inputs: readonly ModelValue[];
  readonly outputs: readonly ModelValue[];
  /** TensorProto messages by name, values inside. */
  readonly initialisers: ReadonlyMap<string, Uint8Array>;
  /** NodeProto messages in order. */
  readonly nodes: readonly Uint8Array[];
}

/** Versions of ONNX's operators (opset) that models may be written for. */
const OPSETS = [13, 23] as const;
/** What programs are written for: see file.ts. */
const OURS = 20;

/** Operators that mean or take something else from this version on, or begin with it (onnx's own schema history). */
const CHANGES: Readonly<Record<number, string>> = {
  14: 'BatchNormalization',
  16: 'RoiAlign',
  18: 'ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSumSquare Split',
  20: 'DFT GridSample',
  21: 'GroupNormalization',
  23: 'Attention RMSNormalization RotaryEmbedding',
};

/** Every operator of a graph, those of its control flow included, with its domain. */
const operators = (nodes: readonly Uint8Array[]): { op: string; domain: string }[] =>
  nodes.flatMap((node) => {
    const fields = fieldsOf(node);
    const bodies = partsOf(fields, 5).flatMap((attribute) => {
      const inside = fieldsOf(attribute);
      return [...partsOf(inside, 6), ...partsOf(inside, 11)]; // AttributeProto: g, graphs
    });
    return [
      { op: stringOf(fields, 4), domain: stringOf(fields, 7) },
      ...bodies.flatMap((body) => operators(partsOf(fieldsOf(body), 1))),
    ];
  });

/** @throws Error for operators that would not mean the same in a program of ours */
const checkOperators = (nodes: readonly Uint8Array[], opset: number): void => {
  const [first, last] = OPSETS;
  if (opset < first || opset > last)
    throw new Error(
      `it is written for opset ${opset}, mesocast takes ${first} to ${last}: export it with opset_version=${OURS}`,
    );
  const [low, high] = [Math.min(opset, OURS), Math.max(opset, OURS)];
  const changed = Object.entries(CHANGES).flatMap(([version, ops]) =>
    low < Number(version) && Number(version) <= high ? ops.split(' ') : [],
  );
  for (const { op, domain } of operators(nodes)) {
    if (!['', 'ai.onnx', 'com.microsoft'].includes(domain))
      throw new Error(`its operator ${op} is of the domain "${domain}", which ONNX Runtime does not have`);
    if (domain !== 'com.microsoft' && changed.includes(op))
      throw new Error(
        `it is written for opset ${opset}, where ${op} is not what it is in opset ${OURS}: export it with opset_version=${OURS}`,
      );
  }
};

/** ValueInfoProto: name 1, type 2 { tensor_type 1 { elem_type 1, shape 2 { dim 1 { dim_value 1 } } } } */
const valueOf = (info: Uint8Array): ModelValue => {
  const fields = fieldsOf(info);
  const name = stringOf(fields, 1);
  const [type] = partsOf(fields, 2);
  const [tensor] = type === undefined ? [] : partsOf(fieldsOf(type), 1);
  if (tensor === undefined) throw new Error(`its "${name}" is not a tensor`);
  const parts = fieldsOf(tensor);
  const dims = partsOf(parts, 2).flatMap((shape) => partsOf(fieldsOf(shape), 1));
  return {
    name,
    type: numberOf(parts, 1) ?? 0,
    shape: dims.map((dim) => numberOf(fieldsOf(dim), 1)),
  };
};

/** Where a tensor's values lie when they are in another file: StringStringEntryProto { key 1, value 2 }. */
const placeOf = (tensor: readonly Field[]): Readonly<Record<string, string>> =>
  Object.fromEntries(
    partsOf(tensor, 13).map((entry) => {
      const fields = fieldsOf(entry);
      return [stringOf(fields, 1), stringOf(fields, 2)];
    }),
  );

/** TensorProto with its values inside, whichever file they came from. */
const withValues = async (
  tensor: Uint8Array,
  folder: string,
  files: Map<string, Buffer>,
): Promise<Uint8Array> => {
  const fields = fieldsOf(tensor);
  if (numberOf(fields, 14) !== 1) return tensor; // data_location: 1 is EXTERNAL
  const { location = '', offset = '0', length } = placeOf(fields);
  if (location === '' || basename(location) !== location)
    throw new Error(`its weights are said to be in "${location}", which is not a file beside it`);
  if (!files.has(location)) {
    const bytes = await readFile(join(folder, location)).catch((cause: unknown) => {
      throw new Error(`its weights are in ${location} beside it, which cannot be read`, { cause });
    });
    files.set(location, bytes);
  }
  const bytes = files.get(location) as Buffer;
  const begin = Number(offset);
  const end = length === undefined ? bytes.length : begin + Number(length);
  if (!(begin >= 0 && begin <= end && end <= bytes.length))
    throw new Error(`${location} is too short for the weight "${stringOf(fields, 8)}"`);
  const inside = new BinaryWriter().tag(9, WireType.LengthDelimited).bytes(bytes.subarray(begin, end));
  const drop = (): undefined => undefined;
  return edited(tensor, { 9: drop, 13: drop, 14: drop }, inside.finish());
};

const parsed = async (bytes: Buffer, path: string): Promise<OnnxModel> => {
  let fields: Field[];
  try {
    fields = fieldsOf(bytes);
  } catch (cause) {
    throw new Error('it is not an ONNX file, or cut short', { cause });
  }
  const [graph] = partsOf(fields, 7);
  if (graph === undefined) throw new Error('it is not an ONNX file, or cut short');
  if (partsOf(fields, 25).length > 0)
    throw new Error('it has functions of its own: export it with them inlined (optimize=True in PyTorch)');
  const opset = partsOf(fields, 8)
    .map(fieldsOf)
    .find((entry) => ['', 'ai.onnx'].includes(stringOf(entry, 1)));
  const parts = fieldsOf(graph);
  if (partsOf(parts, 15).length > 0) throw new Error('it has sparse weights, which mesocast does not read');
  const nodes = partsOf(parts, 1);
  checkOperators(nodes, numberOf(opset ?? [], 2) ?? 0);
  const files = new Map<string, Buffer>();
  const initialisers = new Map<string, Uint8Array>();
  for (const tensor of partsOf(parts, 5))
    initialisers.set(stringOf(fieldsOf(tensor), 8), await withValues(tensor, dirname(path), files));
  const hash = createHash('sha256').update(bytes);
  for (const file of files.values()) hash.update(file);
  return {
    path,
    hash: hash.digest('hex'),
    // Old files list weights among the inputs.
    inputs: partsOf(parts, 11)
      .map(valueOf)
      .filter(({ name }) => !initialisers.has(name)),
    outputs: partsOf(parts, 12).map(valueOf),
    initialisers,
    nodes,
  };
};

/**
 * Reads an .onnx file, with its weights where they are in a file beside it. Opsets 13 to 23, control flow included.
 * @throws EngineError naming the file, for one that cannot be read or would not mean the same in a program of ours
 */
export const readOnnxModel = async (path: string): Promise<OnnxModel> => {
  try {
    return await parsed(await readFile(path), path);
  } catch (cause) {
    throw new EngineError(`${path}: ${messageOf(cause)}`, { cause });
  }
};
