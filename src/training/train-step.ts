import * as tf from '@tensorflow/tfjs-core';
import type { Scalar, Tensor, Tensor4D, Tensor5D } from '@tensorflow/tfjs-core';
import type { Named, Spec, TensorFunction } from '../engine/types.js';
import {
  bind,
  rollOn,
  stateShapes,
  type Conditions,
  type Network,
  type Standing,
  type State,
} from '../forecaster/network-functions.js';
import type { FrameShape } from '../pipeline/frame.js';
import { coarse, overBlocks } from './coarse.js';

/** Shape of the clips of a step: `context` frames are given, `leads` more are forecast and compared. */
export interface ClipShape {
  readonly batch: number;
  readonly context: number;
  readonly leads: number;
  readonly frame: FrameShape;
  /** What the network sees next: see `mesocast train --sampling`. Default: free. */
  readonly sampling?: 'free' | 'scheduled' | 'reverse';
  /** Scalars of its run that the network is told. */
  readonly told?: number;
  /** Noise is added to the frames that are given. */
  readonly noisy?: boolean;
  /** Frames are parts of larger ones: not all of their pixels count. */
  readonly isPart?: boolean;
  /** Leads that are forecast before those that are compared. Default: 0. */
  readonly rollIn?: number;
}

/** Shape of the ones and zeros that choose the truth: for each frame but the first that the network may be shown. */
export const truthMasks = ({ batch, context, leads, sampling }: ClipShape): number[] => [
  (sampling === 'reverse' ? context : leads) - 1,
  batch,
  1,
  1,
  1,
];

/** Adam (Kingma & Ba 2015) and an exponential moving average of the weights. */
const BETA1 = 0.9;
const BETA2 = 0.99;
const EPSILON = 1e-8;
const LONGEST_GRADIENT = 1;
/** Share of the loss that the frames inside the context have. */
const CONTEXT_SHARE = 0.2;
/** Mean squared change below which a clip counts as standing still; keeps the relative error finite. */
const STILL = 1e-5;

/**
 * After a roll-in: what the squared error of a frame's mean counts beside the mean squared error of its blocks. Most of the
 * latter cannot be foretold and drowns the former, which is what the frame's statistics are off by: crystals grew too slowly.
 */
const MEAN_WEIGHT = 8;

/** The four tensors that a weight has in training. */
export const SLOTS = ['weight', 'mean', 'square', 'average'] as const;

/**
 * Mean over leads and batch of MSE(predicted, truth) / MSE(last, truth): 1 for persistence, (1 - skill)^2 in general.
 * All [T, N, H, W, C]; `last` may be one frame for all leads. Pixels count as `counted` [1, N, H, W, 1] says, by default all
 * alike. With `meanWeight` the squared error of each frame's mean is added to its MSE so many times, and persistence has more
 * than 1.
 */
const relativeError = (
  predicted: Tensor5D,
  truth: Tensor5D,
  last: Tensor5D,
  { counted, meanWeight = 0 }: { readonly counted?: Tensor5D | undefined; readonly meanWeight?: number } = {},
): Scalar => {
  const weighed = (of: Tensor): Tensor =>
    counted === undefined ? of : tf.div(tf.mul(of, counted), tf.mean(counted, [2, 3], true));
  const error = tf.mean(weighed(tf.squaredDifference(predicted, truth)), [2, 3, 4]);
  const still = tf.mean(weighed(tf.squaredDifference(last, truth)), [2, 3, 4]);
  const ofMeans = (): Tensor => tf.mean(tf.square(tf.mean(weighed(tf.sub(predicted, truth)), [2, 3])), 2);
  const summed = meanWeight === 0 ? error : tf.add(error, tf.mul(ofMeans(), meanWeight));
  return tf.mean(tf.div(summed, tf.add(still, STILL)));
};

/** Frames of a clip that the network is given, and what it makes of them: expectations of the next, and its state. */
interface Context extends Standing {
  /** Forecasts of frames 1..context-1, [(context - 1) N, H, W, C]. */
  readonly expected: Tensor4D;
}

type Bound = ReturnType<typeof bind>;

const zeroState = (network: Network, { batch, frame: [h, w] }: ClipShape): State =>
  stateShapes(network, batch, h, w).map((shape) => tf.zeros(shape as [number, number, number, number]));

/** The context is all given: encode its frames as one batch, step through them, decode as one batch. */
const givenContext = (
  network: Network,
  { encode, advance, decode }: Bound,
  given: readonly Tensor4D[],
  shape: ClipShape,
): Context => {
  const { batch, context } = shape;
  const joined = (frames: readonly Tensor4D[]): Tensor4D => tf.concat<Tensor4D>([...frames], 0);
  const [all, before] = [joined(given), joined([given[0] as Tensor4D, ...given.slice(0, -1)])];
  const { latent, skips } = encode(all, before);
  const part = (x: Tensor4D, from: number, count: number): Tensor4D =>
    tf.slice(x, [from * batch, 0, 0, 0], [count * batch, x.shape[1], x.shape[2], x.shape[3]]);
  let state = zeroState(network, shape);
  const latents: Tensor4D[] = [];
  for (let t = 0; t < context; t++) {
    state = advance(part(latent, t, 1), state);
    latents.push(state.at(-1) as Tensor4D);
  }
  const inside = context - 1;
  const expected = decode(
    [joined(latents.slice(0, inside))],
    skips.map((skip) => part(skip, 0, inside)),
    part(all, 0, inside),
    part(before, 0, inside),
  );
  const [last, previous] = [given[context - 1], given[context - 2]] as [Tensor4D, Tensor4D];
  return { expected, state, now: last, before: previous };
};

