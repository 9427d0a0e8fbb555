import { afterAll, beforeAll, expect, test } from '@jest/globals';
import {
  openEngine,
  type Engine,
  type Handle,
  type HostTensor,
  type Program,
} from '../../src/engine/index.js';
import type { Forecaster } from '../../src/forecaster/forecaster.js';
import { createRunner, type StateHandles } from '../../src/forecaster/programs.js';
import type { FrameShape } from '../../src/pipeline/frame.js';
import { initialSlots } from '../../src/training/optimiser.js';
import { debiases, slotName, trainSpecs, trainStep, type ClipShape } from '../../src/training/train-step.js';
import { movingField, tinyForecaster } from '../support/tiny.js';

const FRAME: FrameShape = [16, 16, 1];
const SHAPE: ClipShape = { batch: 2, context: 4, leads: 3, frame: FRAME };
const SIZE = 16 * 16;
/** Frames of two series, time first. */
const FRAMES = Array.from({ length: 7 }, (_, t) =>
  [0, 1].map((seed) => movingField(t + 3 * seed, FRAME, 1, seed)),
);

let engine: Engine;
let forecaster: Forecaster;
let program: Program;
let names: string[];
beforeAll(async () => {
  engine = await openEngine('cpu', 1, () => undefined);
  forecaster = await tinyForecaster(3, 16);
  names = Object.keys(forecaster.weights).sort();
  program = await engine.compile(
    trainStep(forecaster.network, names, SHAPE),
    trainSpecs(forecaster.weights, SHAPE),
  );
});
afterAll(() => engine.dispose());

type Slots = Record<string, Handle | HostTensor>;
const scalar = (value: number): HostTensor => ({ shape: [], dtype: 'float32', data: Float32Array.of(value) });
/** All frames, as the first input of a step. */
const clip = (frames: readonly (readonly Float32Array[])[] = FRAMES): HostTensor => {
  const data = new Float32Array(FRAMES.length * 2 * SIZE);
  frames.flat().forEach((frame, k) => data.set(frame, k * SIZE));
  return { shape: [FRAMES.length, 2, ...FRAME], dtype: 'float32', data };
};
const begin = (): Slots =>
  Object.fromEntries(
    Object.entries(initialSlots(forecaster.weights)).map(([name, { shape, data }]) => [
      name,
      { shape, data, dtype: 'float32' as const },
    ]),
  );
const step = async (slots: Slots, { t = 1, rate = 0, decay = 0, by = program } = {}) => {
  const { debias1, debias2 } = debiases(t);
  const { loss, gradient, ...next } = await by.run({
    clip: clip(),
    ...{ rate: scalar(rate), debias1: scalar(debias1), debias2: scalar(debias2), decay: scalar(decay) },
    ...slots,
  });
  const number = async (handle: Handle | undefined) => (await engine.read(handle!)).data[0] as number;
  return { loss: await number(loss), gradient: await number(gradient), next };
};
const read = async (slots: Slots, slot: 'weight' | 'mean' | 'square' | 'average', name: string) => {
  const held = slots[slotName(slot, name)]!;
  return 'data' in held ? held.data : (await engine.read(held)).data;
};

/** MSE over that of the last frame, as the loss has it. */
const relative = (predicted: ArrayLike<number>, truth: Float32Array, last: Float32Array): number => {
  let [error, still] = [0, 0];
  for (let i = 0; i < SIZE; i++) {
    error += (predicted[i]! - truth[i]!) ** 2 / SIZE;
    still += (last[i]! - truth[i]!) ** 2 / SIZE;
  }
  return error / (still + 1e-5);
};
const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

