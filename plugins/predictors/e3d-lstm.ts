import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor3D, Tensor4D } from '@tensorflow/tfjs-core';
import { z } from 'zod';
import { biasSpec, convolve, weight } from '../../src/forecaster/layers.js';
import type { Boundary, Params, ParamSpec } from '../../src/forecaster/network.js';
import { definePredictor } from '../../src/pipeline/plugins/plugin.js';

/**
 * A window of two frames, [2N, h, w, C]: N frames before, then the N current ones. As a state it is [N, h, w, 2C], so that
 * series can be batched.
 */
type Window = Tensor4D;
const fromState = (state: Tensor4D): Window => tf.concat(tf.split(state, 2, 3), 0);
const toState = (x: Window): Tensor4D => tf.concat(tf.split(x, 2, 0), 3);

/**
 * 3-D convolution of a window with a [2, k, k, I, O] kernel, 'same': behind the current frame lies one of zeros in time, and
 * the boundary in space. On two frames that is exactly
 *   before' = K0 * before + K1 * now        now' = K0 * now
 * so 2-D convolutions do it: K0 on both frames at once, K1 on the current one.
 */
export const convolveWindow = (x: Window, kernel: Tensor, bias: Tensor, boundary: Boundary): Window => {
  const [, k = 1, , inputs = 1, outputs = 1] = kernel.shape;
  const [k0, k1] = tf.split(tf.reshape(kernel, [2 * k, k, inputs, outputs]), 2, 0) as [Tensor4D, Tensor4D];
  const now = tf.split(x, 2, 0)[1] as Tensor4D;
  const later = convolve(now, k1, undefined, boundary);
  return tf.add(convolve(x, k0, bias, boundary), tf.concat([later, tf.zerosLike(later)], 0));
};

const EPSILON = 1e-5;
/**
 * Layer normalisation as the paper's code has it: mean and variance of each series over window, pixels and channels; gain
 * and shift [C] for each channel, so weights do not fix a size.
 */
const normalise = (x: Window, gain: Tensor, shift: Tensor): Window => {
  const [n, h, w, c] = x.shape;
  const all = tf.reshape(x, [2, n / 2, h * w, c]);
  const centred = tf.sub<Tensor4D>(all, tf.mean(all, [0, 2, 3], true));
  const scale = tf.rsqrt(tf.add(tf.mean(tf.square(centred), [0, 2, 3], true), EPSILON));
  return tf.add(tf.mul(tf.reshape(tf.mul(centred, scale), [n, h, w, c]), gain), shift);
};

/** Scores of a block of queries that are in memory at once, at most. */
const MOST_SCORES = 2 ** 24;
const NEVER = 1e9;

/**
 * softmax(R K^T) K: every pixel of the window asks all pixels of all earlier cells, by the product of their channels.
 * `gate` R is a window [2N, h, w, C]; `past` [N, h, w, T 2C] holds the T last cells, `written` [N, 1, 1, T] is 1 for those
 * that have been there. Before the first, nothing is recalled: zeros. Queries are taken in blocks, with the same result, so
 * that the memory of large frames is bounded.
 */
export const recall = (gate: Window, past: Tensor4D, written: Tensor4D): Window => {
  const [n2, h, w, c] = gate.shape;
  const [n, pixels, times] = [n2 / 2, h * w, written.shape[3]];
  const queries = tf.reshape<tf.Rank.R3>(tf.transpose(tf.reshape(gate, [2, n, pixels, c]), [1, 0, 2, 3]), [
    n,
    2 * pixels,
    c,
  ]);
  const keys = tf.reshape<tf.Rank.R3>(past, [n, pixels * times * 2, c]);
  const bias = tf.reshape(tf.mul(tf.sub(written, 1), NEVER), [n, 1, 1, times, 1]);
  const rows = Math.max(1, Math.floor(MOST_SCORES / (n * pixels * times * 2)));
  const answers: Tensor3D[] = [];
  for (let from = 0; from < 2 * pixels; from += rows) {
    const size = Math.min(rows, 2 * pixels - from);
    const scores = tf.matMul(tf.slice(queries, [0, from, 0], [n, size, c]), keys, false, true); // [N, size, keys]
    const known = tf.add(tf.reshape(scores, [n, size, pixels, times, 2]), bias);
    answers.push(tf.matMul(tf.softmax(tf.reshape<tf.Rank.R3>(known, [n, size, pixels * times * 2])), keys));
  }
  const recalled = tf.reshape(tf.concat(answers, 1), [n, 2, pixels, c]);
  return tf.reshape(tf.transpose(recalled, [1, 0, 2, 3]), [n2, h, w, c]);
};

