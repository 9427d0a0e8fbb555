import * as tf from '@tensorflow/tfjs';
import { kernels } from '../../../src/engine/kernels/index.js';
import { trace } from '../../../src/engine/tracer.js';
import type { DType, Engine, HostTensor, Named, Spec, TensorFunction } from '../../../src/engine/types.js';

/** One tensor of a test: values that it was made of, or an output of a kernel that was called. */
interface Piece extends Spec {
  made: HostTensor | { readonly call: Call; readonly output: number };
}
interface Call {
  readonly kernel: string;
  /** By tfjs's names; 0, 1, ... where tfjs passes a list. */
  readonly inputs: Readonly<Record<string, Piece>>;
  readonly isList: boolean;
  readonly attributes: tf.NamedAttrMap;
}
interface Held {
  piece: Piece;
  references: number;
}

const ARRAYS = { float32: Float32Array, int32: Int32Array, bool: Uint8Array };
const isComputed = ({ made }: Piece): boolean => 'call' in made;

/** Calls the kernel again, on the current backend. */
const repeat = (call: Call, tensorOf: (piece: Piece) => tf.Tensor): tf.Tensor[] => {
  const named = Object.fromEntries(
    Object.entries(call.inputs).map(([name, piece]) => [name, tensorOf(piece)]),
  );
  const inputs = call.isList ? (Object.values(named) as never) : named;
  const result = tf.engine().runKernel<tf.Tensor | tf.Tensor[]>(call.kernel, inputs, call.attributes);
  return Array.isArray(result) ? result : [result];
};

/** The kernel calls that a piece depends on as a function, and the values that it starts from. */
const programOf = (piece: Piece): { fn: TensorFunction; inputs: Named<HostTensor> } => {
  const names = new Map<Piece, string>();
  const inputs: Record<string, HostTensor> = {};
  const visit = (each: Piece): void => {
    if (names.has(each)) return;
    const name = `x${names.size}`;
    names.set(each, name);
    if ('call' in each.made) Object.values(each.made.call.inputs).forEach(visit);
    else inputs[name] = each.made;
  };
  visit(piece);
  const fn: TensorFunction = (given) => {
    const results = new Map<Call, tf.Tensor[]>();
    const tensorOf = (each: Piece): tf.Tensor => {
      if (!('call' in each.made)) return given[names.get(each) ?? ''] as tf.Tensor;
      const { call, output } = each.made;
      const outputs = results.get(call) ?? repeat(call, tensorOf);
      results.set(call, outputs);
      return outputs[output] as tf.Tensor;
    };
    return { y: tensorOf(piece) };
  };
  return { fn, inputs };
};

/**
 * A tfjs backend for tests that call one operation after another. It remembers kernel calls; when a test asks for the
 * values of a tensor (`data()`), what that tensor depends on is compiled by `engine` as one function of the numbers that
 * the test wrote, and run. As in a compiled function, there are no values before that (`dataSync()` throws).
 */
class RecordingBackend extends tf.KernelBackend {
  private readonly held = new tf.DataStorage<Held>(this, tf.engine());
  /** Programs compiled and run so far. */
  programs = 0;
  constructor(private readonly engine: Engine) {
    super();
  }

  private hold(piece: Piece): object {
    const dataId = {};
    this.held.set(dataId, { piece, references: 1 });
    return dataId;
  }
  private valuesFrom(
    values: tf.backend_util.BackendValues | null,
    shape: number[],
    dtype: tf.DataType,
  ): Piece {
    if (dtype !== 'float32' && dtype !== 'int32' && dtype !== 'bool') {
      throw new Error(`a compiled function cannot hold ${dtype} tensors`);
    }
    const data = ARRAYS[dtype].from((values ?? []) as ArrayLike<number>);
    return { shape, dtype, made: { shape, dtype, data } };
  }

  /** A clone shares its data; tfjs counts on it when it looks for leaks. */
  clone({ dataId, shape, dtype }: tf.TensorInfo): tf.TensorInfo {
    this.incRef(dataId);
    return { dataId, shape, dtype };
  }

