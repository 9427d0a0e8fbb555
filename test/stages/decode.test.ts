import { expect, test } from '@jest/globals';
import { from, lastValueFrom, toArray } from 'rxjs';
import type { Engine, Handle } from '../../src/engine/types.js';
import type { Predicted } from '../../src/pipeline/in-flight.js';
import { decode } from '../../src/stages/decode.js';
import { frameOf } from '../support/forecasts.js';

test('values of an overflow give way to those of the frame, and are told of once', async () => {
  const handle: Handle = {
    ...{ shape: [1, 2, 4, 4, 1], dtype: 'float32' },
    ...{ retain: () => handle, release: () => undefined },
  };
  // Two leads: the second is lost but for a value.
  const data = Float32Array.from({ length: 32 }, (_, k) =>
    k < 16 ? 0.25 : k === 16 ? 0.75 : k % 2 ? NaN : Infinity,
  );
  const engine = { device: 'none', read: () => Promise.resolve({ ...handle, data }) };
  const notices: string[] = [];
  const stage = decode({
    runner: { engine: engine as Partial<Engine> as Engine, members: () => 1 },
    ...{ horizon: 2, stride: 1, latentStride: 4, forecaster: { name: 'mine', hash: 'h' } },
    ...{ now: () => new Date(0), notice: (message) => notices.push(message) },
  });
  const frame = frameOf(7, () => 50, { series: 's', shape: [4, 4, 1] });
  const predicted: Predicted = {
    ...{ frame, outcome: 'forecast', normalisation: { low: 0, high: 100 } },
    rollOut: { frames: handle, k: 0 },
  };
  const [first] = await lastValueFrom(from([[predicted], [predicted]]).pipe(stage, toArray()));
  expect([...(first?.forecast?.frames ?? [])]).toEqual([
    ...Array<number>(16).fill(25),
    75,
    ...Array<number>(15).fill(50),
  ]);
  expect(notices).toEqual([
    'mine gives values that are not finite from lead 2 of the forecast at frame 70 of s on: those of the frame stand in their place',
  ]);
});
