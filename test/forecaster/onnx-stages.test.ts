import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor4D } from '@tensorflow/tfjs-core';
import { exportOnnx } from '../../src/engine/onnx/export.js';
import { openEngine } from '../../src/engine/index.js';
import { edited } from '../../src/engine/onnx/fields.js';
import type { Named, Spec, TensorFunction } from '../../src/engine/types.js';
import { evaluate } from '../../src/evaluation/evaluate.js';
import { exportForecaster } from '../../src/forecaster/export.js';
import { loadForecaster } from '../../src/forecaster/folder.js';
import { readSafetensors, writeSafetensors } from '../../src/forecaster/safetensors.js';
import { forecastWith, largestDifference } from '../support/forecast-with.js';
import { mesocast } from '../support/cli.js';
import { movingField, putFrames, saveTiny, tinyForecaster } from '../support/tiny.js';

const GOLDEN = 'test/forecaster/golden/onnx-stages';
const SHAPE = [16, 16, 1] as const;
const FRAMES = [0, 1, 2, 3].map((t) => movingField(t, SHAPE));

const engine = await openEngine('cpu', 1);
let home: string;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'mesocast-onnx-'));
});
afterAll(async () => {
  await engine.dispose();
  await rm(home, { recursive: true });
});

let folders = 0;
type Files = Readonly<Record<string, Uint8Array>>;
/** A forecaster folder whose stages are these files. */
const folderOf = async (files: Files, settings: object = {}): Promise<string> => {
  const folder = join(home, `forecaster-${folders++}`);
  await mkdir(folder);
  for (const [name, bytes] of Object.entries(files)) await writeFile(join(folder, name), bytes);
  const stages = { encoder: 'encoder.onnx', predictor: 'predictor.onnx', decoder: 'decoder.onnx' };
  const named = Object.fromEntries(Object.entries(stages).map(([stage, name]) => [stage, { name }]));
  const json = { format: 1, name: 'theirs', context: 4, ...named, ...settings };
  await writeFile(join(folder, 'forecaster.json'), JSON.stringify(json));
  return folder;
};

const onnx = (inputs: Named<readonly number[]>, fn: TensorFunction): Uint8Array =>
  exportOnnx(
    fn,
    Object.fromEntries(
      Object.entries(inputs).map(([name, shape]): [string, Spec] => [name, { shape, dtype: 'float32' }]),
    ),
  );

/** A latent of two channels at half the resolution, a state that counts frames, the frame's own values back. */
const PICTURE = [1, 1, 16, 16];
const LATENT = [1, 2, 8, 8];
const plain = {
  'encoder.onnx': onnx({ frame: PICTURE }, ({ frame }) => {
    const half = tf.slice(
      tf.reshape(frame as Tensor, [1, 1, 8, 2, 8, 2]),
      [0, 0, 0, 0, 0, 0],
      [1, 1, 8, 1, 8, 1],
    );
    return { latent: tf.tile(tf.reshape(half, [1, 1, 8, 8]), [1, 2, 1, 1]) };
  }),
  'predictor.onnx': onnx({ latent: LATENT, state_0: [1, 1, 8, 8] }, ({ latent, state_0: state }) => ({
    next_latent: tf.add(latent as Tensor, state as Tensor),
    next_state_0: tf.add(state as Tensor, 0.125),
  })),
  'decoder.onnx': onnx({ latent: LATENT, frame: PICTURE }, ({ latent, frame }) => ({
    next_frame: tf.add(tf.mul(frame as Tensor, 0.5), tf.mul(tf.mean(latent as Tensor), 0.5)),
  })),
};

test('stages as PyTorch writes them forecast what PyTorch forecasts', async () => {
  const forecaster = await loadForecaster(GOLDEN);
  expect(forecaster.network.encoder.stride).toBe(2);
  const { tensors } = readSafetensors(await readFile(join(GOLDEN, 'roll-out.safetensors')));
  const series = (name: string, k: number, length: number): Float32Array[] => {
    const size = 12 * 16;
    const { data } = tensors[name] ?? { data: new Float32Array() };
    return Array.from({ length }, (_, t) => data.slice((k * length + t) * size, (k * length + t + 1) * size));
  };
  for (const k of [0, 1]) {
    const forecast = await forecastWith(engine, forecaster, [12, 16, 1], series('frames', k, 4));
    expect(largestDifference(forecast, series('forecast', k, 3))).toBeLessThan(2e-6);
  }
});

