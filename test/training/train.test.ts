import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { loadForecaster } from '../../src/forecaster/folder.js';
import { readSafetensors } from '../../src/forecaster/safetensors.js';
import type { TrainEvent, TrainOptions, TrainResult } from '../../src/training/options.js';
import { trainSchema } from '../../src/training/options.js';
import { train } from '../../src/training/train.js';
import { framePath, putFrames, saveTiny } from '../support/tiny.js';

let home: string;
let data: string;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'mesocast-train-'));
  data = join(home, 'data');
  for (const seed of [0, 1, 2])
    await putFrames(join(data, `run${seed}`), 0, 12, { seed, extension: '.npy', sampleType: 'float32' });
});
afterAll(() => rm(home, { recursive: true }));

const settings = (out: string, more: Partial<TrainOptions> = {}): TrainOptions =>
  trainSchema.parse({
    data: [data],
    out: join(home, out),
    encoderOptions: { width: 4, latent: 4 },
    predictorOptions: { layers: 1, hidden: 4 },
    decoderOptions: { width: 4 },
    validation: 1,
    context: 3,
    leads: 4,
    horizon: 5,
    iterations: 6,
    batch: 2,
    validateEvery: 3,
    rate: 0.01,
    device: 'cpu',
    threads: 1,
    ...more,
  });
interface Trained {
  readonly result: TrainResult;
  readonly losses: readonly number[];
  readonly events: readonly TrainEvent[];
}
/** @param stopAfter the step after which it is told to stop */
const run = async (options: TrainOptions, stopAfter = Infinity): Promise<Trained> => {
  const stop = new AbortController();
  const events: TrainEvent[] = [];
  const result = await train(
    options,
    (event) => {
      events.push(event);
      if (event.type === 'step' && event.iteration >= stopAfter) stop.abort();
    },
    stop.signal,
  );
  return { result, events, losses: events.flatMap((event) => (event.type === 'step' ? [event.loss] : [])) };
};
const bytes = (out: string, file: string): Promise<Buffer> => readFile(join(home, out, file));
const expectEqualWeights = async (a: string, b: string): Promise<void> => {
  for (const file of ['weights.safetensors', 'checkpoint.safetensors'])
    expect(readSafetensors(await bytes(a, file)).tensors).toEqual(
      readSafetensors(await bytes(b, file)).tensors,
    );
};

test('the same seed gives the same weights; what it writes is a forecaster', async () => {
  const { result, losses, events } = await run(settings('a'));
  expect(result).toMatchObject({ iterations: 6, interrupted: false });
  expect(losses).toHaveLength(6);
  expect(events.flatMap((event) => (event.type === 'validation' ? [event.iteration] : []))).toEqual([3, 6]);
  // The curriculum: further and further.
  expect(events.flatMap((event) => (event.type === 'step' ? [event.leads] : []))).toEqual([1, 1, 2, 4, 4, 4]);
  expect((await run(settings('b'))).losses).toEqual(losses);
  await expectEqualWeights('a', 'b');
  expect((await run(settings('c', { seed: 2 }))).losses).not.toEqual(losses);
  const { settings: written, id } = await loadForecaster(join(home, 'a'));
  expect(written).toMatchObject({
    name: 'forecaster',
    context: 3,
    training: { iterations: 6, validation: { skill: result.skill } },
  });
  expect(id.hash).toBe((await loadForecaster(join(home, 'b'))).id.hash);
});

test.each([1, 3, 4])(
  'stopped after step %i and gone on with, it ends as if it had not been stopped',
  async (stopAfter) => {
    const out = `stopped-${stopAfter}`;
    const first = await run(settings(out), stopAfter);
    expect(first.result).toMatchObject({ iterations: stopAfter, interrupted: true });
    // Who stops it does not wait for a validation that would not have been made there.
    const validated = first.events.flatMap((event) => (event.type === 'validation' ? [event.iteration] : []));
    expect(validated.every((at) => at % settings(out).validateEvery === 0)).toBe(true);
    await loadForecaster(join(home, out)); // usable as it is
    const second = await run(settings(out));
    expect(second.result).toMatchObject({ iterations: 6, interrupted: false });
    const whole = await run(settings(`whole-${stopAfter}`));
    expect([...first.losses, ...second.losses]).toEqual(whole.losses);
    expect(second.result.skill).toEqual(whole.result.skill);
    await expectEqualWeights(out, `whole-${stopAfter}`);
  },
);

