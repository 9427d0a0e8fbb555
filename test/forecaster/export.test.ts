import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import ort from 'onnxruntime-node';
import { fieldsOf, partsOf, stringOf } from '../../src/engine/onnx/fields.js';
import type { Manifest } from '../../src/forecaster/export.js';
import { saveForecaster } from '../../src/forecaster/folder.js';
import { codecForExtension } from '../../src/pipeline/plugins/registry.js';
import { largestDifference } from '../support/forecast-with.js';
import { mesocast } from '../support/cli.js';
import { movingField, putFrames, readNpy, tinyForecaster } from '../support/tiny.js';

const [H, W, CONTEXT, LEADS] = [16, 24, 4, 5];
/** A Python that has onnx, onnxruntime and numpy. */
const PYTHON = process.env['PEER_PYTHON'];

let home: string;
let out: string;
let manifest: Manifest;
let expected: Float32Array;
const frames = Array.from({ length: CONTEXT }, (_, t) => movingField(t, [H, W, 1]));

/** The forecaster's files, and what `mesocast forecast` makes of four frames. */
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'mesocast-export-'));
  out = join(home, 'out');
  const own = join(home, 'own');
  await saveForecaster(own, await tinyForecaster(3, 10, { boundary: 'periodic' }));
  await putFrames(join(home, 'frames'), 0, CONTEXT, {
    shape: [H, W, 1],
    extension: '.npy',
    sampleType: 'float32',
  });
  const exported = await mesocast([
    'export',
    own,
    '--out',
    out,
    '--size',
    `${H}x${W}`,
    '--leads',
    String(LEADS),
    '--json',
  ]);
  expect(exported.stderr).toBe('');
  manifest = JSON.parse(await readFile(join(out, 'manifest.json'), 'utf8')) as Manifest;
  expect(JSON.parse(exported.stdout)).toEqual({ out, ...manifest });
  await mesocast([
    'forecast',
    join(home, 'frames'),
    '--forecaster',
    own,
    '--out',
    join(home, 'forecast'),
    '--format',
    'npy',
    ...['--horizon', String(LEADS), '--context', String(CONTEXT), '--range', '0', '1', '--device', 'cpu'],
  ]);
  const file =
    (await readdir(join(home, 'forecast'), { recursive: true })).find((name) => name.endsWith('.npy')) ?? '';
  expected = await readNpy(join(home, 'forecast', file));
});
afterAll(() => rm(home, { recursive: true }));

const open = (name: string): Promise<ort.InferenceSession> =>
  ort.InferenceSession.create(join(out, name), { logSeverityLevel: 3 });
const tensor = (data: Float32Array, ...shape: number[]): ort.Tensor => new ort.Tensor('float32', data, shape);

test('the roll-out forecasts what `mesocast forecast` does', async () => {
  const session = await open('rollout.onnx');
  const given = new Float32Array(CONTEXT * H * W);
  frames.forEach((frame, t) => given.set(frame, t * H * W));
  const { forecast } = await session.run({ frames: tensor(given, 1, CONTEXT, 1, H, W) });
  expect(forecast?.dims).toEqual([1, LEADS, 1, H, W]);
  expect(expected).toHaveLength(LEADS * H * W);
  expect(largestDifference([forecast?.data as Float32Array], [expected])).toBeLessThan(2e-6);
  await session.release();
});