test.each(['frame', 'latent'] as const)(
  'what is exported can be plugged in again: the same forecasts, feedback "%s"',
  async (feedback) => {
    const own = await tinyForecaster(3, 10, { feedback });
    const { files } = exportForecaster(own, { height: 16, width: 16, batch: 1, leads: 2 });
    const forecaster = await loadForecaster(await folderOf(files, { feedback }));
    const forecast = await forecastWith(engine, forecaster, SHAPE, FRAMES);
    expect(largestDifference(forecast, await forecastWith(engine, own, SHAPE, FRAMES))).toBeLessThan(2e-6);
    const { encoder, predictor, decoder } = forecaster.network;
    expect([encoder.sealed, predictor.sealed, decoder.sealed]).toEqual(
      Array(3).fill(expect.stringMatching(/^\w{64}$/)),
    );
  },
);

test('evaluate takes several series at once, also through stages for one at a time, and stages of both kinds', async () => {
  const own = await saveTiny(join(home, 'own'), 3);
  const data = join(home, 'series');
  for (const seed of [0, 1, 2])
    await putFrames(join(data, String(seed)), 0, 8, { seed, extension: '.npy', sampleType: 'float32' });
  const shapes = { context: 4, horizon: 3, stride: 1, every: 10, range: [0, 1] as const };
  const scores = async (forecaster: string): Promise<readonly number[]> =>
    (await evaluate({ forecaster, data: [data], ...shapes, device: 'cpu', threads: 1 })).rmse;
  const expected = await scores(join(home, 'own'));
  const { files } = exportForecaster(own, { height: 16, width: 16, batch: 1, leads: 2 });
  const mixed = await folderOf(files, { encoder: own.settings.encoder, decoder: own.settings.decoder });
  const left = Object.entries(own.weights).filter(([name]) => !name.startsWith('predictor.'));
  await writeFile(join(mixed, 'weights.safetensors'), writeSafetensors(Object.fromEntries(left)));
  for (const folder of [await folderOf(files), mixed]) {
    const rmse = await scores(folder);
    expect(Math.max(...rmse.map((error, k) => Math.abs(error - (expected[k] ?? NaN))))).toBeLessThan(1e-6);
  }
});

test('the hash is that of the files', async () => {
  const hashOf = async (files: Files): Promise<string> =>
    (await loadForecaster(await folderOf(files))).id.hash;
  const first = await hashOf(plain);
  expect(await hashOf(plain)).toBe(first);
  const decoder = onnx({ latent: LATENT, frame: PICTURE }, ({ frame }) => ({
    next_frame: tf.mul(frame as Tensor, 0.5),
  }));
  expect(await hashOf({ ...plain, 'decoder.onnx': decoder })).not.toBe(first);
});

test('files of a fixed size take that size only, and say so', async () => {
  const forecaster = await loadForecaster(await folderOf(plain));
  await expect(forecastWith(engine, forecaster, SHAPE, FRAMES)).resolves.toHaveLength(3);
  const large = [0, 1].map((t) => movingField(t, [32, 16, 1]));
  await expect(forecastWith(engine, forecaster, [32, 16, 1], large)).rejects.toThrow(
    /encoder\.onnx: its input frame is \[1, 1, 16, 16\].*but here it would get \[1, 1, 32, 16\]/,
  );
});

test('a device without ONNX Runtime says that it cannot', async () => {
  const reference = await openEngine('reference');
  const forecaster = await loadForecaster(await folderOf(plain));
  await expect(forecastWith(reference, forecaster, SHAPE, FRAMES)).rejects.toThrow(
    /encoder\.onnx needs ONNX Runtime/,
  );
  await reference.dispose();
});

