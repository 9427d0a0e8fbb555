import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';
import type { Engine, Handle, HostTensor, Named, Program, Spec } from '../engine/types.js';
import type { FrameShape } from '../pipeline/frame.js';
import { normalisedParameters, type ParameterValues } from '../pipeline/parameters.js';
import type { Forecaster } from './forecaster.js';
import { observe, rollOut, stateShapes, type State } from './network-functions.js';
import type { Weight } from './safetensors.js';

/** The recurrent state of one series, on the device. */
export type StateHandles = readonly Handle[];

/** What one series brings to a run of the network. Frames are normalised [H, W, C]. */
export interface SeriesInput {
  readonly frame: Float32Array;
  /** The frame before; `frame` itself where the series starts. */
  readonly previous: Float32Array;
  /** Undefined before the first frame. */
  readonly state: StateHandles | undefined;
  /** Scalars of its run, for a network that is told some. */
  readonly parameters?: ParameterValues | undefined;
}

/** A forecaster on an engine: compiles programs as shapes and batch sizes come up, each with the weights in it. */
export interface Runner {
  /** Takes one frame of each series into its state. The new states belong to the caller. */
  observe(shape: FrameShape, batch: readonly SeriesInput[]): Promise<StateHandles[]>;
  /** Leads 1..horizon of each series, one handle [B, horizon, H, W, C] for all. The states stay the caller's. */
  rollOut(shape: FrameShape, batch: readonly SeriesInput[], horizon: number): Promise<Handle>;
  /** How many forecasts that of a frame of this shape is the average of. */
  members(shape: FrameShape): number;
  readonly engine: Engine;
  dispose(): Promise<void>;
}

/**
 * The weights as constants of the program: ONNX Runtime then lays them out for its convolutions once, when it compiles,
 * instead of in every run.
 */
const constants = (weights: Named<Weight>): Record<string, Tensor> =>
  Object.fromEntries(
    Object.entries(weights).map(([name, { shape, data }]) => [name, tf.tensor(data, [...shape])]),
  );

const stateName = (series: number, k: number): string => `state.${series}.${k}`;

/** Batch sizes that programs are compiled for; a batch in between is filled up with copies of its last series. */
const BUCKETS = [1, 2, 4, 8, 16];
export const LARGEST_BATCH = 16;
/** Two for each batch size of a shape: enough for three shapes at once. */
const MOST_PROGRAMS = 30;
const bucketFor = (n: number): number => BUCKETS.find((size) => size >= n) ?? LARGEST_BATCH;

const stacked = (frames: readonly Float32Array[], shape: FrameShape): HostTensor => {
  const [first] = frames as [Float32Array];
  const data = new Float32Array(frames.length * first.length);
  frames.forEach((frame, k) => data.set(frame, k * first.length));
  return { shape: [frames.length, ...shape], dtype: 'float32', data };
};

