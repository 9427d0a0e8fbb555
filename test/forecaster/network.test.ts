import { afterAll, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor4D } from '@tensorflow/tfjs-core';
import { openEngine } from '../../src/engine/index.js';
import type { HostTensor } from '../../src/engine/types.js';
import { channelsToPixels, padBoundary, pixelsToChannels } from '../../src/forecaster/layers.js';
import type { Boundary } from '../../src/forecaster/network.js';
import type { Forecaster } from '../../src/forecaster/forecaster.js';
import type { FrameShape } from '../../src/pipeline/frame.js';
import { createPlugin } from '../../src/pipeline/plugins/registry.js';
import { randomTensor, relativeError, runOnce } from '../support/engine-compare.js';
import { forecastWith, largestDifference } from '../support/forecast-with.js';
import { movingField, tinyForecaster } from '../support/tiny.js';

const engine = await openEngine('cpu', 1);
afterAll(() => engine.dispose());

const forecast = (
  forecaster: Forecaster,
  shape: FrameShape,
  frames: readonly Float32Array[],
): Promise<Float32Array[]> => forecastWith(engine, forecaster, shape, frames);
const observed = (shape: FrameShape): Float32Array[] => [0, 1, 2, 3].map((t) => movingField(t, shape));
/** Rows down, columns to the right, around the edges. */
const rolled = (frame: Float32Array, [h, w]: FrameShape, down: number, right: number): Float32Array =>
  frame.map((_, k) => frame[((Math.floor(k / w) - down + h) % h) * w + (((k % w) - right + w) % w)] ?? NaN);

test.each<[Boundary, number[]]>([
  ['periodic', [6, 4, 5, 6, 4, 3, 1, 2, 3, 1, 6, 4, 5, 6, 4, 3, 1, 2, 3, 1]],
  ['replicate', [1, 1, 2, 3, 3, 1, 1, 2, 3, 3, 4, 4, 5, 6, 6, 4, 4, 5, 6, 6]],
  ['zero', [0, 0, 0, 0, 0, 0, 1, 2, 3, 0, 0, 4, 5, 6, 0, 0, 0, 0, 0, 0]],
])('beyond the edge of a %s frame lies what its name says', async (boundary, expected) => {
  const x: HostTensor = {
    shape: [1, 2, 3, 1],
    dtype: 'float32',
    data: Float32Array.from([1, 2, 3, 4, 5, 6]),
  };
  const { y } = await runOnce(
    engine,
    (inputs) => ({ y: padBoundary(inputs['x'] as Tensor4D, 1, boundary) }),
    { x },
  );
  expect(y?.shape).toEqual([1, 4, 5, 1]);
  expect([...(y?.data ?? [])]).toEqual(expected);
});

test.each<[Boundary, number, number, number]>([
  ['periodic', 1, 2, 3],
  ['periodic', 2, 4, 5],
  ['periodic', 2, 2, 3],
  ['replicate', 1, 1, 2],
  ['replicate', 1, 4, 5],
  ['replicate', 2, 4, 3],
])('the gradient of a %s border of %i around %i x %i goes where its pixels came from', async (...given) => {
  const [boundary, width, h, w] = given;
  const places: HostTensor = { shape: [1, h, w, 1], dtype: 'float32', data: new Float32Array(h * w) };
  places.data.forEach((_, k) => (places.data[k] = k));
  const dy = randomTensor([1, h + 2 * width, w + 2 * width, 1], 5);
  const { y, dx } = await runOnce(
    engine,
    (inputs) => {
      const [x, weights] = [inputs['places'] as Tensor4D, inputs['dy'] as Tensor];
      const padded = (image: Tensor): Tensor4D => padBoundary(image as Tensor4D, width, boundary);
      return { y: padded(x), dx: tf.grad((image) => tf.sum(tf.mul(padded(image), weights)))(x) };
    },
    { places, dy },
  );
  const expected = new Float32Array(h * w);
  y?.data.forEach((place, k) => (expected[place] = (expected[place] ?? 0) + (dy.data[k] ?? NaN)));
  expect(relativeError(dx!, { ...places, data: expected })).toBeLessThan(1e-6);
});