test('a stage that is a file cannot be trained, and the command line says so at once', async () => {
  const folder = await folderOf(plain);
  const stages = ['encoder', 'predictor', 'decoder'].flatMap((stage) => [
    `--${stage}`,
    join(folder, `${stage}.onnx`),
  ]);
  const { code, stderr } = await mesocast(['train', home, '--out', join(home, 'out'), ...stages]);
  expect(stderr).toMatch(/a stage that is an \.onnx file cannot be trained/);
  expect(code).toBe(2);
});

const field = (no: number, write: (w: BinaryWriter) => void): Uint8Array => {
  const w = new BinaryWriter();
  w.tag(no, WireType.LengthDelimited).fork();
  write(w);
  return w.join().finish();
};
const text = (w: BinaryWriter, no: number, value: string): BinaryWriter =>
  w.tag(no, WireType.LengthDelimited).string(value);
/** The file with its statement of opsets replaced. */
const opset = (bytes: Uint8Array, version: number): Uint8Array =>
  edited(
    bytes,
    { 8: () => undefined },
    field(8, (w) => void w.tag(2, WireType.Varint).int64(version)),
  );
/** The file with its first node changed. */
const firstNode = (bytes: Uint8Array, change: (node: Uint8Array) => Uint8Array): Uint8Array => {
  let done = false;
  const graph = (value: Uint8Array): Uint8Array =>
    edited(value, { 1: (node) => (done ? node : ((done = true), change(node))) });
  return edited(bytes, { 7: graph });
};
const encoder = plain['encoder.onnx'];
const same = ({ latent, state_0: state }: Named<Tensor>): Record<string, Tensor> => ({
  next_latent: latent as Tensor,
  next_state_0: state as Tensor,
});
const half = (x: Tensor | undefined): Tensor => tf.slice(x as Tensor4D, [0, 0, 0, 0], [1, -1, 4, 8]);

