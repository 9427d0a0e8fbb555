import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import ort from 'onnxruntime-node';
import { parametersOf, toldParameters } from '../../src/cli/parameter-options.js';
import { evaluate } from '../../src/evaluation/evaluate.js';
import type { Manifest } from '../../src/forecaster/export.js';
import { loadForecaster } from '../../src/forecaster/folder.js';
import { writeAtomically } from '../../src/pipeline/atomic.js';
import { codecForExtension } from '../../src/pipeline/plugins/registry.js';
import { trainSchema } from '../../src/training/options.js';
import { train } from '../../src/training/train.js';
import { mesocast } from '../support/cli.js';
import { largestDifference } from '../support/forecast-with.js';
import { forecastValues, record, smallRun } from '../support/runs.js';
import { framePath, readNpy } from '../support/tiny.js';

const [SIDE, STEP] = [8, 0.1];
let home: string;
const at = (...path: string[]): string => join(home, ...path);

/**
 * Four frames: a field that rises or falls once, as it happens, then twice as the run's drive says. The two frames that
 * are given say nothing of that.
 */
const putRun = async (folder: string, seed: number, drive: number, told = true): Promise<void> => {
  await mkdir(folder, { recursive: true });
  if (told) await writeFile(join(folder, 'parameters.json'), JSON.stringify({ drive, alloy: 'Al-4Cu' }));
  const codec = await codecForExtension('.npy');
  for (let t = 0; t < 4; t++) {
    const happened = t === 0 ? 0 : seed % 4 < 2 ? STEP : -STEP;
    const moved = happened + Math.max(0, t - 1) * STEP * (drive > 5 ? 1 : -1);
    const data = Float32Array.from(
      { length: SIDE * SIDE },
      (_, k) => 0.5 + 0.15 * Math.sin(seed + k * 0.7) + moved,
    );
    const bytes = await codec.encode({ shape: [SIDE, SIDE, 1], data, sampleType: 'float32' });
    await writeAtomically(framePath(folder, t, '.npy'), bytes);
  }
};

interface Listening {
  readonly emit?: Parameters<typeof train>[1];
  readonly signal?: AbortSignal;
}
const learn = (
  out: string,
  told: readonly string[],
  data = [at('runs')],
  { emit = () => undefined, signal = new AbortController().signal }: Listening = {},
) =>
  train(
    trainSchema.parse({
      data,
      out: at(out),
      encoder: 'patch',
      encoderOptions: { patch: 2 },
      predictor: 'resnet',
      predictorOptions: { blocks: 1, channels: 8 },
      decoder: 'patch',
      parameters: told.map((name) => ({ name })),
      range: [0, 1],
      context: 2,
      leads: 2,
      horizon: 2,
      validation: 2,
      iterations: 150,
      validateEvery: 150,
      rate: 0.01,
      device: 'cpu',
      threads: 1,
    }),
    emit,
    signal,
  );

const judge = (
  forecaster: string,
  data: string,
  parameters = {},
  notice: (line: string) => void = () => undefined,
) =>
  evaluate({
    ...{ forecaster: at(forecaster), data: [at(data)], parameters, notice },
    ...{ context: 2, horizon: 2, stride: 1, every: 1, device: 'cpu', threads: 1 },
  });

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'mesocast-parameters-'));
  for (let seed = 0; seed < 10; seed++) await putRun(at('runs', `run${seed}`), seed, seed % 2 === 0 ? 2 : 8);
  await putRun(at('up'), 20, 8);
  await putRun(at('untold'), 20, 8, false);
  for (let seed = 21; seed < 24; seed++) await putRun(at('alike', `run${seed}`), seed, 8);
  await learn('told', ['drive']);
});
afterAll(() => rm(home, { recursive: true }));