/** The last cell that a ring of cells [N, h, w, T 2C] holds, as a window. */
const latest = (past: Tensor4D, hidden: number): Window => {
  const [n, h, w, size] = past.shape;
  return fromState(tf.slice(past, [0, 0, 0, size - 2 * hidden], [n, h, w, 2 * hidden]));
};
/** The ring without its oldest `drop` channels and with `added` as its newest. */
const pushed = (ring: Tensor4D, added: Tensor4D, drop: number): Tensor4D => {
  const [n, h, w, size] = ring.shape;
  if (size === drop) return added;
  return tf.concat([tf.slice(ring, [0, 0, 0, drop], [n, h, w, size - drop]), added], 3);
};

interface Memories {
  /** H, the layer's output one step ago. */
  readonly output: Window;
  /** K, the layer's earlier cells; the last is C. */
  readonly past: Tensor4D;
  readonly written: Tensor4D;
  /** M, from the layer below, or from the top one a step ago. */
  readonly global: Window;
}

/** One layer: equations in the order of the paper. All windows have `hidden` channels, the input has its own number. */
const layer = (
  params: Params<Tensor>,
  name: string,
  input: Window,
  memories: Memories,
  boundary: Boundary,
) => {
  const { output, past, written, global } = memories;
  const at = (part: string): Tensor => weight(params, `${name}.${part}`);
  const conv = (x: Window, part: string): Window =>
    convolveWindow(x, at(`${part}.weight`), at(`${part}.bias`), boundary);
  const stacked = (x: Window, part: string, gates: number): Window[] =>
    tf.split(normalise(conv(x, part), at(`${part}.gain`), at(`${part}.shift`)), gates, 3);
  const gate = (...terms: Window[]): Window => tf.sigmoid(tf.addN(terms));
  const value = (a: Window, b: Window): Window => tf.tanh(tf.add(a, b));

  type Seven = [Window, Window, Window, Window, Window, Window, Window];
  const [ix, gx, rx, ox, ix2, gx2, fx2] = stacked(input, 'input', 7) as Seven;
  const [ih, gh, rh, oh] = stacked(output, 'output', 4) as [Window, Window, Window, Window];
  const [im, fm, gm, mm] = stacked(global, 'global', 4) as [Window, Window, Window, Window];

  // C' = LN(C + softmax(R K^T) K) + i . g
  const recalled = tf.add<Window>(latest(past, output.shape[3]), recall(gate(rx, rh), past, written));
  const cell = tf.add<Window>(
    normalise(recalled, at('recall.gain'), at('recall.shift')),
    tf.mul(gate(ix, ih), value(gx, gh)),
  );
  // M' = f' . tanh(Wmm * M) + i' . g'
  const forget = tf.sigmoid(tf.add(tf.add(fx2, fm), 1));
  const memory = tf.add<Window>(tf.mul(forget, tf.tanh(mm)), tf.mul(gate(ix2, im), value(gx2, gm)));
  // H' = sigmoid(tanh(o)) . tanh(W111 * [C', M'])
  const open = tf.sigmoid(tf.tanh(tf.addN([ox, oh, conv(cell, 'from_cell'), conv(memory, 'from_global')])));
  const both = tf.concat<Window>([cell, memory], 3);
  const mixed = convolve(both, at('mix.weight'), at('mix.bias'), boundary);
  return { output: tf.mul<Window>(open, tf.tanh(mixed)), cell, memory };
};

