import { spawn } from 'node:child_process';
import { cp, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { loadForecaster } from '../../src/forecaster/folder.js';
import { readSafetensors } from '../../src/forecaster/safetensors.js';
import { loadCheckpoint } from '../../src/training/checkpoint.js';
import {
  identityAgain,
  identityOf,
  trainSchema,
  type TrainEvent,
  type TrainOptions,
  type TrainResult,
} from '../../src/training/options.js';
import { train } from '../../src/training/train.js';
import { putFrames, saveTiny } from '../support/tiny.js';

let home: string;
const files = { extension: '.npy', sampleType: 'float32' } as const;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'mesocast-resume-'));
  for (const seed of [0, 1, 2]) await putFrames(join(home, 'data', `run${seed}`), 0, 12, { ...files, seed });
  await putFrames(join(home, 'data', 'wide'), 0, 12, { ...files, shape: [12, 24, 1], seed: 4 });
  await saveTiny(join(home, 'teacher'), 1, 10, { range: [0, 1] });
});
afterAll(() => rm(home, { recursive: true }));

const SMALL: Partial<TrainOptions> = {
  encoderOptions: { width: 4, latent: 4 },
  predictorOptions: { layers: 1, hidden: 4 },
  decoderOptions: { width: 4 },
  context: 4,
};
const settings = (out: string, more: Partial<TrainOptions> = {}): TrainOptions =>
  trainSchema.parse({
    data: [join(home, 'data')],
    out: join(home, out),
    ...{ validation: 1, leads: 4, horizon: 5, iterations: 9, batch: 2, validateEvery: 2, rate: 0.02 },
    ...{ device: 'cpu', threads: 1 },
    ...(more.from === undefined && SMALL),
    ...more,
  });
const run = async (
  options: TrainOptions,
  stopAfter = Infinity,
  type: 'step' | 'validation' = 'step',
): Promise<TrainResult> => {
  const stop = new AbortController();
  return train(
    options,
    (event) => {
      if (event.type === type && event.iteration >= stopAfter) stop.abort();
    },
    stop.signal,
  );
};
/** Everything that a training leaves behind but for names that it was given. */
const left = async (out: string) => {
  const read = (file: string): Promise<Buffer> => readFile(join(home, out, file));
  const { iteration, progress } = (await loadCheckpoint(join(home, out)))!;
  const forecaster = JSON.parse((await read('forecaster.json')).toString()) as {
    training: { iterations: number };
  };
  return {
    ...{ iteration, progress, kept: forecaster.training.iterations },
    checkpoint: readSafetensors(await read('checkpoint.safetensors')).tensors,
    weights: readSafetensors(await read('weights.safetensors')).tensors,
    curve: (await read('validation.jsonl')).toString(),
  };
};

const CASES: [what: string, more: () => Partial<TrainOptions>][] = [
  ['frames read as they are needed, and sizes mixed', () => ({ memoryBytes: 3000 })],
  ['patience, stopped between two validations', () => ({ patience: 2, rate: 0.3 })],
  [
    'reverse scheduled sampling, noise and a stride',
    () => ({ sampling: 'reverse', noise: 0.01, stride: 2, leads: 1, horizon: 2 }),
  ],
  [
    'scheduled sampling from another forecaster, which brings a range',
    () => ({ sampling: 'scheduled', from: join(home, 'teacher') }),
  ],
];
test.each(CASES)(
  '%s: stopped twice and gone on with, everything is as if it had not been stopped',
  async (what, more) => {
    const name = what.replaceAll(/\W+/g, '-');
    const options = (out: string): TrainOptions => settings(`${name}-${out}`, more());
    await run(options('whole'));
    await run(options('stopped'), 3);
    await run(options('stopped'), 5);
    await run(options('stopped'));
    expect(await left(`${name}-stopped`)).toEqual(await left(`${name}-whole`));
  },
);

test('stopped while it is judged, it is not judged again', async () => {
  const options = (out: string): TrainOptions => settings(out, { patience: 2, rate: 0.3 });
  await run(options('judged-whole'));
  const { interrupted } = await run(options('judged-stopped'), 4, 'validation');
  expect(interrupted).toBe(true);
  expect((await left('judged-stopped')).iteration).toBe(4);
  await run(options('judged-stopped'));
  expect(await left('judged-stopped')).toEqual(await left('judged-whole'));
});

test('with patience it tells the skill of what it leaves, however it ends', async () => {
  // A rate so large that the first is the best.
  const options = settings('told', { patience: 5, rate: 0.3, iterations: 6 });
  const { skill, iterations } = await run(options);
  const { training } = (await loadForecaster(join(home, 'told'))).settings;
  expect([iterations, training['iterations']]).toEqual([6, 2]);
  expect(skill).toEqual((training['validation'] as { skill: number[] }).skill);
});

test('a region may go with another forecaster, and with options that an earlier version did not know', async () => {
  const options = settings('region', { from: join(home, 'teacher'), iterations: 2 });
  const within = trainSchema.parse({ ...options, region: '0,0,8,8' });
  await run(within);
  expect((await left('region')).iteration).toBe(2);
  const { downsample: _, ...before } = JSON.parse(identityOf(within)) as Record<string, unknown>;
  expect(identityAgain(JSON.stringify(before))).toBe(identityOf(within));
});

