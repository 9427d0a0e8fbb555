import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor4D } from '@tensorflow/tfjs-core';
import { z } from 'zod';
import { biasSpec, fromLogOdds, logOdds, weight } from './layers.js';
import type { Boundary, ParamSpec } from './network.js';

/** Options that decoders share: how what they compute becomes the next frame. */
export const outputOptions = {
  base: z
    .enum(['frame', 'velocity', 'damped'])
    .default('frame')
    .describe(
      'what the change is added to: the last frame, its linear extrapolation, or that with a last change that fades by a learned factor',
    ),
  space: z
    .enum(['value', 'logit'])
    .default('value')
    .describe('the change is added to values, or to their log-odds, which keeps them between 0 and 1'),
  conserve: z
    .boolean()
    .default(false)
    .describe('the mean of each channel never changes: what leaves one pixel enters the next (flux form)'),
  bounds: z
    .tuple([z.number(), z.number()])
    .optional()
    .describe('least and greatest normalised value of a forecast; not together with conserve'),
};

/** How the output of a decoder's last layer becomes the next frame. */
export interface Output {
  readonly base: 'frame' | 'velocity' | 'damped';
  readonly space: 'value' | 'logit';
  readonly conserve: boolean;
  readonly bounds?: readonly [number, number] | undefined;
}

/** Checked once, when a decoder is made. @throws Error for options that exclude each other */
export const checkOutput = ({ conserve, bounds, space }: Output): void => {
  if (space === 'logit' && (conserve || bounds !== undefined))
    throw new Error(
      'option space=logit excludes conserve and bounds: it keeps values between 0 and 1 and bends sums',
    );
  if (conserve && bounds !== undefined)
    throw new Error('options conserve and bounds exclude each other: cutting values off changes their mean');
  if (bounds !== undefined && bounds[0] >= bounds[1])
    throw new Error(`option bounds: ${bounds[0]} is not below ${bounds[1]}`);
};

/** Channels that the last layer must have for frames of `channels`: a flux along rows and one along columns, or the change. */
export const outputChannels = (channels: number, { conserve }: Output): number =>
  conserve ? 2 * channels : channels;

const DAMPING = 'frame.damping';

/** Weights of an output besides its last layer: what is left of each channel's last change a frame later (damped trend; Gardner and McKenzie, 1985). */
export const outputParams = (channels: number, { base }: Output): Record<string, ParamSpec> =>
  base === 'damped' ? { [DAMPING]: biasSpec(channels, 1) } : {};

/** What each pixel gains along an axis from the flux [N, H, W, C] through its far face; beyond an edge that is not periodic nothing flows. */
const gain = (flux: Tensor4D, axis: 1 | 2, boundary: Boundary): Tensor4D => {
  const size = flux.shape[axis];
  const [inner, last] = tf.split(flux, [size - 1, 1], axis) as [Tensor4D, Tensor4D];
  const closed = tf.zerosLike(last);
  const incoming = tf.concat([boundary === 'periodic' ? last : closed, inner], axis);
  const outgoing = boundary === 'periodic' ? flux : tf.concat([inner, closed], axis);
  return tf.sub(incoming, outgoing);
};

/**
 * Minus the divergence of a flux [N, H, W, 2C] (C through the lower faces of the pixels, then C through the right ones):
 * the change [N, H, W, C], whose sum over the pixels is zero up to rounding. The finite-volume form of a conservation law.
 */
export const inflow = (flux: Tensor4D, boundary: Boundary): Tensor4D => {
  const [down, right] = tf.split(flux, 2, 3) as [Tensor4D, Tensor4D];
  return tf.add(gain(down, 1, boundary), gain(right, 2, boundary));
};

/**
 * Values cut off at bounds, with the gradient of what was not cut (straight-through; Bengio et al. 2013): training sees the
 * frames that forecasts will have, and a value beyond a bound still learns to come back.
 */
const held = (x: Tensor4D, [low, high]: readonly [number, number]): Tensor4D =>
  tf.customGrad<Tensor4D>((value) => ({
    value: tf.clipByValue(value as Tensor4D, low, high),
    gradFunc: (dy: Tensor) => dy,
  }))(x);

/**
 * The frame that follows `frame` [N, H, W, C], which followed `previous`, given the decoder's last layer [N, H, W,
 * outputChannels] and its weights. Where the mean is conserved it is that of `frame`, also where `previous` had another.
 */
export const nextFrame = (
  output: Tensor4D,
  frame: Tensor4D,
  previous: Tensor4D,
  boundary: Boundary,
  { base, space, conserve, bounds }: Output,
  params: Readonly<Record<string, Tensor>>,
): Tensor4D => {
  /** A field, and what goes on of its change since `before`. */
  const goneOn = (now: Tensor4D, before: () => Tensor4D): Tensor4D => {
    if (base === 'frame') return now;
    let velocity = tf.sub<Tensor4D>(now, before());
    if (conserve) velocity = tf.sub(velocity, tf.mean(velocity, [1, 2], true));
    return tf.add(now, base === 'damped' ? tf.mul(velocity, weight(params, DAMPING)) : velocity);
  };
  if (space === 'logit')
    return fromLogOdds(
      tf.add(
        goneOn(logOdds(frame), () => logOdds(previous)),
        output,
      ),
    );
  const change = conserve ? inflow(output, boundary) : output;
  const next = tf.add<Tensor4D>(
    goneOn(frame, () => previous),
    change,
  );
  return bounds === undefined ? next : held(next, bounds);
};
