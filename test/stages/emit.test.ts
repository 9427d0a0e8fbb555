import { expect, test } from '@jest/globals';
import { lastValueFrom, of, Subject, toArray } from 'rxjs';
import type { Delivery, NamedSink } from '../../src/pipeline/delivery/delivery.js';
import { closeSinks, openedWhenPossible, openSinks } from '../../src/pipeline/delivery/delivery.js';
import type { Sink } from '../../src/pipeline/plugins/plugin.js';
import { emit } from '../../src/stages/emit.js';
import { forecastOf, frameOf } from '../support/forecasts.js';

const forecasts = [1, 2, 3].map((position) =>
  forecastOf(
    frameOf(position, (at) => at),
    () => 0,
  ),
);
const [a, b] = forecasts as [(typeof forecasts)[0], (typeof forecasts)[0]];
const never = new AbortController().signal;
const turns = () => new Promise((resolve) => setImmediate(resolve));

/** A queue whose deliveries settle when they are told to. */
const queue = (room: Promise<void> = Promise.resolve()) => {
  const offered: number[] = [];
  const settle: (() => void)[] = [];
  return {
    offered,
    settle,
    offer: async (delivery: Delivery) => {
      await room;
      offered.push(delivery.type === 'forecast' ? delivery.forecast.position : -1);
      return { settled: new Promise<void>((resolve) => settle.push(resolve)) };
    },
  };
};
const deliveries = (forecast: (typeof forecasts)[0]): Delivery[] => [{ type: 'forecast', forecast }];

test('items come out in order, each once all of it is settled; later ones are offered meanwhile', async () => {
  const [fast, slow] = [queue(), queue()];
  const source = new Subject<typeof a>();
  const out: number[] = [];
  source
    .pipe(emit({ queues: () => [fast, slow], deliveries, signal: never }))
    .subscribe(({ position }) => out.push(position));
  forecasts.forEach((forecast) => source.next(forecast));
  await turns();
  expect([fast.offered, slow.offered]).toEqual([
    [1, 2, 3],
    [1, 2, 3],
  ]);
  fast.settle.forEach((settle) => settle());
  slow.settle[1]?.();
  await turns();
  expect(out).toEqual([]);
  slow.settle[0]?.();
  await turns();
  expect(out).toEqual([1, 2]);
});

test('a queue without room holds back what follows, and only that', async () => {
  let free: () => void = () => undefined;
  const full = queue(new Promise((resolve) => (free = resolve)));
  const other = queue();
  const all = lastValueFrom(
    of(a, b).pipe(emit({ queues: () => [full, other], deliveries, signal: never }), toArray()),
  );
  await turns();
  expect([full.offered, other.offered]).toEqual([[], [1]]);
  free();
  await turns();
  expect([full.offered, other.offered]).toEqual([
    [1, 2],
    [1, 2],
  ]);
  [...full.settle, ...other.settle].forEach((settle) => settle());
  await expect(all).resolves.toEqual([a, b]);
});

test('an abort ends it, and what is not settled does not come out', async () => {
  const stop = new AbortController();
  const stuck = queue();
  const all = lastValueFrom(
    of(a, b).pipe(emit({ queues: () => [stuck], deliveries, signal: stop.signal }), toArray()),
  );
  await turns();
  stuck.settle[0]?.();
  await turns();
  stop.abort();
  await expect(all).resolves.toEqual([a]);
});

test('an item without deliveries passes', async () => {
  const unused = queue();
  await expect(
    lastValueFrom(
      of(a).pipe(emit({ queues: () => [unused], deliveries: () => [], signal: never }), toArray()),
    ),
  ).resolves.toEqual([a]);
  expect(unused.offered).toEqual([]);
});

const named = (name: string, sink: Sink): NamedSink => ({
  name,
  settings: {
    name,
    as: undefined,
    options: {},
    required: undefined,
    policy: 'block',
    queue: 4,
    diskBytes: 1e6,
    startup: 'fail',
  },
  sink,
});

test('sinks open in order and close in reverse; when one cannot open, those before it close', async () => {
  const calls: string[] = [];
  const sink = (name: string, opens = true): NamedSink =>
    named(name, {
      open: async () => {
        calls.push(`open ${name}`);
        if (!opens) throw new Error('no route to host');
      },
      forecast: async () => undefined,
      close: async () => {
        calls.push(`close ${name}`);
        if (name === 'a') throw new Error('busy');
      },
    });
  const notices: string[] = [];
  const opening = openSinks([sink('a'), sink('b', false), sink('c')], never, (message) =>
    notices.push(message),
  );
  await expect(opening).rejects.toThrow('sink b cannot start: no route to host');
  expect(calls).toEqual(['open a', 'open b', 'close b', 'close a']);
  expect(notices).toEqual(['sink a did not close: busy']);
  calls.length = 0;
  await closeSinks([sink('b'), sink('c')], () => undefined);
  expect(calls).toEqual(['close c', 'close b']);
});

test('with startup: retry a sink that cannot start is opened by a later delivery', async () => {
  const calls: string[] = [];
  let up = false;
  const sink = openedWhenPossible(
    'far',
    {
      open: async () => {
        calls.push('open');
        if (!up) throw new TypeError('no route to host');
      },
      forecast: async () => void calls.push('forecast'),
      close: async () => undefined,
    },
    (message) => calls.push(message),
  );
  await sink.open(never);
  await expect(sink.forecast(a, never)).rejects.toMatchObject({ retryable: true });
  up = true;
  await sink.forecast(a, never);
  await sink.forecast(b, never);
  expect(calls).toEqual([
    'open',
    'sink far cannot start: no route to host; it is started when that works',
    'open',
    'open',
    'forecast',
    'forecast',
  ]);
});