test('gone on with when its folders have other series, or to another horizon, it says so, and skill of before does not count', async () => {
  const grown = join(home, 'grown');
  await cp(join(home, 'data'), grown, { recursive: true });
  const notices = async (more: Partial<TrainOptions> = {}): Promise<string> => {
    const said: string[] = [];
    const tell = (event: TrainEvent): void => {
      if (event.type === 'notice') said.push(event.message);
    };
    const options = settings('changed', { data: [grown], iterations: 4, patience: 5, ...more });
    await train(options, tell, new AbortController().signal);
    return said.join('; ');
  };
  await notices();
  const { progress } = await left('changed');
  expect(progress.best).not.toBeNull();
  expect(await notices()).not.toMatch(/learn from|validation is/);
  const shorter = await notices({ horizon: 2 });
  expect(shorter).toMatch(/validation is on other series, or of another horizon/);
  expect(shorter).not.toMatch(/learn from/);
  await putFrames(join(grown, 'run3'), 0, 12, { ...files, seed: 3 });
  const more = await notices();
  expect(more).toMatch(/the series to learn from are not those of before/);
  expect(more).not.toMatch(/validation is/);
  expect((await left('changed')).progress).toEqual(progress); // there was nothing left to do
});

test('stopped before it is judged by another horizon, it leaves the best skill of before', async () => {
  const patient = (more: Partial<TrainOptions> = {}): TrainOptions =>
    settings('patient', { patience: 9, ...more });
  await run(patient(), 2, 'validation');
  const { progress } = await left('patient');
  expect(progress.best).not.toBeNull();
  await run(patient({ horizon: 2 }), 3);
  expect(await left('patient')).toMatchObject({ iteration: 3, progress });
});

test.each([
  ['read', () => ({ data: [join(home, 'data')] })],
  ['simulated', () => ({ data: [], simulation: 'plane_wave', simulationOptions: { size: '16' } })],
])('stopped while data are %s it ends at once', async (_, data) => {
  // With all of the data it would find these frames too few.
  const options = settings('unbegun', { ...data(), context: 900, frames: 5 });
  const stop = new AbortController();
  await expect(train(options, () => undefined, stop.signal)).rejects.toThrow();
  stop.abort();
  expect(await train(options, () => undefined, stop.signal)).toMatchObject({
    iterations: 0,
    interrupted: true,
  });
});

test('what a fresh training would replace stays until its data are found good', async () => {
  await run(settings('fresh', { iterations: 4 }));
  const before = await left('fresh');
  await expect(run(settings('fresh', { fresh: true, data: [join(home, 'nowhere')] }))).rejects.toThrow();
  expect(await left('fresh')).toEqual(before);
  await train(settings('fresh', { fresh: true }), () => undefined, AbortSignal.abort());
  expect(await left('fresh')).toEqual(before);
});

test('killed at any moment, it goes on from a whole checkpoint, and ends as if it had not been killed', async () => {
  const args = (out: string): string[] => [
    ...['train', join(home, 'data'), '--out', join(home, out), '--validation', '1', '--leads', '4'],
    ...['--horizon', '5', '--iterations', '9', '--batch', '2', '--validate-every', '1', '--context', '4'],
    ...['--device', 'cpu', '--threads', '1', '--set', 'encoder.width=4', '--set', 'encoder.latent=4'],
    ...['--set', 'predictor.layers=1', '--set', 'predictor.hidden=4', '--set', 'decoder.width=4'],
  ];
  /** Ends with the process, or kills it when so many validations are in the curve. */
  const killed = (out: string, after: number): Promise<void> =>
    new Promise((resolve, reject) => {
      const main = join(process.cwd(), 'dist/src/cli/main.js');
      const child = spawn(process.execPath, [main, ...args(out)], { stdio: 'ignore' });
      const curve = join(home, out, 'validation.jsonl');
      // The checkpoint of this validation is about to be written, or being written.
      const timer = setInterval(() => {
        void readFile(curve, 'utf8').then(
          (text) => {
            if (text.split('\n').length > after) child.kill('SIGKILL');
          },
          () => undefined,
        );
      }, 1);
      child.on('error', reject);
      child.on('close', () => {
        clearInterval(timer);
        resolve();
      });
    });
  await killed('through', Infinity);
  for (const after of [2, 4, 7]) {
    await killed('killed', after);
    const checkpoint = await loadCheckpoint(join(home, 'killed')); // throws for a torn one
    expect(checkpoint?.iteration ?? 0).toBeLessThan(9);
  }
  await killed('killed', Infinity);
  expect(await left('killed')).toEqual(await left('through'));
  expect((await readdir(join(home, 'killed'))).sort()).toEqual([
    'checkpoint.safetensors',
    'forecaster.json',
    'validation.jsonl',
    'weights.safetensors',
  ]);
  // Half a file, as a kill in the middle of writing leaves it, is not taken for the checkpoint.
  await cp(
    join(home, 'killed', 'checkpoint.safetensors'),
    join(home, 'killed', '.checkpoint.safetensors.1-0.tmp'),
  );
  await killed('killed', Infinity);
  expect(await readdir(join(home, 'killed'))).toHaveLength(4);
});