test('a forecaster without a checkpoint is not replaced unasked, but for the first that this training saved', async () => {
  const all = (out: string): Promise<Buffer[]> =>
    Promise.all(['forecaster.json', 'weights.safetensors'].map((file) => bytes(out, file)));
  await saveTiny(join(home, 'colleague'));
  const before = await all('colleague');
  await expect(run(settings('colleague'))).rejects.toThrow(
    /has a forecaster and no checkpoint to go on from/,
  );
  expect(await all('colleague')).toEqual(before);
  expect((await run(settings('colleague', { fresh: true }))).result.iterations).toBe(6);
  const withoutCheckpoint = (): Promise<void> => rm(join(home, 'colleague', 'checkpoint.safetensors'));
  await withoutCheckpoint(); // what is there has more than a first save
  await expect(run(settings('colleague'))).rejects.toThrow(/has a forecaster/);
  await run(settings('colleague', { fresh: true }), 2);
  await withoutCheckpoint();
  expect((await run(settings('colleague'))).result.iterations).toBe(6);
});

test('stopped before its first step, it saves nothing', async () => {
  const { iterations, interrupted } = await train(settings('unbegun'), () => undefined, AbortSignal.abort());
  expect({ iterations, interrupted }).toEqual({ iterations: 0, interrupted: true });
  expect(await readdir(join(home, 'unbegun'))).toEqual([]);
});

test('with a bound on memory far below the size of the data the weights are the same', async () => {
  await run(settings('roomy'));
  const frame = 16 * 16 * 4;
  for (const memoryBytes of [5 * frame, 1]) {
    const { events } = await run(settings('tight', { memoryBytes, fresh: true }));
    expect(events[0]).toMatchObject({ message: expect.stringMatching(/read as they are needed/) });
    await expectEqualWeights('tight', 'roomy');
  }
  // A frame that cannot be read is told when it is met; what was done by then is kept.
  const damaged = join(home, 'damaged');
  for (const seed of [0, 1, 2])
    await putFrames(join(damaged, `run${seed}`), 0, 12, { seed, extension: '.npy', sampleType: 'float32' });
  await writeFile(framePath(join(damaged, 'run0'), 9, '.npy'), 'no frame');
  await expect(run(settings('met', { data: [damaged], memoryBytes: 1, iterations: 50 }))).rejects.toThrow(
    /run0.frame_0009\.npy: /,
  );
  await expect(
    run(settings('too-much', { data: [], simulation: 'dendrite', memoryBytes: 10 ** 6 })),
  ).rejects.toThrow(/more than --memory-bytes allows/);
});

test('a number that is missing in a series is a gap: only what lies between gaps is trained on', async () => {
  const gappy = join(home, 'gappy');
  for (const seed of [0, 1]) {
    await putFrames(join(gappy, `run${seed}`), 0, 12, { seed, extension: '.npy', sampleType: 'float32' });
    await rm(framePath(join(gappy, `run${seed}`), 6, '.npy'));
  }
  const { losses } = await run(settings('gappy-out', { data: [gappy], leads: 3, horizon: 3 }));
  expect(losses.every(Number.isFinite)).toBe(true);
  await expect(run(settings('gappy-far', { data: [gappy] }))).rejects.toThrow(
    'no series has the 7 frames that --context 3 and --leads 4 need: the longest has 6 without a gap',
  );
});

test('it learns: the loss of the last steps is below that of the first ones', async () => {
  const { losses } = await run(
    settings('longer', { iterations: 60, leads: 1, validateEvery: 60, rate: 0.02 }),
  );
  const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
  expect(mean(losses.slice(-10))).toBeLessThan(0.8 * mean(losses.slice(0, 10)));
});

test('a damaged checkpoint, and one of other options, are told before anything is read', async () => {
  await run(settings('own'), 1);
  await expect(run(settings('own', { rate: 0.02, data: ['nowhere'] }))).rejects.toThrow(
    'a training with other options',
  );
  await expect(run(settings('own', { seed: 3 }))).rejects.toThrow('a training with other options');
  await expect(run(settings('own', { fresh: true, seed: 3 }))).resolves.toMatchObject({
    result: { iterations: 6 },
  });
  const file = join(home, 'own', 'checkpoint.safetensors');
  await truncate(file, (await readFile(file)).length - 100);
  await expect(run(settings('own', { seed: 3 }))).rejects.toThrow(
    /checkpoint\.safetensors is damaged: .*truncated/,
  );
  await writeFile(file, 'something else');
  await expect(run(settings('own', { seed: 3 }))).rejects.toThrow('is damaged');
});

test('what feeds its latents back is not trained further', async () => {
  await saveTiny(join(home, 'latents'), 1, 1, { feedback: 'latent' });
  const options = trainSchema.parse({ data: [data], out: join(home, 'no'), from: join(home, 'latents') });
  await expect(run(options)).rejects.toThrow(/goes on from its latents cannot be trained further/);
});