test('a network that is told how runs are driven forecasts what one that is not cannot know', async () => {
  const { settings } = await loadForecaster(at('told'));
  expect(settings.parameters).toEqual([{ name: 'drive', low: 2, high: 8 }]);
  const { skill } = await learn('not-told', []);
  expect(Math.min(...(await judge('told', 'runs')).skill)).toBeGreaterThan(0.8);
  expect(Math.max(...skill)).toBeLessThan(0.3);
  // What the user says counts more than the file.
  expect((await judge('told', 'up', { drive: 2 })).mean_skill).toBeLessThan(-0.5);
});

test('what is not known of a series, and what nobody asks for, is an error that says what to do', async () => {
  await expect(judge('told', 'untold')).rejects.toMatchObject({
    message: 'the forecaster is told "drive", which is not known of this series',
    hint: `give --parameter drive=VALUE, or write it into ${at('untold', 'parameters.json')}: { "drive": VALUE }`,
  });
  await expect(judge('told', 'untold', { drive: 8 })).resolves.toMatchObject({ windows: 1 });
  await expect(judge('told', 'up', { drvie: 8 })).rejects.toThrow('told no such parameter');
  await expect(learn('x', ['temperature'])).rejects.toThrow(
    '"temperature", which is not known of this series',
  );
  await expect(learn('x', ['drive'], [at('alike')])).rejects.toThrow('is 8 in all series');
  // What is learned from is not to be judged by as well.
  await expect(learn('x', ['drive'], [at('runs', 'run3'), at('runs')])).rejects.toThrow(
    'would be read twice',
  );
  await mkdir(at('wrong'), { recursive: true });
  await putRun(at('wrong'), 1, 8);
  await writeFile(at('wrong', 'parameters.json'), '{ "drive": "strong" }');
  await expect(judge('told', 'wrong')).rejects.toThrow('"drive" is "strong", not a number');
  await writeFile(at('wrong', 'parameters.json'), '{ "drive": ');
  await expect(judge('told', 'wrong')).rejects.toThrow('is not JSON');
});

test('beside a file of several frames lies one with its name', async () => {
  await mkdir(at('stack'), { recursive: true });
  const frames = await Promise.all([0, 1, 2, 3].map((t) => readNpy(framePath(at('up'), t, '.npy'))));
  const head =
    `{'descr': '<f4', 'fortran_order': False, 'shape': (4, ${SIDE}, ${SIDE}, 1), }`.padEnd(117) + '\n';
  const magic = Buffer.from([0x93, ...Buffer.from('NUMPY'), 1, 0, head.length, 0]);
  const values = frames.map((frame) => Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength));
  await writeFile(at('stack', 'run.npy'), Buffer.concat([magic, Buffer.from(head), ...values]));
  await expect(judge('told', 'stack')).rejects.toMatchObject({
    hint: expect.stringContaining(at('stack', 'run.parameters.json')) as unknown,
  });
  await writeFile(at('stack', 'run.parameters.json'), '{ "drive": 8 }');
  expect((await judge('told', 'stack')).mean_skill).toBeCloseTo((await judge('told', 'up')).mean_skill, 5);
});

test('a training that is gone on with keeps the ranges that it began with, whatever series have come since', async () => {
  for (let seed = 0; seed < 5; seed++) await putRun(at('grows', `run${seed}`), seed, seed % 2 === 0 ? 2 : 8);
  const stop = new AbortController();
  const emit: Listening['emit'] = ({ type }) => type === 'step' && stop.abort();
  await learn('ranged', ['drive'], [at('grows')], { emit, signal: stop.signal });
  await putRun(at('grows', 'run5'), 5, 14);
  const notices: string[] = [];
  await learn('ranged', ['drive'], [at('grows')], {
    emit: (event) => event.type === 'notice' && notices.push(event.message),
  });
  expect(notices).toContainEqual(expect.stringMatching(/^going on from step 1 /));
  expect((await loadForecaster(at('ranged'))).settings.parameters).toEqual([
    { name: 'drive', low: 2, high: 8 },
  ]);
});