/**
 * Eidetic 3-D LSTM (Wang et al., ICLR 2019), the predictor of Yang et al. (Patterns 2021). Windows of two frames, 3-D
 * convolutions, a memory M that goes up through the layers and on to the next step, and a recall gate that attends to the
 * layer's own earlier cells. The published code hands on the old M, so its M is zero for ever; this one is alive.
 *
 * The state has a fixed size, so cells are recalled from the last `history` steps, not from all. With encoder `patch`
 * (velocityScale 0, patch 4) and decoder `patch` it is the paper's network: the decoder's 1 x 1 convolution of the window is
 * its head. With boundary `zero` the padding is the paper's, too.
 */
export const e3dLstm = definePredictor({
  name: 'e3d_lstm',
  summary: "Eidetic 3-D LSTM (Wang et al. 2019), the paper's predictor, with a living memory",
  options: z.strictObject({
    layers: z.number().int().positive().default(4).describe('recurrent layers on top of each other'),
    hidden: z.number().int().positive().default(64).describe('channels of each layer'),
    kernel: z
      .union([z.literal(1), z.literal(3), z.literal(5)])
      .default(5)
      .describe('side of the convolution kernels; in time they have 2'),
    history: z
      .number()
      .int()
      .positive()
      .default(8)
      .describe('steps that can be recalled: memory and time grow with it'),
  }),
  create: ({ layers, hidden, kernel, history }) => {
    const convolution = (inputs: number, outputs: number): Record<string, ParamSpec> => ({
      weight: {
        shape: [2, kernel, kernel, inputs, outputs],
        std: Math.sqrt(1 / (2 * kernel * kernel * inputs)),
      },
      bias: biasSpec(outputs),
    });
    const norm = (channels: number): Record<string, ParamSpec> => ({
      gain: biasSpec(channels, 1),
      shift: biasSpec(channels),
    });
    const layerSpecs = (inputs: number): Record<string, Record<string, ParamSpec>> => ({
      input: { ...convolution(inputs, 7 * hidden), ...norm(7 * hidden) },
      output: { ...convolution(hidden, 4 * hidden), ...norm(4 * hidden) },
      global: { ...convolution(hidden, 4 * hidden), ...norm(4 * hidden) },
      recall: norm(hidden),
      from_cell: convolution(hidden, hidden),
      from_global: convolution(hidden, hidden),
      mix: {
        weight: { shape: [1, 1, 2 * hidden, hidden], std: Math.sqrt(1 / (2 * hidden)) },
        bias: biasSpec(hidden),
      },
    });
    return {
      latentChannels: 2 * hidden,
      params: (_, latentChannels) =>
        Object.fromEntries(
          Array.from({ length: layers }, (_layer, l) =>
            Object.entries(layerSpecs(l === 0 ? latentChannels : hidden)).flatMap(([part, specs]) =>
              Object.entries(specs).map(([name, spec]) => [`layer${l}.${part}.${name}`, spec] as const),
            ),
          ).flat(),
        ),
      // H and K of each layer, then M, the latent of the step before, and which cells of K have been there.
      stateShapes: (n, h, w, latentChannels) => [
        ...Array.from({ length: layers }, () => [
          [n, h, w, 2 * hidden],
          [n, h, w, history * 2 * hidden],
        ]).flat(),
        [n, h, w, 2 * hidden],
        [n, h, w, latentChannels],
        [n, 1, 1, history],
      ],
      step: (params, latent, state, { boundary }) => {
        const [last, before, written] = state.slice(2 * layers) as [Tensor4D, Tensor4D, Tensor4D];
        let global = fromState(last); // [2N, h, w, hidden]
        let x = tf.concat<Tensor4D>([before, latent], 0); // [2N, h, w, latentChannels], then hidden
        const next: Tensor4D[] = [];
        for (let l = 0; l < layers; l++) {
          const [output, past] = [fromState(state[2 * l] as Tensor4D), state[2 * l + 1] as Tensor4D];
          const made = layer(params, `layer${l}`, x, { output, past, written, global }, boundary);
          next.push(toState(made.output), pushed(past, toState(made.cell), 2 * hidden));
          [x, global] = [made.output, made.memory];
        }
        const marks = pushed(written, tf.ones([written.shape[0], 1, 1, 1]), 1);
        return { latent: toState(x), state: [...next, toState(global), latent, marks] }; // latent [N, h, w, 2 hidden]
      },
    };
  },
});
