import type { Tensor } from '@tensorflow/tfjs-core';

export type DType = 'float32' | 'int32' | 'bool';
export type Named<T> = Readonly<Record<string, T>>;

/** Shape and type of one input or output of a program. All shapes are fixed when it is compiled. */
export interface Spec {
  readonly shape: readonly number[];
  readonly dtype: DType;
}

/** Values on this side of the thread border. */
export interface HostTensor extends Spec {
  readonly data: Float32Array | Int32Array | Uint8Array;
}

/**
 * Values that stay where the engine computes. Counted: made with one reference, gone with the last.
 * Programs never write into their inputs, so a handle can be shared freely.
 */
export interface Handle extends Spec {
  /** One more owner. */
  retain(): Handle;
  /** One owner less; with the last the memory is freed. */
  release(): void;
}

/** A pure function of named tensors, written in tfjs operations. It must not read values (`dataSync`, `if` on data). */
export type TensorFunction = (inputs: Named<Tensor>) => Named<Tensor>;

/** A tensor function compiled for fixed shapes. */
export interface Program {
  readonly inputs: Named<Spec>;
  readonly outputs: Named<Spec>;
  /**
   * Runs once. Host inputs are copied over; handles are not consumed. Each output handle belongs to the caller.
   * @throws EngineError for a missing input, one of another shape or type, or one that was released
   */
  run(inputs: Named<Handle | HostTensor>): Promise<Named<Handle>>;
  dispose(): Promise<void>;
}

export interface CompileOptions {
  /** False for a program that no later process will want: an engine that keeps programs on disk leaves it out. */
  readonly isKept?: boolean;
}

/** A place where programs are compiled and run. */
export interface Engine {
  /** What people call it: "onnx cpu (2 threads)". */
  readonly device: string;
  /** @throws EngineError naming the operation that has no rule */
  compile(fn: TensorFunction, inputs: Named<Spec>, options?: CompileOptions): Promise<Program>;
  upload(tensor: HostTensor): Promise<Handle>;
  /** The handle stays the caller's. */
  read(handle: Handle): Promise<HostTensor>;
  /** A second one of the same device and settings, which works beside this one. @throws EngineError where there is no room for it */
  another(): Promise<Engine>;
  /** Handles that nobody has released yet: 0 after a clean shutdown. */
  readonly liveHandles: number;
  dispose(): Promise<void>;
}