/** Inside the context too the network is shown its own forecasts where `choose` says so: one frame after the other. */
const sampledContext = (
  network: Network,
  { encode, advance, decode }: Bound,
  given: readonly Tensor4D[],
  shape: ClipShape,
  choose: (k: number, truth: Tensor4D, own: Tensor4D) => Tensor4D,
): Context => {
  let state = zeroState(network, shape);
  let now = given[0] as Tensor4D;
  let before = now;
  const expected: Tensor4D[] = [];
  for (let t = 0; t < shape.context; t++) {
    const { latent, skips } = encode(now, before);
    state = advance(latent, state);
    if (t === shape.context - 1) break;
    const own = decode(state, skips, now, before);
    expected.push(own);
    [before, now] = [now, choose(t, given[t + 1] as Tensor4D, own)];
  }
  return { expected: tf.concat<Tensor4D>(expected, 0), state, now, before };
};

interface ClipTensors {
  readonly clip: Tensor5D;
  readonly counted?: Tensor5D;
  readonly noise?: Tensor5D;
  readonly truth?: Tensor5D;
  readonly conditions?: Conditions;
}

/** The first frames of a clip [T, N, H, W, C], with the noise that is added to them. */
const givenFrames = ({ clip, noise }: ClipTensors, { context, batch, frame }: ClipShape): Tensor4D[] =>
  Array.from({ length: context }, (_, t) => {
    const one = (of: Tensor5D): Tensor4D => tf.reshape(tf.slice(of, t, 1), [batch, ...frame]);
    return noise === undefined ? one(clip) : tf.add<Tensor4D>(one(clip), one(noise));
  });

/**
 * Where a forecast of `rollIn` leads has come to. It is not to be differentiated: the network learns to go on from where
 * its own roll-outs lead, at no memory for the way there (the pushforward trick of Brandstetter, Worrall and Welling, ICLR
 * 2022; here the recurrent state is carried along, as in truncated backpropagation through time).
 */
const rolledIn = (
  network: Network,
  params: Named<Tensor>,
  tensors: ClipTensors,
  shape: ClipShape,
): Standing | undefined => {
  const { rollIn = 0 } = shape;
  if (rollIn === 0) return undefined;
  const { conditions } = tensors;
  const bound = bind(network, params, conditions);
  const context = givenContext(network, bound, givenFrames(tensors, shape), shape);
  return rollOn(network, params, context, rollIn, { conditions }).arrived();
};

/** clip [T, N, H, W, C], time first so that frames are whole blocks of memory; `standing` where a roll-in has come to. */
const clipLoss = (
  network: Network,
  params: Named<Tensor>,
  tensors: ClipTensors,
  standing: Standing | undefined,
  shape: ClipShape,
): Scalar => {
  const { clip, counted, truth: masks, conditions } = tensors;
  const { batch, context, leads, frame, sampling, rollIn = 0 } = shape;
  const [h, w, c] = frame;
  const part = (of: Tensor5D, from: number, count: number): Tensor5D =>
    tf.slice(of, [from, 0, 0, 0, 0], [count, batch, h, w, c]);
  const frames = (of: Tensor5D, from: number, count: number): Tensor4D =>
    tf.reshape(part(of, from, count), [count * batch, h, w, c]);
  const byTime = (of: Tensor4D): Tensor5D => tf.reshape(of, [of.shape[0] / batch, batch, h, w, c]);
  /** The truth where the k-th mask is 1, the network's own forecast where it is 0, clip by clip. */
  const choose = (k: number, real: Tensor4D, own: Tensor4D): Tensor4D => {
    const mask = tf.reshape(tf.slice(masks as Tensor5D, k, 1), [batch, 1, 1, 1]);
    return tf.add(own, tf.mul(mask, tf.sub(real, own)));
  };

  /** Of the leads from `from` on. */
  const leadLoss = (from: Standing): Scalar => {
    const first = context + rollIn;
    const shown =
      sampling === 'scheduled'
        ? (lead: number, own: Tensor4D) => choose(lead - 1, frames(clip, first + lead - 1, 1), own)
        : undefined;
    const { frames: predicted } = rollOn(network, params, from, leads, {
      limits: undefined,
      shown,
      conditions,
    });
    const joined = byTime(tf.concat<Tensor4D>(predicted, 0));
    const [truth, last] = [part(clip, first, leads), part(clip, context - 1, 1)];
    if (rollIn === 0) return relativeError(joined, truth, last, { counted });
    const [own, real, still] = [coarse(joined), coarse(truth), coarse(last)];
    const how = { counted: counted && overBlocks(counted), meanWeight: MEAN_WEIGHT };
    return tf.mean<Scalar>(tf.stack(own.map((field, k) => relativeError(field, real[k]!, still[k]!, how))));
  };
  if (standing !== undefined) return leadLoss(standing);

  const bound = bind(network, params, conditions);
  const given = givenFrames(tensors, shape);
  const seen =
    sampling === 'reverse'
      ? sampledContext(network, bound, given, shape, choose)
      : givenContext(network, bound, given, shape);
  // The first frame shows no motion, so what is expected of it alone counts only where there is nothing else.
  const from = Math.min(1, context - 2);
  const inside = context - 1 - from;
  const insideLoss = relativeError(
    part(byTime(seen.expected), from, inside),
    part(clip, from + 1, inside),
    part(clip, from, inside),
    { counted },
  );
  return tf.add(tf.mul(leadLoss(seen), 1 - CONTEXT_SHARE), tf.mul(insideLoss, CONTEXT_SHARE));
};

