import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { inputs, step } from '../../bench/reference-work.js';
import { onnxEngine, openEngine, type Engine } from '../../src/engine/index.js';
import { tapeOf } from '../../src/engine/tensorflow/tape.js';
import { findTensorflow } from '../../src/engine/tensorflow/engine.js';
import { trace } from '../../src/engine/tracer.js';
import { builtInNames } from '../../src/pipeline/plugins/registry.js';
import { mesocast } from '../support/cli.js';
import { relativeError, runOnce } from '../support/engine-compare.js';
import { everyNetwork, trainingStepOf } from '../support/every-network.js';
import { forecastWith, largestDifference } from '../support/forecast-with.js';
import { difference, forecastValues } from '../support/runs.js';
import { describeOnTensorflow } from '../support/tensorflow.js';
import { movingField, saveTiny } from '../support/tiny.js';

const BOUND = 1e-4;

const networks = await everyNetwork();

describeOnTensorflow('the real tfjs-node', () => {
  let tensorflow: Engine;
  let onnx: Engine;
  beforeAll(async () => {
    tensorflow = await openEngine('tensorflow', 2);
    onnx = onnxEngine({ provider: 'cpu', threads: 2 });
  });
  afterAll(async () => {
    expect(tensorflow.liveHandles).toBe(0);
    await tensorflow.dispose();
    await onnx.dispose();
  });

  test('says which library computes, and where', () => {
    expect(tensorflow.device).toMatch(
      /^tensorflow \(@tensorflow\/tfjs-node.*, TensorFlow \d.* on the [CG]PU\)$/,
    );
  });

  test('every encoder, predictor and decoder is in one of the networks below', () => {
    const named = networks.map(([name]) => name.split(', '));
    (['encoder', 'predictor', 'decoder'] as const).forEach((kind, k) =>
      expect([...new Set(named.map((names) => names[k]))].sort()).toEqual(builtInNames(kind).sort()),
    );
  });

  test.each(networks)('%s: forecasts as ONNX Runtime does', async (_, forecaster) => {
    const shape = [16, 16, 1] as const;
    const frames = [0, 1, 2].map((t) => movingField(t, shape));
    const expected = await forecastWith(onnx, forecaster, shape, frames, 4);
    const actual = await forecastWith(tensorflow, forecaster, shape, frames, 4);
    expect(largestDifference(actual, expected)).toBeLessThan(BOUND);
    // Not all at a limit, and not the last frame repeated: the network did something.
    expect(largestDifference([actual[3]!], [actual[0]!])).toBeGreaterThan(1e-3);
  });

  test.each(networks)('%s: a training step as ONNX Runtime does it', async (_, forecaster) => {
    const { fn, given } = trainingStepOf(forecaster);
    const [actual, expected] = [await runOnce(tensorflow, fn, given), await runOnce(onnx, fn, given)];
    expect(Object.keys(actual)).toEqual(Object.keys(expected));
    const errors = Object.entries(expected).map(([name, tensor]) => [
      name,
      relativeError(actual[name]!, tensor),
    ]);
    expect(errors.filter(([, error]) => !((error as number) < BOUND))).toEqual([]);
  });

  test('the same inputs give the same bits', async () => {
    const size = { n: 2, t: 4, size: 16, channels: 8, kernel: 3 };
    const once = () => runOnce(tensorflow, step(size), inputs(size));
    expect(await once()).toEqual(await once());
  });

  test('no tensor is left behind in 50 runs of a training step', async () => {
    const size = { n: 1, t: 3, size: 8, channels: 2, kernel: 3 };
    const given = inputs(size);
    // tfjs counts tensors in the thread that it was loaded in, so this loads it as the engine's thread does.
    const code = `
      const { parentPort, workerData: { path, player, tape, given } } = require('node:worker_threads');
      const tf = require(path);
      import(player).then(({ tapePlayer }) => {
        const { load, play, toTensor } = tapePlayer(tf);
        const loaded = load(tape);
        const tensors = Object.fromEntries(Object.entries(given).map(([name, t]) => [name, toTensor(t)]));
        const counts = [];
        for (let run = 0; run < 50; run++) {
          const results = play(loaded, tensors);
          results.loss.dataSync();
          tf.dispose(results);
          counts.push([tf.memory().numTensors, tf.memory().numDataBuffers, tf.backend().getNumOfTFTensors()].join());
        }
        parentPort.postMessage(counts);
      });`;
    const worker = new Worker(code, {
      eval: true,
      workerData: {
        path: findTensorflow().path,
        player: new URL('../../src/engine/tensorflow/tape-player.js', import.meta.url).href,
        tape: tapeOf(trace(step(size), given)),
        given,
      },
    });
    const counts = await new Promise<string[]>((resolve, reject) => {
      worker.on('message', resolve);
      worker.on('error', reject);
    });
    await worker.terminate();
    // The first run takes inputs and constants over to TensorFlow.
    expect(new Set(counts.slice(1)).size).toBe(1);
  });

  test('attach forecasts what it does on ONNX Runtime', async () => {
    const home = await mkdtemp(join(tmpdir(), 'mesocast-tensorflow-'));
    try {
      await saveTiny(join(home, 'tiny'));
      await mesocast(['simulate', 'dendrite', '--size', '32', '--frames', '12'], { cwd: home });
      const [actual, expected] = await Promise.all(
        ['tensorflow', 'cpu'].map(async (device) => {
          const { code, stdout, stderr } = await mesocast(
            [
              ...[
                'attach',
                'frames',
                '--forecaster',
                'tiny',
                '--learn',
                'off',
                '--device',
                device,
                '--out',
                device,
                '--json',
              ],
              ...[
                '--context',
                '4',
                '--horizon',
                '5',
                '--threads',
                '1',
                '--poll-interval',
                '0.1',
                '--until-idle',
                '1',
              ],
              ...['--set', 'files.format=npy'],
            ],
            { cwd: home },
          );
          expect({
            code,
            forecasts: (JSON.parse(stdout || '{}') as { forecasts?: number }).forecasts,
            stderr,
          }).toMatchObject({ code: 0, forecasts: 9 });
          return forecastValues(join(home, device));
        }),
      );
      const largest = Math.max(...[...expected!.values()].flatMap((values) => [...values]));
      expect(difference(actual!, expected!, largest)).toBeLessThan(BOUND);
    } finally {
      await rm(home, { recursive: true });
    }
  });
});

