import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import {
  contentOf,
  count,
  type Attribute,
  type Constant,
  type Graph,
  type Node,
  type Value,
  type ValueType,
} from '../graph.js';
import type { OnnxModel } from './model.js';
import { placedNodes, placedWeights } from './placed.js';
import type { Named } from '../types.js';

/** Newest pair that ONNX Runtime 1.22 and later load. */
const IR_VERSION = 10;
const OPSET = 20;

/** TensorProto.DataType */
const TYPES: Record<ValueType, number> = { float32: 1, int32: 6, int64: 7, bool: 9 };
const ARRAYS = { float32: Float32Array, int32: Int32Array, int64: BigInt64Array, bool: Uint8Array };

/** Field numbers are those of onnx.proto3 (github.com/onnx/onnx). */
const message = (writer: BinaryWriter, field: number, write: (w: BinaryWriter) => void): void => {
  writer.tag(field, WireType.LengthDelimited).fork();
  write(writer);
  writer.join();
};
const text = (writer: BinaryWriter, field: number, value: string): void => {
  writer.tag(field, WireType.LengthDelimited).string(value);
};
const int64 = (writer: BinaryWriter, field: number, value: number): void => {
  writer.tag(field, WireType.Varint).int64(value);
};

const bytesOf = (constant: Constant, shape: readonly number[], dtype: ValueType): Uint8Array => {
  let data: ArrayBufferView;
  if ('data' in constant) data = constant.data;
  else if (dtype === 'int64') data = new BigInt64Array(count(shape)).fill(BigInt(constant.uniform));
  else data = new ARRAYS[dtype](count(shape)).fill(constant.uniform);
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
};

const writeTensor = (w: BinaryWriter, name: string, value: Value, constant: Constant): void => {
  for (const d of value.shape) int64(w, 1, d);
  int64(w, 2, TYPES[value.dtype]);
  text(w, 8, name);
  w.tag(9, WireType.LengthDelimited).bytes(bytesOf(constant, value.shape, value.dtype));
};

/** AttributeProto: name 1, f 2, i 3, s 4, ints 8, type 20 (FLOAT 1, INT 2, STRING 3, INTS 7). */
const writeAttribute = (w: BinaryWriter, name: string, value: Attribute): void => {
  text(w, 1, name);
  if (typeof value === 'number') {
    int64(w, 3, value);
    int64(w, 20, 2);
  } else if (name === 'to') {
    int64(w, 3, TYPES[value as ValueType]);
    int64(w, 20, 2);
  } else if (typeof value === 'string') {
    text(w, 4, value);
    int64(w, 20, 3);
  } else if ('float' in value) {
    w.tag(2, WireType.Bit32).float(value.float);
    int64(w, 20, 1);
  } else {
    for (const v of value) int64(w, 8, v);
    int64(w, 20, 7);
  }
};

const writeNode = (w: BinaryWriter, node: Node, nameOf: (value: Value) => string): void => {
  for (const value of node.inputs) text(w, 1, nameOf(value));
  for (const value of node.outputs) text(w, 2, nameOf(value));
  if (node.name !== undefined) text(w, 3, node.name);
  text(w, 4, node.op);
  // A 0 in the shape to come would mean "as it was".
  const empty = node.op === 'Reshape' && node.outputs[0]?.shape.includes(0) === true;
  for (const [name, value] of Object.entries(empty ? { ...node.attributes, allowzero: 1 } : node.attributes))
    message(w, 5, (a) => writeAttribute(a, name, value));
  if (node.domain !== '') text(w, 7, node.domain);
};

const writeInfo = (w: BinaryWriter, name: string, value: Value): void => {
  text(w, 1, name);
  message(w, 2, (type) =>
    message(type, 1, (tensor) => {
      int64(tensor, 1, TYPES[value.dtype]);
      message(tensor, 2, (shape) => {
        for (const d of value.shape) message(shape, 1, (dim) => int64(dim, 1, d));
      });
    }),
  );
};

/**
 * What an output is called in the file: a state that goes in and out under one name needs two there. A number follows
 * where the function has the second one too.
 */
export const outputName = ({ inputs, outputs }: Graph, name: string): string => {
  if (!(name in inputs)) return name;
  const next = `${name}.next`;
  let free = next;
  for (let k = 2; free in inputs || free in outputs; k++) free = `${next}.${k}`;
  return free;
};

/**
 * Values get short names in order of appearance, none that the function gave; inputs and outputs keep their own. Constants
 * met become initialisers, equal ones a single one: ONNX Runtime looks through the list of them again and again.
 */
