import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';
import { exportOnnx } from '../engine/onnx/export.js';
import type { Named, Spec } from '../engine/types.js';
import { UsageError } from '../pipeline/errors.js';
import type { Forecaster, Settings } from './forecaster.js';
import { bind, LIMITS, observe, rollOut, stateShapes, type State } from './network-functions.js';

/** What shapes the files are written for: they take these and no others. */
export interface ExportOptions {
  readonly height: number;
  readonly width: number;
  /** Series at once. */
  readonly batch: number;
  /** Leads of the roll-out. */
  readonly leads: number;
}

/** One input or output of an exported file; float32. */
export interface ExportedValue {
  readonly name: string;
  readonly shape: readonly number[];
}
export interface ExportedFile {
  readonly file: string;
  readonly what: string;
  readonly inputs: readonly ExportedValue[];
  readonly outputs: readonly ExportedValue[];
}

/** manifest.json: what a program needs to know to call the files. */
export interface Manifest {
  readonly forecaster: Forecaster['id'];
  readonly context: number;
  readonly leads: number;
  readonly boundary: string;
  readonly feedback: string;
  readonly layout: 'NCHW';
  /** Scalars of a run that it is told, with the values that are 0 and 1 to it. */
  readonly parameters?: Settings['parameters'];
  /** What the values of frames mean. */
  readonly range: string;
  /** Low and high that it was trained with (of each channel, where each has its own), if that was declared. */
  readonly trainedRange?: Settings['range'];
  /** Where decoded frames are held in a roll-out. */
  readonly limits: readonly [number, number];
  readonly call: readonly string[];
  readonly files: readonly ExportedFile[];
}

interface Part {
  readonly file: string;
  readonly what: string;
  readonly inputs: Named<readonly number[]>;
  readonly outputs: readonly string[];
  readonly fn: (inputs: Named<Tensor>, weights: Named<Tensor>) => readonly Tensor[];
  /** Weights whose names begin with one of these are in the file. */
  readonly stages: readonly string[];
}

const first = <T extends Tensor>(x: T): T => tf.transpose(x, [0, 3, 1, 2]);
const last = (x: Tensor4D): Tensor4D => tf.transpose(x, [0, 2, 3, 1]);
const channelsFirst = ([n = 1, h = 1, w = 1, c = 1]: readonly number[]): number[] => [n, c, h, w];
const numbered = (prefix: string, count: number): string[] =>
  Array.from({ length: count }, (_, k) => `${prefix}_${k}`);
const all = (inputs: Named<Tensor>, names: readonly string[]): Tensor4D[] =>
  names.map((name) => last(inputs[name] as Tensor4D));

/** The stages and the whole, as functions of channels-first tensors: the contract that stages from files have too. */
const partsOf = (
  { network, settings }: Forecaster,
  { height, width, batch, leads }: ExportOptions,
): Part[] => {
  const { encoder, predictor, shape, seen } = network;
  const frame = [batch, shape.channels, height, width];
  const told = seen.channels - shape.channels;
  const view = [batch, seen.channels, height, width];
  const [h, w] = [height / encoder.stride, width / encoder.stride];
  const own = predictor.stateShapes(batch, h, w, encoder.latentChannels(seen)).map(channelsFirst);
  const states = numbered('state', own.length);
  const skips = numbered('skip', encoder.skips.length);
  const latent = [batch, encoder.latentChannels(seen), h, w];
  const frames = { frame, previous: frame };
  return [
    {
      file: 'encoder.onnx',
      what: 'a frame and the one before it (the same where a series starts), to a latent and skips',
      inputs: { frame: view, previous: view },
      outputs: ['latent', ...skips],
      stages: ['encoder'],
      fn: (inputs, weights) => {
        const [now, previous] = all(inputs, ['frame', 'previous']) as [Tensor4D, Tensor4D];
        const encoded = bind(network, weights).encode(now, previous);
        return [encoded.latent, ...encoded.skips].map(first);
      },
    },
    {
      file: 'predictor.onnx',
      what: 'one step: a latent and the states (zeros at first), to the latent expected next and the next states',
      inputs: { latent, ...Object.fromEntries(states.map((name, k) => [name, own[k] as number[]])) },
      outputs: ['next_latent', ...states.map((name) => `next_${name}`)],
      stages: ['predictor'],
      fn: (inputs, weights) => {
        const [now, ...state] = all(inputs, ['latent', ...states]) as [Tensor4D, ...Tensor4D[]];
        // The last of a state is the latent expected before, which a step replaces.
        const next = bind(network, weights).advance(now, [...state, now]);
        return [next.at(-1) as Tensor4D, ...next.slice(0, -1)].map(first);
      },
    },
    {
      file: 'decoder.onnx',
      what: 'the latent expected next, with skips of the last frame, that frame and the one before it, to the next frame',
      inputs: {
        latent: [batch, predictor.latentChannels, h, w],
        ...Object.fromEntries(
          encoder.skips.map(({ channels, stride }, k) => [
            `skip_${k}`,
            [batch, channels, height / stride, width / stride],
          ]),
        ),
        ...frames,
      },
      outputs: ['next_frame'],
      stages: ['decoder'],
      fn: (inputs, weights) => {
        const [expected, now, previous, ...given] = all(inputs, [
          'latent',
          'frame',
          'previous',
          ...skips,
        ]) as [Tensor4D, Tensor4D, Tensor4D, ...Tensor4D[]];
        return [first(bind(network, weights).decode([expected], given, now, previous))];
      },
    },
    {
      file: 'rollout.onnx',
      what: 'the whole: frames of the context [N, context, C, H, W], to the frames at leads 1, 2, ...',
      inputs: {
        frames: [batch, settings.context, shape.channels, height, width],
        ...(told > 0 && { parameters: [batch, told] }),
      },
      outputs: ['forecast'],
      stages: ['encoder', 'predictor', 'decoder'],
      fn: ({ frames: given, parameters }, weights) => {
        const conditions = parameters as Tensor2D | undefined;
        const series = tf.unstack(given as Tensor, 1).map((x) => last(x as Tensor4D));
        const zeros: State = stateShapes(network, batch, height, width).map((dims) =>
          tf.zeros(dims as [number, number, number, number]),
        );
        const at = (t: number): Tensor4D => series[Math.max(t, 0)] as Tensor4D;
        const state = series.reduce(
          (memory, now, t) => observe(network, weights, now, at(t - 1), memory, conditions),
          zeros,
        );
        const [now, before] = [at(series.length - 1), at(series.length - 2)];
        return [tf.stack(rollOut(network, weights, now, before, state, leads, { conditions }).map(first), 1)];
      },
    },
  ];
};

