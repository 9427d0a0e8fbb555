import * as tf from '@tensorflow/tfjs';
import './gradients.js';
import { EngineError, messageOf } from '../pipeline/errors.js';
import {
  builder,
  constantOf,
  count,
  uniform,
  type Builder,
  type Constant,
  type Graph,
  type Value,
} from './graph.js';
import { kernels } from './kernels/index.js';
import { instead } from './kernels/instead.js';
import type { Rule } from './kernels/rule.js';
import type { DType, Named, Spec, TensorFunction } from './types.js';

/** One kernel as tfjs called it, for a runtime that has kernels of its own. */
export interface Call {
  readonly kernel: string;
  /** By tfjs's names; a list where tfjs hands over one. */
  readonly inputs: Named<Value> | readonly Value[];
  readonly attributes: object;
  readonly outputs: readonly Value[];
}

/** What a function does, twice: as a graph, and as the kernel calls that it was made of. */
export interface Trace extends Graph {
  readonly calls: readonly Call[];
}

/** A tensor's data while tracing: where it is in the graph. */
interface Traced {
  value: Value;
  references: number;
}

/** tfjs's operations that draw numbers, as it names their scopes. */
const RANDOM =
  /^(rand|randomUniform|randomUniformInt|randomNormal|randomStandardNormal|randomGamma|truncatedNormal)__op$/;

/** Numbers that are drawn while compiling would be the same in every run. */
const refuseRandom = (): void => {
  const scope = tf.engine().state.scopeStack.find(({ name }) => RANDOM.test(name));
  if (scope === undefined) return;
  const drawn = `tf.${scope.name.replace('__op', '')}`;
  throw new EngineError(`random numbers (${drawn}) were drawn inside a function that is being compiled`, {
    hint: 'every run would have the same ones: draw them outside and pass them in as an input (docs/engine.md shows dropout)',
  });
};

const ARRAYS = { float32: Float32Array, int32: Int32Array, bool: Uint8Array };

/** Values that the traced function made itself, small or uniform ones above all. */
const constantFrom = (
  values: tf.backend_util.BackendValues | null,
  shape: readonly number[],
  dtype: string,
): Value => {
  if (dtype !== 'float32' && dtype !== 'int32' && dtype !== 'bool') {
    throw new EngineError(`a compiled function cannot hold ${dtype} tensors`, {
      hint: 'use float32, int32 or bool',
    });
  }
  if (values === null) throw new EngineError('a tensor without values was written while tracing');
  const numbers = values as ArrayLike<number>;
  const isOurs = numbers instanceof ARRAYS[dtype];
  const data = isOurs ? numbers : ARRAYS[dtype].from(numbers);
  const first = data[0] ?? 0;
  if (data.length > 0 && data.every((v) => Object.is(v, first))) return uniform(first, shape, dtype);
  return constantOf(isOurs ? data.slice() : data, shape, dtype);
};

/** The reverse: the values of a constant that was recorded. */
const valuesOf = (
  constant: Constant,
  shape: readonly number[],
  dtype: DType,
): tf.backend_util.BackendValues => {
  if ('uniform' in constant) return new ARRAYS[dtype](count(shape)).fill(constant.uniform);
  if (constant.data instanceof BigInt64Array)
    throw new EngineError('an index constant was read while tracing');
  return constant.data;
};

/**
 * A tfjs backend that computes nothing: each kernel appends nodes to a graph. Only alive inside `trace`, which is
 * synchronous, so one instance serves all.
 */
class TraceBackend extends tf.KernelBackend {
  graph: Builder = builder();
  calls: Call[] = [];
  private data = new tf.DataStorage<Traced>(this, tf.engine());

  override write(values: tf.backend_util.BackendValues | null, shape: number[], dtype: tf.DataType): object {
    refuseRandom();
    return this.register(constantFrom(values, shape, dtype));
  }
  override move(
    dataId: object,
    values: tf.backend_util.BackendValues,
    shape: number[],
    dtype: tf.DataType,
    references: number,
  ): void {
    this.data.set(dataId, { value: constantFrom(values, shape, dtype), references });
  }
  register(value: Value): object {
    const dataId = {};
    this.data.set(dataId, { value, references: 1 });
    return dataId;
  }
  lookup(tensor: tf.TensorInfo): Value {
    const { value } = this.data.get(tensor.dataId);
    return value;
  }
  override refCount(dataId: object): number {
    return this.data.has(dataId) ? this.data.get(dataId).references : 0;
  }
  override incRef(dataId: object): void {
    this.data.get(dataId).references++;
  }
  override disposeData(dataId: object, force = false): boolean {
    if (!this.data.has(dataId)) return true;
    const traced = this.data.get(dataId);
    if (--traced.references > 0 && !force) return false;
    this.data.delete(dataId);
    return true;
  }
  /** Constants of the function can be read; what it computes from its inputs has no values yet. */
  override readSync(dataId: object): tf.backend_util.BackendValues {
    const { constant, shape, dtype } = this.data.get(dataId).value;
    if (constant !== undefined && dtype !== 'int64') return valuesOf(constant, shape, dtype);
    throw new EngineError(
      'a tensor was read (dataSync, arraySync) inside a function that is being compiled',
      {
        hint: 'a compiled function runs later, on other values: express the decision in tensor operations (tf.where), or pass the number in as an input',
      },
    );
  }
  override async read(dataId: object): Promise<tf.backend_util.BackendValues> {
    return this.readSync(dataId);
  }
  override numDataIds(): number {
    return this.data.numDataIds();
  }
  override memory(): { unreliable: boolean } {
    return { unreliable: true };
  }
  override floatPrecision(): 32 {
    return 32;
  }
  override epsilon(): number {
    return 1e-7;
  }
  override timerAvailable(): boolean {
    return false;
  }
  override dispose(): void {
    this.graph = builder();
  }
}

