import { expect, test } from '@jest/globals';
import { from, lastValueFrom, toArray } from 'rxjs';
import type { Engine, Handle } from '../../src/engine/types.js';
import type { Predicted } from '../../src/pipeline/in-flight.js';
import { decode } from '../../src/stages/decode.js';
import { frameOf } from '../support/forecasts.js';

/** What is made of two leads of a frame of 50 in 0..100, as they come from the device, twice. */
const decoded = async (shape: readonly number[], data: Float32Array) => {
  const handle: Handle = { shape, dtype: 'float32', retain: () => handle, release: () => undefined };
  const engine = { device: 'none', read: () => Promise.resolve({ ...handle, data }) };
  const notices: string[] = [];
  const stage = decode({
    runner: { engine: engine as Partial<Engine> as Engine, members: () => 2 },
    ...{ horizon: 2, stride: 1, latentStride: 4, forecaster: { name: 'mine', hash: 'h' } },
    ...{ now: () => new Date(0), notice: (message) => notices.push(message) },
  });
  const predicted: Predicted = {
    frame: frameOf(7, () => 50, { series: 's', shape: [4, 4, 1] }),
    ...{ outcome: 'forecast', normalisation: { low: 0, high: 100 } },
    rollOut: { frames: handle, k: 0 },
  };
  const [first] = await lastValueFrom(from([[predicted], [predicted]]).pipe(stage, toArray()));
  return { forecast: first?.forecast, notices };
};

/** A lead that is well, and one of which a value is left. */
const LEADS = Array.from({ length: 32 }, (_, k) =>
  k < 16 ? 0.25 : k === 16 ? 0.75 : k % 2 ? NaN : Infinity,
);

test('values of an overflow give way to those of the frame, and are told of once', async () => {
  const { forecast, notices } = await decoded([1, 2, 4, 4, 1], Float32Array.from(LEADS));
  expect([...(forecast?.frames ?? [])]).toEqual([
    ...Array<number>(16).fill(25),
    75,
    ...Array<number>(15).fill(50),
  ]);
  expect(notices).toEqual([
    'mine gives values that are not finite from lead 2 of the forecast at frame 70 of s on: those of the frame stand in their place',
  ]);
});

test('where members overflow nothing is said of how they differ', async () => {
  const spread = LEADS.map((value) => value / 10);
  const { forecast } = await decoded([1, 2, 2, 4, 4, 1], Float32Array.from([...LEADS, ...spread]));
  const said = [...(forecast?.uncertainty?.spread ?? [])].map((value) => Math.round(10 * value) / 10);
  expect(said).toEqual([...Array<number>(16).fill(2.5), 7.5, ...Array<number>(15).fill(0)]);
});