export const slotName = (slot: (typeof SLOTS)[number], name: string): string => `${slot}.${name}`;

/** Inputs of the step: the clip, three numbers of the optimiser, and the four slots of every weight. */
export const trainSpecs = (
  weights: Named<{ readonly shape: readonly number[] }>,
  clip: ClipShape,
): Record<string, Spec> => {
  const scalar: Spec = { shape: [], dtype: 'float32' };
  const slots = Object.entries(weights).flatMap(([name, { shape }]) =>
    SLOTS.map((slot) => [slotName(slot, name), { shape, dtype: 'float32' }] as const),
  );
  const frames = (count: number): Spec => ({ shape: [count, clip.batch, ...clip.frame], dtype: 'float32' });
  return {
    clip: frames(clip.context + (clip.rollIn ?? 0) + clip.leads),
    ...(clip.isPart === true && {
      counted: { shape: [1, clip.batch, clip.frame[0], clip.frame[1], 1], dtype: 'float32' },
    }),
    ...(clip.noisy === true && { noise: frames(clip.context) }),
    ...((clip.sampling ?? 'free') !== 'free' && { truth: { shape: truthMasks(clip), dtype: 'float32' } }),
    ...(clip.told !== undefined && {
      conditions: { shape: [clip.batch, clip.told], dtype: 'float32' },
    }),
    rate: scalar,
    debias1: scalar,
    debias2: scalar,
    decay: scalar,
    ...Object.fromEntries(slots),
  };
};

/**
 * One step of training: loss, gradients, Adam and the moving average, as one function from state to state.
 * `rate` is the learning rate, `debias1/2` are 1 - beta^t, `decay` is the average's.
 */
export const trainStep =
  (network: Network, names: readonly string[], shape: ClipShape): TensorFunction =>
  (inputs) => {
    const input = (name: string): Tensor => inputs[name] as Tensor;
    const weights = names.map((name) => input(slotName('weight', name)));
    const named = (values: readonly Tensor[]): Named<Tensor> =>
      Object.fromEntries(names.map((name, k) => [name, values[k] as Tensor]));
    const tensors = inputs as Named<Tensor> & ClipTensors;
    const standing = rolledIn(network, named(weights), tensors, shape);
    const { value, grads } = tf.valueAndGrads((...values) =>
      clipLoss(network, named(values), tensors, standing, shape),
    )(weights);
    const length = tf.sqrt(tf.addN(grads.map((g) => tf.sum(tf.square(g)))));
    const scale = tf.minimum(1, tf.div(LONGEST_GRADIENT, tf.add(length, EPSILON)));
    const outputs: Record<string, Tensor> = { loss: value, gradient: length };
    names.forEach((name, k) => {
      const g = tf.mul(grads[k] as Tensor, scale);
      const mean = tf.add(tf.mul(input(slotName('mean', name)), BETA1), tf.mul(g, 1 - BETA1));
      const square = tf.add(tf.mul(input(slotName('square', name)), BETA2), tf.mul(tf.square(g), 1 - BETA2));
      const move = tf.div(
        tf.div(mean, input('debias1')),
        tf.add(tf.sqrt(tf.div(square, input('debias2'))), EPSILON),
      );
      const weight = tf.sub(weights[k] as Tensor, tf.mul(move, input('rate')));
      const average = tf.add(
        weight,
        tf.mul(tf.sub(input(slotName('average', name)), weight), input('decay')),
      );
      outputs[slotName('weight', name)] = weight;
      outputs[slotName('mean', name)] = mean;
      outputs[slotName('square', name)] = square;
      outputs[slotName('average', name)] = average;
    });
    return outputs;
  };

/** 1 - beta^t for step t = 1, 2, ... */
export const debiases = (step: number): { debias1: number; debias2: number } => ({
  debias1: 1 - BETA1 ** step,
  debias2: 1 - BETA2 ** step,
});