test('values beyond those of training are told once for each series', async () => {
  const notices: string[] = [];
  await judge('told', 'up', { drive: 9 }, (line) => notices.push(line));
  expect(notices).toEqual([
    `${at('up')}: drive is 9, the forecaster knows 2 to 8: its forecasts extrapolate`,
  ]);
});

/** Mean of the last lead minus that of the last frame: where the field goes. */
const direction = (values: Float32Array): number => {
  const lead = values.subarray(SIDE * SIDE, 2 * SIDE * SIDE);
  return lead.reduce((a, b) => a + b, 0) / lead.length - 0.5;
};

/** `mesocast forecast` from the first two frames of a run that has no parameters.json. */
const forecast = async (...args: string[]) =>
  mesocast([
    ...['forecast', framePath(at('untold'), 1, '.npy'), '--forecaster', at('told'), '--device', 'cpu'],
    ...['--context', '2', '--horizon', '2', '--format', 'npy', ...args],
  ]);

test('mesocast forecast tells it too', async () => {
  for (const [drive, sign] of [
    [2, -1],
    [8, 1],
  ] as const) {
    const ran = await forecast('--out', at(`once-${drive}`), '--parameter', `drive=${drive}`);
    expect(ran.stderr).toBe('');
    const [values = new Float32Array()] = (await forecastValues(at(`once-${drive}`))).values();
    expect(Math.sign(direction(values))).toBe(sign);
  }
  expect((await forecast('--out', at('once'))).stderr).toContain('give --parameter drive=VALUE');
});

test('mesocast attach tells it of each series its own', async () => {
  for (const [name, drive] of [
    ['a', 2],
    ['b', 8],
  ] as const)
    await putRun(at('live', name), 3, drive);
  await putRun(at('live', 'c'), 3, 8, false);
  const run = await record(
    smallRun({ directory: at('live'), out: at('out'), forecaster: at('told'), context: 2, horizon: 2 }),
  );
  const { frames, notices } = await run.finished;
  const values = await forecastValues(at('out'));
  expect(direction(values.get('live/a 1') ?? new Float32Array())).toBeLessThan(-0.1);
  expect(direction(values.get('live/b 1') ?? new Float32Array())).toBeGreaterThan(0.1);
  expect(frames.filter(({ series }) => series === 'live/c').map(({ outcome }) => outcome)).toEqual(
    Array(4).fill('rejected'),
  );
  expect(notices.join()).toContain(`write it into ${at('live', 'c', 'parameters.json')}`);
});

test('flags are numbers by name, or names with ranges', () => {
  const said = (...parameter: string[]) => ({ parameter });
  expect(parametersOf(said('t=900', 'x=-1e-3'))).toEqual({ t: 900, x: -0.001 });
  for (const wrong of ['t', 't=', 't=hot', '=3'])
    expect(() => parametersOf(said(wrong))).toThrow(`--parameter ${wrong}: not of the form NAME=VALUE`);
  expect(() => parametersOf(said('t=1', 't=2'))).toThrow('given twice');
  expect(toldParameters(said('t', 'x=-1:2'))).toEqual([{ name: 't' }, { name: 'x', low: -1, high: 2 }]);
  for (const wrong of ['t=3', 't=3:1', '=3:4', 't=a:b', 't=:4', 't=1:2:3'])
    expect(() => toldParameters(said(wrong))).toThrow('not of the form NAME or NAME=LOW:HIGH');
  expect(() => toldParameters(said('t', 't=1:2'))).toThrow('given twice');
});