test('channels become blocks of pixels row by row, and back', async () => {
  const x: HostTensor = {
    shape: [1, 1, 2, 4],
    dtype: 'float32',
    data: Float32Array.from([1, 2, 3, 4, 5, 6, 7, 8]),
  };
  const { y, back } = await runOnce(
    engine,
    (inputs) => {
      const y = channelsToPixels(inputs['x'] as Tensor4D, 2);
      return { y, back: pixelsToChannels(y, 2) };
    },
    { x },
  );
  expect([...(y?.data ?? [])]).toEqual([1, 2, 5, 6, 3, 4, 7, 8]);
  expect(back?.data).toEqual(x.data);
});

test('with periodic edges a shifted past has the shifted future; with others it has not', async () => {
  const shape: FrameShape = [16, 24, 1];
  const frames = observed(shape);
  for (const boundary of ['periodic', 'replicate', 'zero'] as const) {
    const forecaster = await tinyForecaster(2, 10, { boundary });
    const straight = await forecast(forecaster, shape, frames);
    const shifted = await forecast(
      forecaster,
      shape,
      frames.map((frame) => rolled(frame, shape, 8, 4)),
    );
    const error = largestDifference(
      shifted,
      straight.map((frame) => rolled(frame, shape, 8, 4)),
    );
    if (boundary === 'periodic') expect(error).toBeLessThan(1e-5);
    else expect(error).toBeGreaterThan(1e-2);
  }
});

test('one set of weights serves every size: four periodic tiles are forecast as one tile is', async () => {
  const forecaster = await tinyForecaster(3, 10, { boundary: 'periodic' });
  const [small, large] = [
    [16, 16, 1],
    [32, 32, 1],
  ] as const;
  const frames = observed(small);
  const tiled = (frame: Float32Array): Float32Array =>
    Float32Array.from({ length: 32 * 32 }, (_, k) => frame[(Math.floor(k / 32) % 16) * 16 + (k % 16)] ?? NaN);
  const alone = await forecast(forecaster, small, frames);
  expect(
    largestDifference(await forecast(forecaster, large, frames.map(tiled)), alone.map(tiled)),
  ).toBeLessThan(1e-5);
  const wide = await forecast(forecaster, [16, 24, 1], observed([16, 24, 1]));
  expect(wide.map(({ length }) => length)).toEqual([384, 384, 384]);
});

test('a decoder that adds nothing is persistence, or with base "velocity" or, untrained, "damped" linear extrapolation', async () => {
  const shape: FrameShape = [16, 16, 1];
  const frames = observed(shape);
  const [before, last] = frames.slice(-2) as [Float32Array, Float32Array];
  const silent = await forecast(await tinyForecaster(4, 0), shape, frames);
  expect(silent).toEqual([last, last, last]);
  const line = [1, 2, 3].map((lead) => last.map((value, k) => value + lead * (value - (before[k] ?? 0))));
  for (const base of ['velocity', 'damped']) {
    const decoder = { name: 'conv', options: { width: 8, base } };
    const linear = await forecast(await tinyForecaster(4, 0, { decoder }), shape, frames);
    expect(largestDifference(linear, line)).toBeLessThan(1e-5);
  }
  // And one that adds something moves with the frames before the last one: the state counts.
  const loud = await tinyForecaster(4);
  const other = [frames[2], frames[0], frames[2], frames[3]] as Float32Array[];
  expect(
    largestDifference(await forecast(loud, shape, frames), await forecast(loud, shape, other)),
  ).toBeGreaterThan(1e-4);
});