test('frames whose size the network does not divide, and data that cannot be used', async () => {
  const odd = join(home, 'odd');
  for (const seed of [0, 1]) await putFrames(join(odd, `run${seed}`), 0, 9, { seed, shape: [13, 18, 1] });
  const { result, losses } = await run(settings('odd-out', { data: [odd], iterations: 2 }));
  expect(losses.every(Number.isFinite)).toBe(true);
  expect(result.skill).toHaveLength(5);

  const refusals: [more: Partial<TrainOptions>, says: RegExp][] = [
    [{ data: [join(home, 'nowhere')] }, /there is no .*nowhere/],
    [{ data: [] }, /give folders of frames, or a simulation by name/],
    [{ data: [join(data, 'run0')] }, /1 series are too few to keep 1 apart/],
    [{ leads: 40 }, /no series has the 43 frames that --context 3 and --leads 40 need: the longest has 12/],
    [{ out: framePath(join(odd, 'run0'), 0) }, /cannot write to .*frame_0000\.png/],
    [{ encoder: 'nosuch' }, /there is no encoder "nosuch"/],
    [{ encoderOptions: { widht: 3 } }, /widht is not known: did you mean "width"/],
  ];
  for (const [more, says] of refusals) await expect(run(settings('refused', more))).rejects.toThrow(says);
});

test('of frames that are larger than --crop it learns from parts, and is judged by the whole', async () => {
  const large = join(home, 'large');
  for (const seed of [0, 1]) await putFrames(join(large, `run${seed}`), 0, 9, { seed, shape: [72, 96, 1] });
  // At this rate the weights all but stay as they are.
  const of = (out: string, crop: number) =>
    run(settings(out, { data: [large], crop, iterations: 3, rate: 1e-12 }));
  const [cut, odd, whole] = [await of('cut', 64), await of('cut-odd', 66), await of('uncut', 96)];
  expect([...cut.losses, ...cut.result.skill].every(Number.isFinite)).toBe(true);
  expect(cut.losses).not.toEqual(whole.losses);
  cut.result.skill.forEach((skill, k) => expect(skill).toBeCloseTo(whole.result.skill[k]!, 5));
  // Parts are as large as the network divides.
  expect(odd.losses).toEqual(cut.losses);
});

test('sizes can be mixed: each clip is of one of them', async () => {
  const wide = join(home, 'wide');
  for (const seed of [0, 1])
    await putFrames(join(wide, `run${seed}`), 0, 9, { seed, shape: [12, 24, 1], extension: '.npy' });
  const mixed = settings('mixed', { data: [wide, data], iterations: 8, leads: 1 });
  const { losses } = await run(mixed);
  expect(losses.every(Number.isFinite)).toBe(true);
  const { losses: again } = await run({ ...mixed, out: join(home, 'mixed-again') });
  expect(again).toEqual(losses);
});

test.each(['scheduled', 'reverse'] as const)(
  'with %s sampling, stopped and gone on with gives the same weights',
  async (sampling) => {
    const options = (out: string): TrainOptions => settings(out, { sampling, noise: 0.01 });
    await run(options(`${sampling}-stopped`), 3);
    const second = await run(options(`${sampling}-stopped`));
    const whole = await run(options(`${sampling}-whole`));
    expect(second.losses).toEqual(whole.losses.slice(3));
    await expectEqualWeights(`${sampling}-stopped`, `${sampling}-whole`);
    const { losses: free } = await run(settings(`${sampling}-free`, { noise: 0.01 }));
    expect(whole.losses[5]).not.toEqual(free[5]);
  },
);

test('with patience it stops when the later leads get no better, and keeps the best', async () => {
  const impatient = settings('impatient', {
    iterations: 40,
    leads: 1,
    validateEvery: 1,
    patience: 3,
    rate: 0.5, // far too high: it gets worse soon
  });
  const { result, events } = await run(impatient);
  expect(result.iterations).toBeLessThan(40);
  expect(result.interrupted).toBe(false);
  const later = events.flatMap((event) =>
    event.type === 'validation' ? [(event.skill[2]! + event.skill[3]! + event.skill[4]!) / 3] : [],
  );
  const best = later.indexOf(Math.max(...later));
  expect(later.length - 1 - best).toBe(3);
  const kept = await loadForecaster(join(home, 'impatient'));
  expect(kept.settings.training['iterations']).toBe(best + 1);
  const { skill } = events.filter((event) => event.type === 'validation')[best]!;
  expect(result.skill).toEqual(skill);
  // Told again, it has nothing to go on with.
  const again = await run(impatient);
  expect([again.losses, again.result.skill]).toEqual([[], skill]);
});