test('so do the stages, called as the manifest says', async () => {
  const [encoder, predictor, decoder] = [
    await open('encoder.onnx'),
    await open('predictor.onnx'),
    await open('decoder.onnx'),
  ];
  let states: Record<string, ort.Tensor> = Object.fromEntries(
    (manifest.files[1]?.inputs ?? [])
      .filter(({ name }) => name.startsWith('state'))
      .map(({ name, shape }) => [name, tensor(new Float32Array(shape.reduce((a, b) => a * b, 1)), ...shape)]),
  );
  expect(Object.keys(states)).toEqual(['state_0', 'state_1']);
  const step = async (frame: ort.Tensor, previous: ort.Tensor) => {
    const { latent, skip_0 } = await encoder.run({ frame, previous });
    const { next_latent, ...next } = await predictor.run({ latent: latent as ort.Tensor, ...states });
    states = Object.fromEntries(
      Object.entries(next).map(([name, state]) => [name.replace('next_', ''), state]),
    );
    return { latent: next_latent as ort.Tensor, skip_0: skip_0 as ort.Tensor };
  };
  const picture = (data: Float32Array): ort.Tensor => tensor(data, 1, 1, H, W);
  let [before, now] = [picture(frames[0] as Float32Array), picture(frames[0] as Float32Array)];
  let memory = await step(now, before);
  for (const frame of frames.slice(1)) {
    [before, now] = [now, picture(frame)];
    memory = await step(now, before);
  }
  const rolled: Float32Array[] = [];
  for (let lead = 1; lead <= LEADS; lead++) {
    const { next_frame } = await decoder.run({ ...memory, frame: now, previous: before });
    const [low, high] = manifest.limits;
    const held = (next_frame?.data as Float32Array).map((value) => Math.min(high, Math.max(low, value)));
    rolled.push(held);
    [before, now] = [now, picture(held)];
    memory = await step(now, before);
  }
  const leads = rolled.map((_, l) => expected.subarray(l * H * W, (l + 1) * H * W));
  expect(largestDifference(rolled, leads)).toBeLessThan(2e-6);
  for (const session of [encoder, predictor, decoder]) await session.release();
});

test('files say what they are, name their weights, and use standard operators only', async () => {
  const { id } = await tinyForecaster(3, 10, { boundary: 'periodic' });
  for (const { file, inputs, outputs } of manifest.files) {
    const session = await open(file);
    expect(session.inputNames).toEqual(inputs.map(({ name }) => name));
    expect(session.outputNames).toEqual(outputs.map(({ name }) => name));
    await session.release();
    const fields = fieldsOf(await readFile(join(out, file)));
    const metadata = partsOf(fields, 14).map((entry) => [
      stringOf(fieldsOf(entry), 1),
      stringOf(fieldsOf(entry), 2),
    ]);
    expect(Object.fromEntries(metadata)).toMatchObject({
      ...{
        forecaster: 'tiny',
        hash: id.hash,
        context: '4',
        boundary: 'periodic',
        layout: 'NCHW',
        limits: '-0.5,1.5',
      },
    });
    const graph = fieldsOf(partsOf(fields, 7)[0] as Uint8Array);
    expect(new Set(partsOf(graph, 1).map((node) => stringOf(fieldsOf(node), 7)))).toEqual(new Set(['']));
    const weights = partsOf(graph, 5).map((initialiser) => stringOf(fieldsOf(initialiser), 8));
    const stage = file === 'rollout.onnx' ? '' : file.replace('.onnx', '.');
    const named = ['encoder.half.weight', 'predictor.layer0.weight', 'decoder.frame.bias'].filter((name) =>
      name.startsWith(stage),
    );
    expect(weights).toEqual(expect.arrayContaining(named));
  }
});

test('a size that the encoder cannot halve, or none at all, is refused', async () => {
  const size = (value: string) => mesocast(['export', join(home, 'own'), '--out', out, '--size', value]);
  expect(await size('30x32')).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/30x32 do not fit tiny \(height and width have to be multiples of 4\)/),
  });
  expect(await size('large')).toMatchObject({ code: 2, stderr: expect.stringMatching(/--size/) });
});

const withPython = PYTHON === undefined || PYTHON === '' ? test.skip : test;
withPython(
  "Python's onnx accepts the files and its onnxruntime reproduces the forecast (skipped unless PEER_PYTHON names a Python with onnx, onnxruntime, numpy)",
  async () => {
    const npy = await codecForExtension('.npy');
    const stack = async (name: string, data: Float32Array): Promise<void> => {
      const bytes = await npy.encodeStack?.([data.length / (H * W), H, W, 1], data);
      await writeFile(join(out, name), bytes ?? Buffer.alloc(0));
    };
    const given = new Float32Array(CONTEXT * H * W);
    frames.forEach((frame, t) => given.set(frame, t * H * W));
    await stack('frames.npy', given);
    await stack('forecast.npy', expected);
    const { stdout, stderr } = spawnSync(PYTHON ?? '', ['test/forecaster/export.py', out], {
      encoding: 'utf8',
    });
    expect(stderr).toBe('');
    const worst = JSON.parse(stdout) as Record<string, number>;
    expect(Object.keys(worst)).toEqual(['rollout', 'stages']);
    for (const difference of Object.values(worst)) expect(difference).toBeLessThan(5e-6);
  },
);