test('the gates of the LSTM are i, f, o, g: as computed by hand, and not in another order', async () => {
  const predictor = await createPlugin(
    'predictor',
    'conv_lstm',
    { layers: 1, hidden: 2, kernel: 1 },
    undefined,
  );
  const net = { channels: 1, boundary: 'replicate' } as const;
  const specs = predictor.params(net, 3);
  expect(Object.entries(specs).map(([name, { shape }]) => `${name} ${shape.join()}`)).toEqual([
    'layer0.weight 1,1,5,8',
    'layer0.bias 8',
    'layer0.forget 2',
  ]);
  const inputs = {
    x: randomTensor([1, 1, 1, 3], 1),
    h: randomTensor([1, 1, 1, 2], 2),
    c: randomTensor([1, 1, 1, 2], 3),
    'layer0.weight': randomTensor([1, 1, 5, 8], 4),
    'layer0.bias': randomTensor([8], 5),
    'layer0.forget': randomTensor([2], 6),
  };
  const step = ({ x, h, c, ...params }: Record<string, Tensor>) => {
    const { latent, state } = predictor.step(params, x as Tensor4D, [h as Tensor4D, c as Tensor4D], net);
    return { latent, hidden: state[0] as Tensor4D, cell: state[1] as Tensor4D };
  };
  const { latent, hidden, cell } = await runOnce(engine, step, inputs);

  const sigmoid = (value: number): number => 1 / (1 + Math.exp(-value));
  const joined = [...inputs.x.data, ...inputs.h.data];
  const gate = (k: number): number =>
    joined.reduce(
      (sum, value, row) => sum + value * (inputs['layer0.weight'].data[row * 8 + k] ?? 0),
      inputs['layer0.bias'].data[k] ?? 0,
    );
  const expected = (order: readonly [i: number, f: number, o: number, g: number]) =>
    [0, 1].map((unit) => {
      const [i, f, o, g] = order.map((place) => gate(2 * place + unit)) as [number, number, number, number];
      const next =
        sigmoid(f + (inputs['layer0.forget'].data[unit] ?? 0)) * (inputs.c.data[unit] ?? 0) +
        sigmoid(i) * Math.tanh(g);
      return [next, sigmoid(o) * Math.tanh(next)] as const;
    });
  const error = (order: readonly [number, number, number, number]): number =>
    Math.max(
      ...expected(order).flatMap(([c, h], k) => [
        Math.abs(c - (cell?.data[k] ?? NaN)),
        Math.abs(h - (hidden?.data[k] ?? NaN)),
      ]),
    );
  expect(error([0, 1, 2, 3])).toBeLessThan(1e-6);
  expect(latent?.data).toEqual(hidden?.data);
  for (const order of [
    [1, 0, 2, 3],
    [0, 2, 1, 3],
    [2, 1, 0, 3],
    [0, 1, 3, 2],
    [3, 1, 2, 0],
  ] as const)
    expect(error(order)).toBeGreaterThan(1e-2);
});

test('a network sees the steps that its lags name, and no others', async () => {
  const shape: FrameShape = [16, 16, 1];
  const make = (lags: readonly number[]) =>
    tinyForecaster(7, 5, {
      encoder: { name: 'patch', options: { patch: 2 } },
      predictor: { name: 'resnet', options: { blocks: 1, channels: 8, lags } },
      decoder: { name: 'patch', options: {} },
    });
  const frames = [0, 1, 2, 3, 4, 5].map((t) => movingField(t, shape));
  /** What the first lead owes to the frame that was seen `back` steps before the last. */
  const difference = async (forecaster: Forecaster, back: number): Promise<number> => {
    const other = frames.map((frame, t) => (t === 5 - back ? frame.map((v) => v + 0.1) : frame));
    const [first, second] = [
      await forecast(forecaster, shape, frames),
      await forecast(forecaster, shape, other),
    ];
    return largestDifference(first.slice(0, 1), second.slice(0, 1));
  };
  const [none, two] = [await make([]), await make([2])];
  expect(await difference(none, 1)).toBeGreaterThan(1e-4); // the velocity
  for (const back of [2, 3, 4]) expect(await difference(none, back)).toBe(0);
  for (const back of [2, 3]) expect(await difference(two, back)).toBeGreaterThan(1e-4); // that frame and its velocity
  expect(await difference(two, 4)).toBe(0);
});
