import * as tf from '@tensorflow/tfjs-core';
import { z } from 'zod';
import { definePredictor } from '../../src/pipeline/plugins/plugin.js';

type Field = tf.Tensor4D;

/** Keeps the equations of a field that is zero everywhere solvable. */
const SMALLEST = 1e-12;

/** x_0, x_0 - x_1, x_0 - 2 x_1 + x_2, ...: the same span as the fields, and far better conditioned in single precision. */
const differences = (fields: readonly Field[]): Field[] => {
  const result: Field[] = [];
  for (let rest = fields; rest.length > 0;) {
    result.push(rest[0] as Field);
    rest = rest.slice(1).map((field, k) => tf.sub<Field>(rest[k] as Field, field));
  }
  return result;
};

/** Mean over the pixels, [N, 1, 1, C]: rows first, then their means, which loses fewer digits than one long sum. */
const overPixels = (x: Field): Field => tf.mean<Field>(tf.mean<Field>(x, 2, true), 1, true);

/**
 * c of A c = b by elimination, for a symmetric A whose eigenvalues are at least `least`; every entry is [N, 1, 1, C], a system
 * for each. No pivot can be less than `least` but by rounding.
 */
const solve = (matrix: readonly (readonly Field[])[], right: readonly Field[], least: Field): Field[] => {
  const [a, b] = [matrix.map((row) => [...row]), [...right]];
  const at = (i: number, j: number): Field => a[i]?.[j] as Field;
  const n = b.length;
  const pivots: Field[] = [];
  for (let i = 0; i < n; i++) {
    pivots[i] = tf.maximum<Field>(at(i, i), least);
    for (let k = i + 1; k < n; k++) {
      const factor = tf.div<Field>(at(k, i), pivots[i] as Field);
      for (let j = i + 1; j < n; j++)
        (a[k] as Field[])[j] = tf.sub<Field>(at(k, j), tf.mul<Field>(factor, at(i, j)));
      b[k] = tf.sub<Field>(b[k] as Field, tf.mul<Field>(factor, b[i] as Field));
    }
  }
  const c: Field[] = [];
  for (let i = n - 1; i >= 0; i--) {
    let rest = b[i] as Field;
    for (let j = i + 1; j < n; j++) rest = tf.sub<Field>(rest, tf.mul<Field>(at(i, j), c[j] as Field));
    c[i] = tf.div<Field>(rest, pivots[i] as Field);
  }
  return c;
};

/**
 * Linear prediction: every pixel's latent follows from its own past by
 *   x(t) = x(t - s) + sum_i c_i D_i(t - s),   D_i the i-th difference of x(t - s), x(t - 2s), ...
 * with one set of coefficients c for all pixels of a series and channel, fitted by least squares to the frames seen so far
 * (Prony 1795; Makhoul, Proc. IEEE 63, 1975). It has no weights: it learns from the context alone. Fields that are a sum of
 * m damped oscillations, wherever their phases come from, obey it exactly with `order` 2m. The coefficients are drawn to zero
 * by a small ridge, which with more order than oscillations keeps the additional roots within the unit circle (Kumaresan and
 * Tufts, IEEE Trans. ASSP 30, 1982), so a roll-out does not blow up. Until `order * spacing` frames are known it is persistence.
 */
export const linearPrediction = definePredictor({
  name: 'linear_prediction',
  summary: 'each pixel from its own past, coefficients fitted to the context (Prony 1795; Makhoul 1975)',
  options: z.strictObject({
    channels: z
      .number()
      .int()
      .positive()
      .default(1)
      .describe('channels of the latents that the encoder makes'),
    order: z.number().int().positive().default(4).describe('earlier values: two for each oscillation'),
    spacing: z
      .number()
      .int()
      .positive()
      .default(2)
      .describe('steps between them; the context has to be longer than order times spacing'),
    ridge: z
      .number()
      .positive()
      .default(1e-7)
      .describe('pull of the coefficients to zero, as a share of the mean square of the latents'),
  }),
  create: ({ channels, order, spacing, ridge }) => {
    const depth = order * spacing;
    /** What the field one step after `fields` (newest first) follows from. */
    const regressors = (fields: readonly Field[]): Field[] =>
      differences(Array.from({ length: order }, (_, k) => fields[(k + 1) * spacing - 1] as Field));
    const pairs = Array.from({ length: order }, (_, i) =>
      Array.from({ length: order - i }, (_, k) => [i, i + k] as const),
    ).flat();
    return {
      latentChannels: channels,
      params: (_, latentChannels) => {
        if (latentChannels !== channels)
          throw new Error(
            `predictor linear_prediction was set up for ${channels} channels, the encoder makes ${latentChannels}: set predictor.channels=${latentChannels}`,
          );
        return {};
      },
      // The latents of the steps before, newest first; sums of products for the normal equations; steps so far.
      stateShapes: (n, h, w) => [
        ...Array.from({ length: depth }, () => [n, h, w, channels]),
        [n, 1, 1, (pairs.length + order) * channels],
        [n, 1, 1, 1],
      ],
      step: (_, latent, state) => {
        const earlier = state.slice(0, depth);
        const [sums, steps] = state.slice(depth) as [Field, Field];
        const known = tf.clipByValue<Field>(tf.sub(steps, depth - 1), 0, 1); // 1 once all regressors exist

        const past = regressors(earlier);
        const change = tf.sub<Field>(latent, earlier[spacing - 1] as Field);
        const products = [
          ...pairs.map(([i, j]) => tf.mul<Field>(past[i] as Field, past[j] as Field)),
          ...past.map((field) => tf.mul<Field>(field, change)),
        ].map(overPixels);
        const summed = tf.add<Field>(sums, tf.mul(known, tf.concat<Field>(products, 3)));
        const entries = tf.split<Field>(summed, pairs.length + order, 3); // [N, 1, 1, C] each
        const entry = (i: number, j: number): Field =>
          entries[pairs.findIndex(([a, b]) => a === Math.min(i, j) && b === Math.max(i, j))] as Field;
        const trace = tf.addN(past.map((_, i) => entry(i, i)));
        const pull = tf.add<Field>(tf.mul(trace, ridge / order), SMALLEST);
        const matrix = past.map((_, i) =>
          past.map((_, j) => (i === j ? tf.add<Field>(entry(i, i), pull) : entry(i, j))),
        );
        const coefficients = solve(matrix, entries.slice(pairs.length), pull);

        const fields = [latent, ...earlier].slice(0, depth);
        const now = regressors(fields);
        const next = tf.addN([
          fields[spacing - 1] as Field,
          ...coefficients.map((c, i) => tf.mul<Field>(c, now[i] as Field)),
        ]);
        return {
          latent: tf.mul<Field>(known, tf.sub(next, latent)), // the change, [N, h, w, C]
          state: [...fields, summed, tf.add(steps, 1)],
        };
      },
    };
  },
});