test('--from goes on with another forecaster: its stages, context and weights', async () => {
  await run(settings('teacher'));
  const { losses } = await run(
    trainSchema.parse({
      ...{ data: [data], out: join(home, 'pupil'), from: join(home, 'teacher'), name: 'pupil' },
      ...{ validation: 1, leads: 4, horizon: 5, iterations: 1, batch: 2, rate: 1e-9 },
      ...{ device: 'cpu', threads: 1 },
    }),
  );
  expect(losses).toHaveLength(1);
  const [teacher, pupil] = [
    await loadForecaster(join(home, 'teacher')),
    await loadForecaster(join(home, 'pupil')),
  ];
  expect(pupil.settings).toMatchObject({ name: 'pupil', context: 3, encoder: teacher.settings.encoder });
  for (const [name, { data: values }] of Object.entries(teacher.weights))
    expect(Math.max(...values.map((v, k) => Math.abs(v - (pupil.weights[name]?.data[k] ?? 9))))).toBeLessThan(
      1e-6,
    );
});

test('options of the stages can be given anew where one goes on from a forecaster, if its weights fit', async () => {
  await run(settings('wide'));
  const from = { from: join(home, 'wide'), validation: 1, iterations: 1, batch: 2, leads: 4, horizon: 5 };
  const pupil = (name: string, more: Record<string, unknown>) =>
    trainSchema.parse({ data: [data], out: join(home, name), device: 'cpu', threads: 1, ...from, ...more });
  await run(pupil('bounded', { decoderOptions: { bounds: [0, 1] } }));
  const [before, after] = await Promise.all(
    ['wide', 'bounded'].map((name) => loadForecaster(join(home, name))),
  );
  expect(after?.settings.decoder.options).toEqual({ ...before?.settings.decoder.options, bounds: [0, 1] });
  expect(after?.settings.encoder).toEqual(before?.settings.encoder);
  await expect(run(pupil('other', { encoderOptions: { width: 5 } }))).rejects.toThrow(/weight ".*" is \[/);
});

test('the range of the forecaster that one goes on from holds where frames fit it, as when it forecasts', async () => {
  await saveTiny(join(home, 'unit'), 1, 10, { range: [0, 1] });
  for (const seed of [0, 1, 2]) {
    await putFrames(join(home, 'png', `run${seed}`), 0, 12, { seed, sampleType: 'uint16' });
    await putFrames(join(home, 'npy', `run${seed}`), 0, 12, {
      ...{ seed, extension: '.npy', sampleType: 'float32' },
    });
  }
  const pupil = (from: string, out: string) =>
    trainSchema.parse({
      ...{ data: [join(home, from)], out: join(home, out), from: join(home, 'unit'), validation: 1 },
      ...{ leads: 4, horizon: 5, iterations: 2, batch: 2, device: 'cpu', threads: 1 },
    });
  const [png, npy] = [await run(pupil('png', 'of-png')), await run(pupil('npy', 'of-npy'))];
  // 16 bits on the full scale hold the same composition of 0 to 1.
  png.losses.forEach((loss, k) => expect(loss / npy.losses[k]!).toBeCloseTo(1, 2));
  expect((await loadForecaster(join(home, 'of-png'))).settings.range).toEqual([0, 1]);
});

test('a declared range is the forecaster’s own', async () => {
  await run(settings('ranged', { iterations: 1, range: [0, 2] }));
  expect((await loadForecaster(join(home, 'ranged'))).settings.range).toEqual([0, 2]);
});

test('symmetries are those that are given, or of the forecaster that one goes on from', async () => {
  const symmetriesOf = async (name: string, more: Partial<TrainOptions>): Promise<string | undefined> => {
    await run({ ...settings(name, { iterations: 1 }), ...more });
    return (await loadForecaster(join(home, name))).settings.symmetries;
  };
  expect(await symmetriesOf('turned', {})).toBeUndefined();
  expect(await symmetriesOf('upright', { symmetries: 'left-right' })).toBe('left-right');
  const from = join(home, 'upright');
  expect(await symmetriesOf('its-pupil', { from })).toBe('left-right');
  expect(await symmetriesOf('turned-pupil', { from, symmetries: 'all' })).toBeUndefined();
});

test('with a stride it learns from every n-th frame', async () => {
  const notes = await run(settings('strided', { stride: 2, leads: 1, horizon: 1, context: 3 }));
  expect(notes.events[0]).toMatchObject({ message: expect.stringMatching(/4 series, 2 kept apart/) });
  await expect(run(settings('strided-far', { stride: 2, leads: 5 }))).rejects.toThrow(
    /no series has the 2 times 8 frames/,
  );
});

test('a simulation by name: as many series as asked for, the same each time', async () => {
  const simulated = {
    data: [],
    simulation: 'dendrite',
    simulationOptions: { height: 16, width: 16 },
    series: 2,
    frames: 8,
    iterations: 1,
  };
  const { events, losses } = await run(settings('simulated', simulated));
  expect(events[0]).toEqual({
    type: 'notice',
    message: 'simulating 3 series of 8 frames (dendrite, seeds 1000 to 1002)',
  });
  expect((await run(settings('simulated-again', simulated))).losses).toEqual(losses);
});