test('the loss is that of the forecasts which the weights make: four parts the leads, one part inside the context', async () => {
  const runner = createRunner(forecaster, engine);
  const [inside, ahead] = [[], []] as [number[], number[]];
  for (const series of [0, 1]) {
    let state: StateHandles | undefined;
    for (let t = 0; t < SHAPE.context; t++) {
      const [frame, previous] = [FRAMES[t]![series]!, FRAMES[Math.max(0, t - 1)]![series]!];
      [state] = await runner.observe(FRAME, [{ frame, previous, state }]);
      const leads = t === SHAPE.context - 1 ? SHAPE.leads : 1;
      const rolled = await runner.rollOut(FRAME, [{ frame, previous, state }], leads);
      const { data } = await engine.read(rolled);
      for (let lead = 1; lead <= leads; lead++) {
        const predicted = data.slice((lead - 1) * SIZE, lead * SIZE);
        const error = relative(predicted, FRAMES[t + lead]![series]!, frame);
        // What is expected of the first frame alone does not count: it shows no motion.
        if (t === SHAPE.context - 1) ahead.push(error);
        else if (t > 0) inside.push(error);
      }
    }
  }
  await runner.dispose();
  const { loss } = await step(begin());
  expect(Math.abs(mean(ahead) / mean(inside) - 1)).toBeGreaterThan(0.05); // else the shares would not show
  expect(Math.abs(loss / (0.8 * mean(ahead) + 0.2 * mean(inside)) - 1)).toBeLessThan(1e-4);
});

/** Means over the four blocks of a frame: of values x, of x (1 - x), of the gradient. */
const overBlocks = (frame: ArrayLike<number>): number[][] => {
  const value = (row: number, column: number): number =>
    frame[16 * Math.min(row, 15) + Math.min(column, 15)]!;
  const means = Array.from({ length: 3 }, () => [0, 0, 0, 0]);
  for (let row = 0; row < 16; row++)
    for (let column = 0; column < 16; column++) {
      const own = value(row, column);
      const slope = Math.hypot(value(row + 1, column) - own, value(row, column + 1) - own, 1e-2);
      const block = 2 * Math.floor(row / 8) + Math.floor(column / 8);
      [own, own * (1 - own), slope].forEach((one, k) => (means[k]![block]! += one / 64));
    }
  return means;
};

test('after a roll-in the loss is that of the leads behind it, over blocks and over frames', async () => {
  const shape: ClipShape = { ...SHAPE, context: 3, rollIn: 2, leads: 2 };
  const behind = await engine.compile(
    trainStep(forecaster.network, names, shape),
    trainSpecs(forecaster.weights, shape),
  );
  const runner = createRunner(forecaster, engine);
  const errors: number[] = [];
  for (const series of [0, 1]) {
    let state: StateHandles | undefined;
    const given = (t: number) => ({
      frame: FRAMES[t]![series]!,
      previous: FRAMES[Math.max(0, t - 1)]![series]!,
    });
    for (let t = 0; t < 3; t++) [state] = await runner.observe(FRAME, [{ ...given(t), state }]);
    const { data } = await engine.read(await runner.rollOut(FRAME, [{ ...given(2), state }], 4));
    const last = overBlocks(FRAMES[2]![series]!);
    for (const lead of [3, 4]) {
      const predicted = overBlocks(data.slice((lead - 1) * SIZE, lead * SIZE));
      const truth = overBlocks(FRAMES[2 + lead]![series]!);
      truth.forEach((real, k) => {
        const square = (of: number[][]): number => mean(of[k]!.map((one, b) => (one - real[b]!) ** 2));
        const off = mean(predicted[k]!) - mean(real);
        errors.push((square(predicted) + 8 * off ** 2) / (square(last) + 1e-5));
      });
    }
  }
  const { loss, gradient } = await step(begin(), { by: behind });
  await Promise.all([runner.dispose(), behind.dispose()]);
  expect(Math.abs(loss / mean(errors) - 1)).toBeLessThan(1e-3);
  expect(gradient).toBeGreaterThan(0);
});

