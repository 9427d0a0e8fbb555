import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';
import type { Named } from '../engine/types.js';
import type { Decoder, Encoded, Encoder, NetworkShape, Params, ParamSpec, Predictor } from './network.js';

/** Encoder, predictor and decoder that fit each other, and how a roll-out feeds itself. */
export interface Network {
  readonly encoder: Encoder;
  readonly predictor: Predictor;
  readonly decoder: Decoder;
  /** What the decoder makes. */
  readonly shape: NetworkShape;
  /** What the encoder sees: the same, and behind the channels of a frame one for each scalar that the network is told. */
  readonly seen: NetworkShape;
  /** `frame`: each predicted frame is encoded again; `latent`: the predictor steps on its own latents. */
  readonly feedback: 'frame' | 'latent';
}

type Stage = 'encoder' | 'predictor' | 'decoder';

/** Every weight of the network, prefixed by its stage: `encoder.half.weight`, ... */
export const networkParams = ({ encoder, predictor, decoder, shape, seen }: Network): Params<ParamSpec> => {
  const inputs = { stride: encoder.stride, skips: encoder.skips, latentChannels: predictor.latentChannels };
  const stages: [Stage, Params<ParamSpec>][] = [
    ['encoder', encoder.params(seen)],
    ['predictor', predictor.params(shape, encoder.latentChannels(seen))],
    ['decoder', decoder.params(shape, inputs)],
  ];
  return Object.fromEntries(
    stages.flatMap(([stage, specs]) =>
      Object.entries(specs).map(([name, spec]) => [`${stage}.${name}`, spec] as const),
    ),
  );
};

const stageParams = (params: Named<Tensor>, stage: Stage): Params<Tensor> =>
  Object.fromEntries(
    Object.entries(params)
      .filter(([name]) => name.startsWith(`${stage}.`))
      .map(([name, tensor]) => [name.slice(stage.length + 1), tensor]),
  );

/** The recurrent state of a series after a frame: the predictor's own, then the latent it expects next. */
export type State = readonly Tensor4D[];

/** Shapes of that state for frames [n, height, width, channels]. */
export const stateShapes = (
  { encoder, predictor, seen }: Network,
  n: number,
  height: number,
  width: number,
): number[][] => {
  const [h, w] = [height / encoder.stride, width / encoder.stride];
  const own = predictor.stateShapes(n, h, w, encoder.latentChannels(seen));
  return [...own.map((dims) => [...dims]), [n, h, w, predictor.latentChannels]];
};

/** The scalars that a network is told of each of N series, normalised, [N, P]; undefined where it is told none. */
export type Conditions = Tensor2D | undefined;

/**
 * Frames with a channel for each scalar, the same at every pixel. Several frames of each series may come as one batch,
 * [T N, H, W, C].
 */
const withConditions = (frames: Tensor4D, conditions: Conditions): Tensor4D => {
  if (conditions === undefined) return frames;
  const [n, h, w] = frames.shape;
  const [series, count] = conditions.shape;
  const pixels = tf.reshape(tf.tile(conditions, [n / series, 1]), [n, 1, 1, count]);
  return tf.concat([frames, tf.tile<Tensor4D>(pixels as Tensor4D, [1, h, w, 1])], 3);
};

/** The three stages bound to their weights. Everything below works on normalised frames [N, H, W, C]. */
export const bind = (network: Network, params: Named<Tensor>, conditions?: Conditions) => {
  const { encoder, predictor, decoder, shape, seen } = network;
  const [e, p, d] = (['encoder', 'predictor', 'decoder'] as const).map((stage) =>
    stageParams(params, stage),
  ) as [Params<Tensor>, Params<Tensor>, Params<Tensor>];
  const encode = (frame: Tensor4D, previous: Tensor4D): Encoded =>
    encoder.encode(e, withConditions(frame, conditions), withConditions(previous, conditions), seen);
  const advance = (latent: Tensor4D, state: State): State => {
    const stepped = predictor.step(p, latent, state.slice(0, -1), shape);
    return [...stepped.state, stepped.latent];
  };
  const decode = (state: State, skips: readonly Tensor4D[], frame: Tensor4D, previous: Tensor4D): Tensor4D =>
    decoder.decode(d, state.at(-1) as Tensor4D, skips, frame, previous, shape);
  return { encode, advance, decode };
};

/** Beyond these, normalised values are held: whatever a roll-out does, it stays finite. */
export const LIMITS = [-0.5, 1.5] as const;

/** One observed frame taken into the state. */
export const observe = (
  network: Network,
  params: Named<Tensor>,
  frame: Tensor4D,
  previous: Tensor4D,
  state: State,
  conditions?: Conditions,
): State => {
  const { encode, advance } = bind(network, params, conditions);
  return advance(encode(frame, previous).latent, state);
};

export interface RollOutOptions {
  readonly conditions?: Conditions;
  /** Values beyond are held at the limit. Training sets undefined, so that gradients pass everywhere. */
  readonly limits?: readonly [number, number] | undefined;
  /** What the network is shown in place of its own frame at a lead, if not that frame. */
  readonly shown?: ((lead: number, own: Tensor4D) => Tensor4D) | undefined;
}

/** Where a roll-out stands: the network's state, which has taken `now` in, and the last two frames. */
export interface Standing {
  readonly state: State;
  readonly now: Tensor4D;
  readonly before: Tensor4D;
}

/** The frames at leads 1..horizon after where it stands, and, if asked, where it stands then. */
export const rollOn = (
  network: Network,
  params: Named<Tensor>,
  from: Standing,
  horizon: number,
  options: RollOutOptions = {},
): { readonly frames: Tensor4D[]; readonly arrived: () => Standing } => {
  const { limits, shown, conditions } = { limits: LIMITS, ...options };
  const { encode, advance, decode } = bind(network, params, conditions);
  let { state, now, before } = from;
  let { skips } = encode(now, before);
  const takeIn = (frame: Tensor4D): void => {
    [before, now] = [now, frame];
    let latent = state.at(-1) as Tensor4D;
    if (network.feedback === 'frame') ({ latent, skips } = encode(now, before));
    state = advance(latent, state);
  };
  const frames: Tensor4D[] = [];
  for (let lead = 1; lead <= horizon; lead++) {
    const free = decode(state, skips, now, before);
    const next = limits === undefined ? free : tf.clipByValue(free, limits[0], limits[1]);
    frames.push(next);
    if (lead < horizon) takeIn(shown === undefined ? next : shown(lead, next));
  }
  const arrived = (): Standing => {
    takeIn(frames.at(-1) as Tensor4D);
    return { state, now, before };
  };
  return { frames, arrived };
};

/** The frames at leads 1..horizon after `frame`, whose state is `state` (it has taken `frame` in). */
export const rollOut = (
  network: Network,
  params: Named<Tensor>,
  frame: Tensor4D,
  previous: Tensor4D,
  state: State,
  horizon: number,
  options: RollOutOptions = {},
): Tensor4D[] => rollOn(network, params, { state, now: frame, before: previous }, horizon, options).frames;