const BACKEND = 'mesocast-trace';
let backend: TraceBackend | undefined;

const tensorInfo = (trace: TraceBackend, value: Value): tf.TensorInfo => ({
  dataId: trace.register(value),
  shape: [...value.shape],
  dtype: value.dtype as DType,
});

/** What a rule cannot do is said with the kernel's name. */
const applied = (
  kernelName: string,
  rule: Rule,
  values: Record<string, Value>,
  attributes: object,
  graph: Builder,
): Value | Value[] => {
  try {
    return rule(values, attributes, graph);
  } catch (cause) {
    throw new EngineError(`the tfjs kernel ${kernelName} cannot be compiled: ${messageOf(cause)}`, { cause });
  }
};

const registerRule = (trace: TraceBackend, kernelName: string, rule: Rule): void => {
  tf.registerKernel({
    kernelName,
    backendName: BACKEND,
    kernelFunc: ({ inputs, attrs }) => {
      const values: Record<string, Value> = {};
      for (const [name, tensor] of Object.entries(inputs)) {
        if (tensor !== null && tensor !== undefined) values[name] = trace.lookup(tensor);
      }
      const result = applied(kernelName, rule, values, attrs ?? {}, trace.graph);
      const outputs = Array.isArray(result) ? result : [result];
      const given = Array.isArray(inputs) ? Object.values(values) : values;
      trace.calls.push({ kernel: kernelName, inputs: given, attributes: attrs ?? {}, outputs });
      const infos = outputs.map((value) => tensorInfo(trace, value));
      return Array.isArray(result) ? infos : (infos[0] as tf.TensorInfo);
    },
  });
};

const traceBackend = (): TraceBackend => {
  if (backend === undefined) {
    const created = new TraceBackend();
    backend = created;
    tf.registerBackend(BACKEND, () => created, 0);
    for (const [name, rule] of Object.entries(kernels)) registerRule(created, name, rule);
  }
  return backend;
};

/** tfjs says "Kernel 'X' not registered for backend"; say what that means here. */
const explain = (error: unknown): unknown => {
  const kernel =
    error instanceof Error ? /Kernel '(\w+)' not registered/.exec(error.message)?.[1] : undefined;
  if (kernel === undefined) return error;
  return new EngineError(`the tfjs kernel ${kernel} has no rule in the tracer`, {
    hint:
      instead[kernel] ??
      'write it with other operations, or add a rule in src/engine/kernels (CONTRIBUTING.md says how)',
    cause: error,
  });
};

/**
 * Records what `fn` does to inputs of these shapes as a graph. The function runs once, on tensors without values.
 * @throws EngineError for a kernel without a rule, and when the function reads a value
 */
export const trace = (fn: TensorFunction, specs: Named<Spec>): Trace => {
  const trace = traceBackend();
  // Nothing was chosen yet: tfjs would go on with ours.
  const previous = (tf.getBackend() as string | undefined) ?? 'cpu';
  trace.graph = builder();
  trace.calls = [];
  void tf.setBackend(BACKEND); // resolves at once for a backend that is made synchronously
  try {
    const inputs: Record<string, Value> = {};
    const outputs: Record<string, Value> = {};
    tf.tidy(() => {
      const tensors: Record<string, tf.Tensor> = {};
      for (const [name, { shape, dtype }] of Object.entries(specs)) {
        const value: Value = { shape: [...shape], dtype: dtype };
        inputs[name] = value;
        tensors[name] = tf.engine().makeTensorFromTensorInfo(tensorInfo(trace, value), trace);
      }
      const results = fn(tensors);
      if (results instanceof Promise) {
        results.catch(() => undefined); // it may have read a value, which is the same mistake
        throw new EngineError('the function is async', {
          hint: 'a compiled function runs later, on other values: it cannot wait for them (await, data())',
        });
      }
      for (const [name, tensor] of Object.entries(results)) {
        if (!(tensor instanceof tf.Tensor)) {
          throw new EngineError(`output "${name}" is not a tensor`, {
            hint: 'return an object of tensors',
          });
        }
        outputs[name] = trace.lookup(tensor);
      }
    });
    return { inputs, outputs, nodes: trace.graph.nodes, calls: trace.calls };
  } catch (error) {
    throw explain(error);
  } finally {
    trace.graph = builder();
    trace.calls = [];
    void tf.setBackend(previous);
  }
};