test.each([0, 2])(
  'of parts of frames, what is not counted counts nowhere, the rest as in whole frames; roll-in %i',
  async (rollIn) => {
    const whole: ClipShape = { ...SHAPE, context: 3, leads: 2, rollIn };
    const part: ClipShape = { ...whole, isPart: true };
    const length = 5 + rollIn;
    const compiled = async (shape: ClipShape) =>
      engine.compile(trainStep(forecaster.network, names, shape), trainSpecs(forecaster.weights, shape));
    const [byWhole, byPart] = [await compiled(whole), await compiled(part)];
    const cut = (of: HostTensor): HostTensor => ({
      shape: [length, 2, ...FRAME],
      dtype: 'float32',
      data: of.data.slice(0, length * 2 * SIZE),
    });
    const counting = (counts: (row: number) => number): HostTensor => ({
      shape: [1, 2, 16, 16, 1],
      dtype: 'float32',
      data: Float32Array.from({ length: 2 * SIZE }, (_, k) => counts(Math.floor(k / 16) % 16)),
    });
    const lossOf = async (by: Program, more: Slots): Promise<number> =>
      (await step({ ...begin(), ...more }, { by })).loss;
    const all = cut(clip());
    const loss = await lossOf(byWhole, { clip: all });
    expect(await lossOf(byPart, { clip: all, counted: counting(() => 1) })).toBeCloseTo(loss, 5);
    const half = counting((row) => (row < 8 ? 1 : 0));
    const ofHalf = await lossOf(byPart, { clip: all, counted: half });
    expect(Math.abs(ofHalf / loss - 1)).toBeGreaterThan(0.01);
    // Of the leads other values below row 8 change the loss of whole frames alone.
    const changed = cut(
      clip(
        FRAMES.map((both, t) =>
          both.map((frame) => frame.map((v, k) => (t >= 3 && k >= 9 * 16 ? 1 - v : v))),
        ),
      ),
    );
    expect(await lossOf(byPart, { clip: changed, counted: half })).toBeCloseTo(ofHalf, 5);
    expect(Math.abs((await lossOf(byWhole, { clip: changed })) / loss - 1)).toBeGreaterThan(0.01);
    await Promise.all([byWhole.dispose(), byPart.dispose()]);
  },
);

test('its gradient is that of finite differences', async () => {
  const slots = begin();
  const { gradient, next } = await step(slots);
  let squares = 0;
  const steepest: { name: string; k: number; slope: number }[] = [];
  for (const name of names) {
    const moments = await read(next, 'mean', name);
    let [k, slope] = [0, 0];
    moments.forEach((value, at) => {
      const g = value / 0.1;
      squares += g ** 2;
      if (Math.abs(g) > Math.abs(slope)) [k, slope] = [at, g];
    });
    steepest.push({ name, k, slope });
  }
  // Gradients that are longer than 1 are cut to that.
  expect(Math.sqrt(squares)).toBeCloseTo(Math.min(1, gradient), 3);
  const scale = Math.min(1, 1 / gradient);
  for (const { name, k, slope } of steepest
    .sort((a, b) => Math.abs(b.slope) - Math.abs(a.slope))
    .slice(0, 4)) {
    const moved = async (by: number): Promise<number> => {
      const held = slots[slotName('weight', name)] as HostTensor;
      const data = Float32Array.from(held.data);
      data[k]! += by;
      return (await step({ ...slots, [slotName('weight', name)]: { ...held, data } })).loss;
    };
    const width = 2e-3;
    const measured = ((await moved(width)) - (await moved(-width))) / (2 * width);
    expect([name, Math.abs((scale * measured) / slope - 1) < 0.05]).toEqual([name, true]);
  }
});

test('a step is that of Adam, and weights are averaged', async () => {
  const [rate, decay] = [0.01, 0.3];
  const first = await step(begin(), { t: 1, rate });
  const second = await step(first.next, { t: 2, rate, decay });
  for (const name of names) {
    const of = async (slots: Slots) => ({
      weight: await read(slots, 'weight', name),
      mean: await read(slots, 'mean', name),
      square: await read(slots, 'square', name),
      average: await read(slots, 'average', name),
    });
    const [before, after] = [await of(first.next), await of(second.next)];
    let off = 0;
    after.weight.forEach((weight, k) => {
      const g = (after.mean[k]! - 0.9 * before.mean[k]!) / 0.1;
      const square = 0.99 * before.square[k]! + 0.01 * g ** 2;
      const move = after.mean[k]! / (1 - 0.9 ** 2) / (Math.sqrt(after.square[k]! / (1 - 0.99 ** 2)) + 1e-8);
      off = Math.max(
        off,
        (1e-2 * Math.abs(after.square[k]! - square)) / (square + 1e-9),
        Math.abs(weight - (before.weight[k]! - rate * move)),
        Math.abs(after.average[k]! - (weight + decay * (before.average[k]! - weight))),
      );
    });
    expect([name, off < 1e-5]).toEqual([name, true]);
  }
});
