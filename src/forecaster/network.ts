import type { Tensor, Tensor4D } from '@tensorflow/tfjs-core';

/** Weights by name. Names carry no stage prefix here; a forecaster prefixes them with `encoder.`, `predictor.`, `decoder.`. */
export type Params<T> = Readonly<Record<string, T>>;

/** Shape and initialisation of one weight. */
export interface ParamSpec {
  readonly shape: readonly number[];
  /** Standard deviation of the normal distribution the weight is drawn from; with 0 all values are `constant`. */
  readonly std: number;
  /** Added to what is drawn; default: 0. */
  readonly constant?: number;
}

/** What lies beyond the edge of a frame. */
export type Boundary = 'periodic' | 'replicate' | 'zero';

/** What the stages of one forecaster agree on. */
export interface NetworkShape {
  /** Channels of a frame. */
  readonly channels: number;
  /** So many of them, the last, are scalars that an encoder is told, the same at every pixel; absent for none. */
  readonly told?: number;
  readonly boundary: Boundary;
}

/** What stages of every kind may say. */
export interface Stage {
  /** Of a stage that brings weights of its own, which cannot be trained: a hash of them. */
  readonly sealed?: string;
}

/** Frames to latents. All tensors NHWC, float32, frames normalised to about 0..1. */
export interface Encoder extends Stage {
  /** Frame pixels per latent pixel along each axis: H and W must be multiples of it. */
  readonly stride: number;
  /** L, the channels of its latents. */
  latentChannels(net: NetworkShape): number;
  /** Channels of each skip tensor, finest first, with its stride. */
  readonly skips: readonly { channels: number; stride: number }[];
  params(net: NetworkShape): Params<ParamSpec>;
  /** `frame`, `previous` [N, H, W, C] -> latent [N, H/s, W/s, L] and skips. `previous` equals `frame` where a series starts. */
  encode(params: Params<Tensor>, frame: Tensor4D, previous: Tensor4D, net: NetworkShape): Encoded;
}
export interface Encoded {
  readonly latent: Tensor4D;
  readonly skips: readonly Tensor4D[];
}

/** One step forward in latent space. */
export interface Predictor extends Stage {
  /** Channels of the latents it makes: what the decoder gets. */
  readonly latentChannels: number;
  params(net: NetworkShape, latentChannels: number): Params<ParamSpec>;
  /**
   * Shapes of the recurrent state for a latent [n, h, w, latentChannels]; the first axis of each is n, the series. It starts as
   * zeros. Empty for a predictor without memory.
   */
  stateShapes(n: number, h: number, w: number, latentChannels: number): readonly (readonly number[])[];
  /**
   * `latent` [N, h, w, L] of a frame and the state before it -> the latent [N, h, w, `latentChannels`] expected next, and the
   * state after it, in the order and shapes of `stateShapes`. Traced once for given shapes: it may not look at values.
   */
  step(params: Params<Tensor>, latent: Tensor4D, state: readonly Tensor4D[], net: NetworkShape): Stepped;
}
export interface Stepped {
  readonly latent: Tensor4D;
  readonly state: readonly Tensor4D[];
}

/** What a decoder is given, known when the network is put together. */
export interface DecoderInputs extends Pick<Encoder, 'stride' | 'skips'> {
  /** Channels of the predictor's latents. */
  readonly latentChannels: number;
}

/** Latents to the next frame. */
export interface Decoder extends Stage {
  /** @throws Error for an encoder that it does not fit */
  params(net: NetworkShape, inputs: DecoderInputs): Params<ParamSpec>;
  /**
   * `latent` [N, h, w, P] of the predictor, `skips` of the last frame that was encoded, `frame` [N, H, W, C] and the one before
   * it -> the frame [N, H, W, C] that follows `frame`.
   */
  decode(
    params: Params<Tensor>,
    latent: Tensor4D,
    skips: readonly Tensor4D[],
    frame: Tensor4D,
    previous: Tensor4D,
    net: NetworkShape,
  ): Tensor4D;
}