const naming = (graph: Graph) => {
  const names = new Map<Value, string>(Object.entries(graph.inputs).map(([name, value]) => [value, name]));
  const results = Object.keys(graph.outputs).map((name) => outputName(graph, name));
  const taken = new Set([...Object.keys(graph.inputs), ...results]);
  let made = names.size;
  const short = (letter: string): string => {
    const name = `${letter}.${made++}`;
    return taken.has(name) ? short(letter) : name;
  };
  const constants: Value[] = [];
  const byContent = new Map<string, string>();
  const nameOf = (value: Value): string => {
    const known = names.get(value);
    if (known !== undefined) return known;
    const content = contentOf(value);
    const equal = content === undefined ? undefined : byContent.get(content);
    const name = equal ?? short(value.constant === undefined ? 't' : 'c');
    names.set(value, name);
    if (content !== undefined) byContent.set(content, name);
    if (value.constant !== undefined && equal === undefined) constants.push(value);
    return name;
  };
  /** What the names in a model begin with at its k-th place. */
  const placeOf = (k: number): string => {
    let place = `p${k}`;
    while ([...taken].some((name) => name.startsWith(`${place}.`))) place += '_';
    return place;
  };
  return { nameOf, placeOf, constants };
};

/** What a file can have besides its graph. */
export interface FileOptions {
  /** Inputs of the graph that are no inputs of the file: it holds their values, under their names. */
  readonly weights?: Named<Float32Array>;
  /** What tools show of the file. */
  readonly metadata?: Named<string>;
}

/** A model's own nodes in the place of the one that stands for it. */
const writeModel = (
  g: BinaryWriter,
  node: Node,
  model: OnnxModel,
  place: string,
  nameOf: (value: Value) => string,
): void => {
  const { nodes, outputs } = placedNodes(model, node.inputs.map(nameOf), place);
  for (const bytes of nodes) g.tag(1, WireType.LengthDelimited).bytes(bytes);
  node.outputs.forEach((value, k) => {
    message(g, 1, (n) => {
      text(n, 1, outputs[k] as string);
      text(n, 2, nameOf(value));
      text(n, 4, 'Identity');
    });
  });
};

/**
 * A graph of ONNX operations as the bytes of an .onnx file (ModelProto).
 * @throws Error for a node that was not lowered, which is a mistake in the passes
 */
export const writeOnnx = (graph: Graph, { weights = {}, metadata = {} }: FileOptions = {}): Uint8Array => {
  const { nameOf, placeOf, constants } = naming(graph);
  const models = new Map<string, OnnxModel>();
  const w = new BinaryWriter();
  int64(w, 1, IR_VERSION);
  text(w, 2, 'mesocast');
  message(w, 7, (g) => {
    for (const [k, node] of graph.nodes.entries()) {
      if (node.model !== undefined) {
        writeModel(g, node, node.model, placeOf(k), nameOf);
        models.set(node.model.hash, node.model);
        continue;
      }
      if (node.domain === 'mesocast') throw new Error(`${node.op} was not lowered to ONNX`);
      message(g, 1, (n) => writeNode(n, node, nameOf));
    }
    // An output may be an input, a constant, or wanted under two names: each gets a value of its own.
    for (const [name, value] of Object.entries(graph.outputs)) {
      const node: Node = { op: 'Identity', domain: '', inputs: [value], outputs: [], attributes: {} };
      message(g, 1, (n) => {
        text(n, 2, outputName(graph, name));
        writeNode(n, node, nameOf);
      });
    }
    text(g, 2, 'graph');
    for (const value of constants)
      message(g, 5, (t) => writeTensor(t, nameOf(value), value, value.constant as Constant));
    for (const model of models.values())
      for (const tensor of placedWeights(model)) g.tag(5, WireType.LengthDelimited).bytes(tensor);
    for (const [name, value] of Object.entries(graph.inputs)) {
      const data = weights[name];
      if (data === undefined) message(g, 11, (i) => writeInfo(i, name, value));
      else message(g, 5, (t) => writeTensor(t, name, value, { data }));
    }
    for (const [name, value] of Object.entries(graph.outputs))
      message(g, 12, (o) => writeInfo(o, outputName(graph, name), value));
  });
  for (const [domain, version] of [
    ['', OPSET],
    ['com.microsoft', 1],
  ] as const) {
    message(w, 8, (o) => {
      text(o, 1, domain);
      int64(o, 2, version);
    });
  }
  for (const [key, value] of Object.entries(metadata)) {
    message(w, 14, (entry) => {
      text(entry, 1, key);
      text(entry, 2, value);
    });
  }
  return w.finish();
};