  /** Records a call; the tracer says what comes out. */
  call(kernel: string, given: tf.NamedTensorInfoMap, attributes: tf.NamedAttrMap): tf.TensorInfo[] {
    const inputs: Record<string, Piece> = {};
    for (const [name, tensor] of Object.entries(given)) {
      if (tensor !== undefined && tensor !== null) inputs[name] = this.held.get(tensor.dataId).piece;
    }
    const call: Call = { kernel, inputs, isList: Array.isArray(given), attributes };
    const names = Object.keys(inputs);
    const once: TensorFunction = (tensors) => {
      const tensorOf = (piece: Piece): tf.Tensor =>
        tensors[names.find((name) => inputs[name] === piece) as string] as tf.Tensor;
      return Object.fromEntries(repeat(call, tensorOf).map((tensor, i) => [`y${i}`, tensor]));
    };
    const { outputs } = trace(once, inputs);
    return Object.values(outputs).map(({ shape, dtype }, output) => {
      const piece: Piece = { shape, dtype: dtype as DType, made: { call, output } };
      return { dataId: this.hold(piece), shape: [...shape], dtype: dtype as DType };
    });
  }

  override write(values: tf.backend_util.BackendValues | null, shape: number[], dtype: tf.DataType): object {
    return this.hold(this.valuesFrom(values, shape, dtype));
  }
  override move(
    dataId: object,
    values: tf.backend_util.BackendValues,
    shape: number[],
    dtype: tf.DataType,
    references: number,
  ): void {
    this.held.set(dataId, { piece: this.valuesFrom(values, shape, dtype), references });
  }
  override async read(dataId: object): Promise<tf.backend_util.BackendValues> {
    const { piece } = this.held.get(dataId);
    if (isComputed(piece)) {
      const { fn, inputs } = programOf(piece);
      const program = await this.engine.compile(fn, inputs);
      this.programs++;
      try {
        const { y } = await program.run(inputs);
        if (y === undefined) throw new Error('the program returned nothing');
        piece.made = await this.engine.read(y);
        y.release();
      } finally {
        await program.dispose();
      }
    }
    return (piece.made as HostTensor).data;
  }
  override readSync(dataId: object): tf.backend_util.BackendValues {
    const { made } = this.held.get(dataId).piece;
    if ('call' in made) throw new Error('a tensor was read (dataSync) that is not computed yet');
    return made.data;
  }
  override refCount(dataId: object): number {
    return this.held.has(dataId) ? this.held.get(dataId).references : 0;
  }
  override incRef(dataId: object): void {
    this.held.get(dataId).references++;
  }
  override disposeData(dataId: object, force = false): boolean {
    if (!this.held.has(dataId)) return true;
    const held = this.held.get(dataId);
    if (--held.references > 0 && !force) return false;
    this.held.delete(dataId);
    return true;
  }
  override numDataIds(): number {
    return this.held.numDataIds();
  }
  override memory(): { unreliable: boolean } {
    return { unreliable: false };
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
    return undefined;
  }
}

export const BACKEND = 'mesocast';

/** Registers the backend, with every kernel that the tracer has a rule for. Returns a counter of programs run. */
export const registerRecording = (engine: Engine): (() => number) => {
  const backend = new RecordingBackend(engine);
  tf.registerBackend(BACKEND, () => backend);
  for (const kernelName of Object.keys(kernels)) {
    tf.registerKernel({
      kernelName,
      backendName: BACKEND,
      kernelFunc: ({ inputs, attrs }) => {
        if (kernelName === 'Identity') return backend.clone(inputs['x'] as tf.TensorInfo);
        const outputs = backend.call(kernelName, inputs, attrs ?? {});
        return outputs.length === 1 && !LISTS.has(kernelName) ? (outputs[0] as tf.TensorInfo) : outputs;
      },
    });
  }
  return () => backend.programs;
};

/** Kernels whose result is a list even if there is one thing in it. */
const LISTS = new Set(['SplitV', 'Unpack']);
