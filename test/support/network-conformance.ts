import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor4D } from '@tensorflow/tfjs-core';
import { openEngine } from '../../src/engine/index.js';
import type { Engine, HostTensor } from '../../src/engine/types.js';
import type { Settings } from '../../src/forecaster/forecaster.js';
import { loadForecaster } from '../../src/forecaster/folder.js';
import { observe, rollOut, stateShapes, type State } from '../../src/forecaster/network-functions.js';
import type { FrameShape } from '../../src/pipeline/frame.js';
import { trainSchema } from '../../src/training/options.js';
import { train } from '../../src/training/train.js';
import { runOnce } from './engine-compare.js';
import { forecastWith, largestDifference } from './forecast-with.js';
import { movingField, putFrames, tinyForecaster, tinySettings } from './tiny.js';

const observed = (shape: FrameShape): Float32Array[] => [0, 1, 2, 3].map((t) => movingField(t, shape));

/** Four copies of a square frame, side by side. */
const tiled = (frame: Float32Array): Float32Array => {
  const side = Math.sqrt(frame.length);
  return Float32Array.from(
    { length: 4 * frame.length },
    (_, k) => frame[(Math.floor(k / (2 * side)) % side) * side + (k % side)] ?? NaN,
  );
};

/** What every encoder, predictor and decoder must do, alone and as a forecaster of these stages. */
export const networkConformance = (
  name: string,
  stages: Pick<Settings, 'encoder' | 'predictor' | 'decoder'>,
): void =>
  describe(name, () => {
    let engine: Engine;
    let home: string;
    beforeAll(async () => {
      engine = await openEngine('cpu', 1);
      home = await mkdtemp(join(tmpdir(), 'mesocast-network-'));
    });
    afterAll(async () => {
      await engine.dispose();
      await rm(home, { recursive: true });
    });

    test('with a silent last layer it is persistence; with a loud one it is not, and depends on the frame before', async () => {
      const shape: FrameShape = [16, 24, 1];
      const frames = observed(shape);
      const last = frames.at(-1) as Float32Array;
      const silent = await forecastWith(engine, await tinyForecaster(1, 0, stages), shape, frames);
      expect(silent).toEqual([last, last, last]);
      const loud = await tinyForecaster(1, 10, stages);
      const other = [...frames.slice(0, 2), frames[0], last] as Float32Array[];
      const difference = largestDifference(
        await forecastWith(engine, loud, shape, frames),
        await forecastWith(engine, loud, shape, other),
      );
      expect(difference).toBeGreaterThan(1e-4);
    });

    test('the same weights serve 64 x 64 and 96 x 160; four periodic tiles are forecast as one is', async () => {
      const forecaster = await tinyForecaster(2, 10, { ...stages, boundary: 'periodic' });
      const alone = await forecastWith(engine, forecaster, [64, 64, 1], observed([64, 64, 1]), 2);
      const small = await forecastWith(engine, forecaster, [16, 16, 1], observed([16, 16, 1]), 2);
      const four = await forecastWith(engine, forecaster, [32, 32, 1], observed([16, 16, 1]).map(tiled), 2);
      expect(largestDifference(four, small.map(tiled))).toBeLessThan(2e-5);
      const wide = await forecastWith(engine, forecaster, [96, 160, 1], observed([96, 160, 1]), 2);
      expect(wide.map(({ length }) => length)).toEqual([96 * 160, 96 * 160]);
      for (const frame of [...alone, ...wide]) expect(frame.every(Number.isFinite)).toBe(true);
    });

    test('gradients are finite, and every weight has one', async () => {
      const { network, weights } = await tinyForecaster(3, 10, { ...stages, boundary: 'periodic' });
      const names = Object.keys(weights);
      const frames = Object.fromEntries(
        observed([16, 16, 1]).map((data, t): [string, HostTensor] => [
          `frame${t}`,
          { shape: [1, 16, 16, 1], dtype: 'float32', data },
        ]),
      );
      const gradients = await runOnce(
        engine,
        (inputs) => {
          const at = (t: number): Tensor4D => inputs[`frame${Math.max(t, 0)}`] as Tensor4D;
          const loss = (...values: Tensor[]): tf.Scalar => {
            const params = Object.fromEntries(names.map((name, k) => [name, values[k] as Tensor]));
            let state: State = stateShapes(network, 1, 16, 16).map((shape) =>
              tf.zeros(shape as [number, number, number, number]),
            );
            for (let t = 0; t < 3; t++) state = observe(network, params, at(t), at(t - 1), state);
            const leads = rollOut(network, params, at(2), at(1), state, 2);
            return tf.addN(leads.map((lead) => tf.mean<tf.Scalar>(tf.squaredDifference(lead, at(3)))));
          };
          const { grads } = tf.valueAndGrads(loss)(names.map((name) => inputs[name] as Tensor));
          return Object.fromEntries(names.map((name, k) => [name, grads[k] as Tensor]));
        },
        {
          ...frames,
          ...Object.fromEntries(
            Object.entries(weights).map(([key, { shape, data }]) => [key, { shape, data, dtype: 'float32' }]),
          ),
        },
      );
      for (const key of names) {
        const data = [...(gradients[key]?.data ?? [])];
        expect([key, data.every(Number.isFinite), data.some((value) => value !== 0)]).toEqual([
          key,
          true,
          true,
        ]);
      }
    });

    test.each([2, 3])(
      'it trains on frames of %i channels, and what was trained forecasts',
      async (channels) => {
        const [data, out] = [join(home, `data${channels}`), join(home, `out${channels}`)];
        const shape: FrameShape = [16, 16, channels];
        for (const seed of [0, 1])
          await putFrames(join(data, `run${seed}`), 0, 8, {
            seed,
            shape,
            extension: '.npy',
            sampleType: 'float32',
          });
        const { encoder, predictor, decoder } = tinySettings(stages);
        const losses: number[] = [];
        await train(
          trainSchema.parse({
            data: [data],
            out,
            channels,
            encoder: encoder.name,
            encoderOptions: encoder.options,
            predictor: predictor.name,
            predictorOptions: predictor.options,
            decoder: decoder.name,
            decoderOptions: decoder.options,
            validation: 1,
            context: 3,
            leads: 2,
            horizon: 2,
            iterations: 3,
            batch: 2,
            device: 'cpu',
            threads: 1,
          }),
          (event) => {
            if (event.type === 'step') losses.push(event.loss);
          },
          new AbortController().signal,
        );
        expect(losses).toHaveLength(3);
        const frames = await forecastWith(engine, await loadForecaster(out), shape, observed(shape), 2);
        for (const frame of frames) {
          expect(frame).toHaveLength(16 * 16 * channels);
          expect(frame.every(Number.isFinite)).toBe(true);
        }
      },
    );
  });