test('exported files take the scalars: the roll-out beside the frames, the encoder as channels', async () => {
  await mesocast(['export', at('told'), '--out', at('onnx'), '--size', `${SIDE}`, '--leads', '2']);
  const manifest = JSON.parse(await readFile(at('onnx', 'manifest.json'), 'utf8')) as Manifest;
  expect(manifest.parameters).toEqual([{ name: 'drive', low: 2, high: 8 }]);
  const shapes = Object.fromEntries(manifest.files.map(({ file, inputs }) => [file, inputs]));
  expect(shapes['rollout.onnx']).toContainEqual({ name: 'parameters', shape: [1, 1] });
  expect(shapes['encoder.onnx']).toContainEqual({ name: 'frame', shape: [1, 2, SIDE, SIDE] });
  const given = [0, 1].map((t) => readNpy(framePath(at('untold'), t, '.npy')));
  const frames = Float32Array.from((await Promise.all(given)).flatMap((field) => [...field]));
  const session = await ort.InferenceSession.create(at('onnx', 'rollout.onnx'));
  const { forecast: rolled } = await session.run({
    frames: new ort.Tensor('float32', frames, [1, 2, 1, SIDE, SIDE]),
    parameters: new ort.Tensor('float32', [(5 - 2) / (8 - 2)], [1, 1]),
  });
  await forecast('--out', at('between'), '--parameter', 'drive=5');
  const [values = new Float32Array()] = (await forecastValues(at('between'))).values();
  expect(largestDifference([rolled?.data as Float32Array], [values])).toBeLessThan(1e-5);

  // Stage by stage, as a forecaster whose stages are these files.
  const { settings } = await loadForecaster(at('told'));
  const [encoder, predictor, decoder] = ['encoder', 'predictor', 'decoder'].map((stage) => ({
    name: `${stage}.onnx`,
  }));
  const json = { ...settings, encoder, predictor, decoder };
  await writeFile(at('onnx', 'forecaster.json'), JSON.stringify(json));
  const [own, other] = [await judge('told', 'runs'), await judge('onnx', 'runs')];
  expect(other.mean_skill).toBeCloseTo(own.mean_skill, 5);
});

test('simulations write what their runs are made from, and can be trained on by name', async () => {
  await mesocast([
    'simulate',
    'spinodal',
    '--out',
    at('made'),
    '--count',
    '2',
    '--frames',
    '1',
    '--size',
    '8',
  ]);
  const of = async (k: number) =>
    JSON.parse(await readFile(at('made', `series_00${k}`, 'parameters.json'), 'utf8')) as Record<
      string,
      number
    >;
  expect((await of(0))['composition']).not.toBe((await of(1))['composition']);
  expect(await of(1)).toMatchObject({ mobility: 1, stepsPerFrame: 150 });
  const options = trainSchema.parse({
    ...{
      simulation: 'spinodal',
      simulationOptions: { height: 8, width: 8, stepsBefore: 10, stepsPerFrame: 2 },
    },
    ...{ out: '', series: 3, validation: 1, frames: 6, context: 2, leads: 2, horizon: 2 },
    ...{ encoderOptions: { width: 4, latent: 4 }, predictorOptions: { layers: 1, hidden: 4 } },
    ...{ decoderOptions: { width: 4 }, iterations: 1, device: 'cpu', threads: 1 },
  });
  const ran = (name: string) =>
    train(
      { ...options, out: at(name), parameters: [{ name }] },
      () => undefined,
      new AbortController().signal,
    );
  await ran('composition');
  const [told] = (await loadForecaster(at('composition'))).settings.parameters ?? [];
  expect(told).toMatchObject({ name: 'composition' });
  expect(told!.low).toBeGreaterThan(0.3);
  expect(told!.high).toBeLessThan(0.7);
  await expect(ran('compositon')).rejects.toMatchObject({ hint: 'did you mean "composition"?' });
  // A direction, which clips are flipped and turned without.
  const dendrites = { ...options, simulation: 'dendrite', simulationOptions: { height: 16, width: 16 } };
  await expect(
    train(
      { ...dendrites, out: at('turned'), parameters: [{ name: 'orientation' }] },
      () => undefined,
      new AbortController().signal,
    ),
  ).rejects.toThrow('the parameter "orientation" is not known of dendrite-1000');
});