describe('where tfjs-node is not', () => {
  let home: string;
  const before = process.env['MESOCAST_TFJS_NODE'];
  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), 'mesocast-no-tensorflow-'));
    process.env['MESOCAST_TFJS_NODE'] = home;
  });
  afterEach(async () => {
    if (before === undefined) delete process.env['MESOCAST_TFJS_NODE'];
    else process.env['MESOCAST_TFJS_NODE'] = before;
    await rm(home, { recursive: true });
  });

  test('the error says where it was looked for, and how to get it', async () => {
    await expect(openEngine('tensorflow')).rejects.toMatchObject({
      message: expect.stringContaining(`tfjs-node-gpu is not installed in ${home}`),
      hint: expect.stringContaining('npm install @tensorflow/tfjs-node-gpu@4.22.0'),
    });
  });

  /** A package of the name, with nothing in it. */
  const installed = async (): Promise<string> => {
    const folder = join(home, 'node_modules/@tensorflow/tfjs-node');
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'package.json'), '{ "name": "@tensorflow/tfjs-node" }');
    return folder;
  };

  test('its folder may be named from the working directory', async () => {
    const folder = await installed();
    process.env['MESOCAST_TFJS_NODE'] = relative('', home);
    expect(findTensorflow()).toEqual({ name: '@tensorflow/tfjs-node', path: await realpath(folder) });
  });

  test('one that does not load says why', async () => {
    const folder = await installed();
    await writeFile(join(folder, 'index.js'), "throw new Error('libtensorflow.so.2: cannot open')");
    await expect(openEngine('tensorflow')).rejects.toMatchObject({
      message: expect.stringContaining(
        '@tensorflow/tfjs-node is installed but does not load: libtensorflow.so.2: cannot open',
      ),
      hint: expect.stringContaining('npm rebuild @tensorflow/tfjs-node'),
    });
  });
});