const CALL = [
  'frames are float32 [N, C, H, W], normalised: (value - low) / (high - low), with low and high fixed for a series',
  'rollout.onnx: forecast = run(frames of the context)',
  'or stage by stage: states = zeros; for each observed frame: latent, skips = encoder(frame, previous); expected, states = predictor(latent, states)',
  'then for each lead: next = decoder(expected, skips, frame, previous), held within the limits; previous, frame = frame, next; latent, skips = encoder(frame, previous); expected, states = predictor(latent, states)',
];
/** Where the network is told scalars of a run. */
const CALL_TOLD = [
  'parameters are float32 [N, P], in the order of "parameters": (value - low) / (high - low); rollout.onnx takes them beside frames',
  'encoder.onnx takes them as channels behind those of frame and previous, each the same at every pixel',
];
/** With feedback "latent" the predictor steps on what it expected. */
const CALL_LATENT = [
  ...CALL.slice(0, 3),
  'then for each lead: next = decoder(expected, skips of the last observed frame, frame, previous), held within the limits; previous, frame = frame, next; expected, states = predictor(expected, states)',
];

/**
 * A forecaster as .onnx files for other programs: encoder, predictor, decoder and the whole roll-out, channels first,
 * weights inside under the names of weights.safetensors, and the manifest that says how to call them.
 * @throws UsageError for a size that is not a multiple of the encoder's stride
 */
export const exportForecaster = (
  forecaster: Forecaster,
  options: ExportOptions,
): { readonly files: Named<Uint8Array>; readonly manifest: Manifest } => {
  const { settings, network, weights, id } = forecaster;
  const { stride } = network.encoder;
  const { parameters: told = [] } = settings;
  if (options.height % stride !== 0 || options.width % stride !== 0)
    throw new UsageError(`frames of ${options.height}x${options.width} do not fit ${settings.name}`, {
      hint: `height and width have to be multiples of ${stride}`,
    });
  const facts = {
    context: settings.context,
    leads: options.leads,
    boundary: settings.boundary,
    feedback: settings.feedback,
    layout: 'NCHW' as const,
    range: 'normalised: 0 and 1 are the low and the high end of a series',
    ...(settings.range !== undefined && { trainedRange: settings.range }),
    limits: LIMITS,
  };
  const metadata = {
    ...Object.fromEntries(Object.entries(facts).map(([key, value]) => [key, String(value)])),
    ...(told.length > 0 && { parameters: JSON.stringify(told) }),
    forecaster: id.name,
    hash: id.hash,
  };
  const files: Record<string, Uint8Array> = {};
  const described = partsOf(forecaster, options).map(({ file, what, inputs, outputs, stages, fn }) => {
    const mine = Object.entries(weights).filter(([name]) => stages.includes(name.split('.')[0] as string));
    const float = (shape: readonly number[]): Spec => ({ shape, dtype: 'float32' });
    const specs = Object.fromEntries([
      ...Object.entries(inputs).map(([name, shape]) => [name, float(shape)] as const),
      ...mine.map(([name, { shape }]) => [name, float(shape)] as const),
    ]);
    const shapes: number[][] = [];
    files[file] = exportOnnx(
      (tensors) => {
        const results = fn(tensors, tensors);
        shapes.push(...results.map(({ shape }) => [...shape]));
        return Object.fromEntries(outputs.map((name, k) => [name, results[k] as Tensor]));
      },
      specs,
      { weights: Object.fromEntries(mine.map(([name, { data }]) => [name, data])), metadata },
    );
    return {
      file,
      what,
      inputs: Object.entries(inputs).map(([name, shape]) => ({ name, shape })),
      outputs: outputs.map((name, k) => ({ name, shape: shapes[k] as number[] })),
    };
  });
  const usual = settings.feedback === 'latent' ? CALL_LATENT : CALL;
  const call = told.length > 0 ? [...usual, ...CALL_TOLD] : usual;
  const parameters = told.length > 0 && { parameters: told };
  return { files, manifest: { forecaster: id, ...facts, ...parameters, call, files: described } };
};