export const createRunner = (forecaster: Forecaster, engine: Engine): Runner => {
  const { network, weights, settings } = forecaster;
  const parameters = settings.parameters ?? [];
  const programs = new Map<string, Promise<Program>>();

  const inputSpecs = (n: number, [h, w, c]: FrameShape): Record<string, Spec> => {
    const frames: Spec = { shape: [n, h, w, c], dtype: 'float32' };
    const states = Array.from({ length: n }, (_, series) =>
      stateShapes(network, 1, h, w).map(
        (shape, k) => [stateName(series, k), { shape, dtype: 'float32' }] as const,
      ),
    );
    return {
      frame: frames,
      previous: frames,
      ...(parameters.length > 0 && { conditions: { shape: [n, parameters.length], dtype: 'float32' } }),
      ...Object.fromEntries(states.flat()),
    };
  };

  /** States come one by one, so that series can meet in any batch, and go through the network as one. */
  const joined = (inputs: Named<Tensor>, n: number, states: number): State =>
    Array.from({ length: states }, (_, k) =>
      tf.concat(
        Array.from({ length: n }, (_series, series) => inputs[stateName(series, k)] as Tensor4D),
        0,
      ),
    );

  /** Programs hold memory; of series that are no longer followed they would pile up. A run that was asked for is done first. */
  const forgetOldest = (): void => {
    for (const [key, program] of programs) {
      if (programs.size <= MOST_PROGRAMS) return;
      programs.delete(key);
      void program.then(
        (old) => old.dispose(),
        () => undefined,
      );
    }
  };

  const compile = (
    kind: 'observe' | 'rollOut',
    n: number,
    shape: FrameShape,
    horizon: number,
  ): Promise<Program> => {
    const key = [kind, n, ...shape, horizon].join();
    let program = programs.get(key);
    programs.delete(key);
    if (program !== undefined) programs.set(key, program); // the last: it was used last
    if (program === undefined) {
      const states = stateShapes(network, 1, shape[0], shape[1]).length;
      program = engine.compile(
        (inputs) => {
          const [frame, previous] = [inputs['frame'], inputs['previous']] as [Tensor4D, Tensor4D];
          const params = constants(weights);
          const conditions = inputs['conditions'] as Tensor2D | undefined;
          const state = joined(inputs, n, states);
          if (kind === 'rollOut') {
            return {
              frames: tf.stack(rollOut(network, params, frame, previous, state, horizon, { conditions }), 1),
            };
          }
          const next = observe(network, params, frame, previous, state, conditions);
          const split = next.map((tensor) => (n === 1 ? [tensor] : tf.split(tensor, n, 0)));
          return Object.fromEntries(
            split.flatMap((parts, k) => parts.map((part, series) => [stateName(series, k), part])),
          );
        },
        inputSpecs(n, shape),
      );
      programs.set(key, program);
      forgetOldest();
      // A shape that failed to compile is tried again rather than remembered.
      const made = program;
      program.catch(() => {
        if (programs.get(key) === made) programs.delete(key);
      });
    }
    return program;
  };

  const zeroState = (shape: FrameShape): HostTensor[] =>
    stateShapes(network, 1, shape[0], shape[1]).map((dims) => ({
      shape: dims,
      dtype: 'float32',
      data: new Float32Array(dims.reduce((a, b) => a * b, 1)),
    }));

  const feed = (shape: FrameShape, batch: readonly SeriesInput[]): Record<string, Handle | HostTensor> => {
    const filled = Array.from(
      { length: bucketFor(batch.length) },
      (_, k) => batch[Math.min(k, batch.length - 1)] as SeriesInput,
    );
    const states = filled.flatMap(({ state }, series) =>
      (state ?? zeroState(shape)).map((tensor, k) => [stateName(series, k), tensor] as const),
    );
    return {
      frame: stacked(
        filled.map(({ frame }) => frame),
        shape,
      ),
      previous: stacked(
        filled.map(({ previous }) => previous),
        shape,
      ),
      ...(parameters.length > 0 && {
        conditions: {
          shape: [filled.length, parameters.length],
          dtype: 'float32',
          data: Float32Array.from(filled.flatMap((one) => normalisedParameters(parameters, one.parameters))),
        },
      }),
      ...Object.fromEntries(states),
    };
  };

  return {
    engine,
    observe: async (shape, batch) => {
      const n = bucketFor(batch.length);
      const program = await compile('observe', n, shape, 0);
      const results = await program.run(feed(shape, batch));
      const states = stateShapes(network, 1, shape[0], shape[1]).length;
      const all = Array.from({ length: n }, (_, series) =>
        Array.from({ length: states }, (_state, k) => results[stateName(series, k)] as Handle),
      );
      for (const filler of all.slice(batch.length)) filler.forEach((handle) => handle.release());
      return all.slice(0, batch.length);
    },
    rollOut: async (shape, batch, horizon) => {
      const program = await compile('rollOut', bucketFor(batch.length), shape, horizon);
      const { frames } = await program.run(feed(shape, batch));
      return frames as Handle;
    },
    members: () => 1,
    dispose: async () => {
      // Of one that could not be compiled whoever asked for it has heard.
      await Promise.allSettled([...programs.values()].map(async (program) => (await program).dispose()));
      programs.clear();
    },
  };
};
