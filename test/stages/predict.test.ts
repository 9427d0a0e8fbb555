import { expect, test } from '@jest/globals';
import { Subject } from 'rxjs';
import type { Engine, Handle } from '../../src/engine/types.js';
import type { Runner } from '../../src/forecaster/programs.js';
import type { Encoded, Predicted } from '../../src/pipeline/in-flight.js';
import { createCredits } from '../../src/pipeline/intake/credits.js';
import { predict } from '../../src/stages/predict.js';
import { frameOf } from '../support/forecasts.js';

const never = new AbortController().signal;
const turns = () => new Promise((resolve) => setImmediate(resolve));
const handle: Handle = { shape: [1], dtype: 'float32', retain: () => handle, release: () => undefined };

/** Sixteen pixels, three leads and two layers: a forecast takes 384 bytes. */
const withRoom = (bytes: number) => {
  const rolledOut: number[] = [];
  const runner: Runner = {
    observe: () => Promise.reject(new Error('not asked for here')),
    rollOut: (_shape, batch) => {
      rolledOut.push(batch.length);
      return Promise.resolve(handle);
    },
    members: () => 1,
    // Nothing in `predict` touches it.
    engine: { device: 'none' } as Engine,
    dispose: () => Promise.resolve(),
  };
  const credits = createCredits({ items: Infinity, bytes });
  const batches = new Subject<readonly Encoded[]>();
  const came: Predicted[] = [];
  batches
    .pipe(predict({ runner, horizon: 3, latentStride: 1, room: { credits, layers: 2, signal: never } }))
    .subscribe((batch) => came.push(...batch));
  return { batches, rolledOut, came, credits };
};
/** So many frames of which a forecast is due, and one of which none is. */
const batchOf = (due: number): Encoded[] =>
  Array.from({ length: due + 1 }, (_, k) => {
    const frame = frameOf(1, () => 0, { series: `s${k}`, shape: [4, 4, 1] });
    const input = { frame: frame.data, previous: frame.data, state: [] };
    return { frame, outcome: k < due ? 'forecast' : 'observed', ...(k < due && { input }) };
  });

test('a batch waits until sinks have taken enough of the forecasts before it', async () => {
  const { batches, rolledOut, came, credits } = withRoom(4 * 384);
  for (const due of [2, 0, 2, 2]) batches.next(batchOf(due));
  await turns();
  expect([rolledOut, credits.bytes]).toEqual([[2, 2], 4 * 384]);
  came[0]?.release?.();
  await turns();
  expect([rolledOut, credits.bytes]).toEqual([[2, 2], 3 * 384]);
  came[1]?.release?.();
  await turns();
  expect([rolledOut, credits.bytes]).toEqual([[2, 2, 2], 4 * 384]);
  came.slice(2).forEach(({ release }) => release?.());
  expect([came.length, credits.items, credits.bytes]).toEqual([10, 0, 0]);
});

test('a batch that is larger than the room goes alone', async () => {
  const { batches, rolledOut, came } = withRoom(1);
  for (const due of [2, 2]) batches.next(batchOf(due));
  await turns();
  came[0]?.release?.();
  await turns();
  expect(rolledOut).toEqual([2]);
  came[1]?.release?.();
  await turns();
  expect(rolledOut).toEqual([2, 2]);
});