describe('refused at start-up, with the file, what it has and what was expected', () => {
  test.each<[string, Files, RegExp]>([
    [
      'no ONNX file',
      { 'encoder.onnx': Buffer.from('PK-not-onnx') },
      /encoder\.onnx: it is not an ONNX file, or cut short/,
    ],
    [
      'a file cut short',
      { 'encoder.onnx': encoder.slice(0, 200) },
      /encoder\.onnx: it is not an ONNX file, or cut short/,
    ],
    [
      'an old opset',
      { 'encoder.onnx': opset(encoder, 11) },
      /opset 11, mesocast takes 13 to 23: export it with opset_version=20/,
    ],
    ['an opset of the future', { 'encoder.onnx': opset(encoder, 30) }, /opset 30, mesocast takes 13 to 23/],
    [
      'an operator that has changed since',
      {
        'decoder.onnx': opset(
          onnx({ latent: LATENT }, ({ latent }) => ({ next_frame: tf.mean(latent as Tensor, 1, true) })),
          17,
        ),
      },
      /decoder\.onnx: it is written for opset 17, where ReduceMean is not what it is in opset 20/,
    ],
    [
      'an operator that nobody knows',
      {
        'encoder.onnx': firstNode(encoder, (node) =>
          edited(node, {}, text(new BinaryWriter(), 7, 'my.domain').finish()),
        ),
      },
      /its operator \w+ is of the domain "my.domain"/,
    ],
    [
      'functions of its own',
      {
        'encoder.onnx': edited(
          encoder,
          {},
          field(25, (w) => void text(w, 1, 'f')),
        ),
      },
      /functions of its own: export it with them inlined/,
    ],
    [
      'other names',
      { 'encoder.onnx': onnx({ x: PICTURE }, ({ x }) => ({ y: x as Tensor })) },
      /its inputs are x and its outputs y, but an encoder takes frame and/,
    ],
    [
      'a gap in the numbers',
      {
        'encoder.onnx': onnx({ frame: PICTURE }, ({ frame }) => ({
          latent: frame as Tensor,
          skip_1: frame as Tensor,
        })),
      },
      /outputs latent, skip_1, but an encoder/,
    ],
    [
      'another type',
      {
        'encoder.onnx': exportOnnx(({ frame }) => ({ latent: tf.cast(frame as Tensor, 'float32') }), {
          frame: { shape: PICTURE, dtype: 'int32' },
        }),
      },
      /its input frame is int32, not float32/,
    ],
    [
      'another rank',
      { 'encoder.onnx': onnx({ frame: [16, 16] }, ({ frame }) => ({ latent: frame as Tensor })) },
      /its input frame is \[16, 16\], not \[N, C, H, W\]/,
    ],
    [
      'a fixed batch',
      { 'encoder.onnx': onnx({ frame: [2, 1, 16, 16] }, ({ frame }) => ({ latent: frame as Tensor })) },
      /frame has a batch of 2: export it with a batch of 1, or open/,
    ],
    [
      'other channels',
      { 'encoder.onnx': onnx({ frame: [1, 3, 16, 16] }, ({ frame }) => ({ latent: frame as Tensor })) },
      /its input frame is \[1, 3, 16, 16\].*would get \[1, 1, 16, 16\]/,
    ],
    [
      'a latent of no stride',
      {
        'encoder.onnx': onnx({ frame: PICTURE }, ({ frame }) => ({
          latent: tf.slice(frame as Tensor4D, [0, 0, 0, 0], [1, 1, 15, 16]),
        })),
      },
      /its output latent came out as \[1, 1, 15, 16\] for a frame \[1, 1, 16, 16\]/,
    ],
    [
      'a latent of other channels',
      {
        'predictor.onnx': onnx({ latent: [1, 5, 8, 8] }, ({ latent }) => ({ next_latent: latent as Tensor })),
      },
      /predictor\.onnx: its input latent is \[1, 5, 8, 8\].*would get \[1, 2, 8, 8\]/,
    ],
    [
      'a state that does not come back',
      {
        'predictor.onnx': onnx({ latent: LATENT, state_0: LATENT }, ({ latent }) => ({
          next_latent: latent as Tensor,
        })),
      },
      /it takes 1 states and gives 0/,
    ],
    [
      'a state that changes its shape',
      {
        'predictor.onnx': onnx({ latent: LATENT, state_0: LATENT }, (x) => ({
          ...same(x),
          next_state_0: half(x['state_0']),
        })),
      },
      /its next_state_0 came out as \[1, 2, 4, 8\] for a state_0 \[1, 2, 8, 8\]/,
    ],
    [
      'a latent that shrinks',
      {
        'predictor.onnx': onnx({ latent: LATENT, state_0: LATENT }, (x) => ({
          ...same(x),
          next_latent: half(x['latent']),
        })),
      },
      /its next_latent came out as \[1, 2, 4, 8\] for a latent of 8x8/,
    ],
    [
      'a skip that the encoder has not',
      {
        'decoder.onnx': onnx({ latent: LATENT, skip_0: LATENT }, ({ latent }) => ({
          next_frame: latent as Tensor,
        })),
      },
      /it wants an input skip_0, which the other stages do not give/,
    ],
    [
      'frames of another size',
      { 'decoder.onnx': onnx({ latent: LATENT }, ({ latent }) => ({ next_frame: latent as Tensor })) },
      /its next_frame came out as \[1, 2, 8, 8\] for frames \[1, 1, 16, 16\]/,
    ],
  ])('%s', async (_, files, message) => {
    await expect(loadForecaster(await folderOf({ ...plain, ...files }))).rejects.toThrow(message);
  });

  test('weights in a file that is not there', async () => {
    const bytes = await readFile(join(GOLDEN, 'encoder.onnx'));
    await expect(loadForecaster(await folderOf({ ...plain, 'encoder.onnx': bytes }))).rejects.toThrow(
      /its weights are in encoder\.onnx\.data beside it, which cannot be read/,
    );
  });

  test('a file that is not there, and one with options', async () => {
    await expect(loadForecaster(await folderOf({}))).rejects.toThrow(/encoder\.onnx: ENOENT/);
    await expect(
      loadForecaster(await folderOf(plain, { encoder: { name: 'encoder.onnx', options: { width: 3 } } })),
    ).rejects.toThrow(/encoder\.onnx: an \.onnx file takes no options/);
  });
});
