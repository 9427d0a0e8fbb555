import { expect, test } from '@jest/globals';
import type { ObservableInput } from 'rxjs';
import { EMPTY, lastValueFrom, NEVER, of, Subject, throwError, timer, toArray } from 'rxjs';
import { TestScheduler } from 'rxjs/testing';
import type { Delivery, NamedSink, Target } from '../../src/pipeline/delivery.js';
import { closeSinks, openSinks } from '../../src/pipeline/delivery.js';
import { SinkError } from '../../src/pipeline/errors.js';
import type { Forecast } from '../../src/pipeline/forecast.js';
import type { EmitOptions } from '../../src/stages/emit.js';
import { emit } from '../../src/stages/emit.js';
import { forecastOf, frameOf } from '../support/forecasts.js';

const forecasts = [1, 2, 3, 4, 5, 6].map((position) =>
  forecastOf(
    frameOf(position, (at) => at),
    () => 0,
  ),
);
const values = Object.fromEntries('abcdef'.split('').map((letter, at) => [letter, forecasts[at]!]));
const [a] = forecasts as [Forecast];

/** Answers one try after the other with what `answers` give, the last one for all that follow. */
const target = (name: string, required: boolean, ...answers: (() => ObservableInput<unknown>)[]) => {
  const tries: number[] = [];
  const deliver = (delivery: Delivery): ObservableInput<unknown> => {
    tries.push(delivery.type === 'forecast' ? delivery.forecast.position : -1);
    return answers[Math.min(tries.length, answers.length) - 1]!();
  };
  return { name, required, deliver, tries } satisfies Target & { tries: number[] };
};
const works = () => EMPTY;
const fails = () => throwError(() => new SinkError('the disk is full'));
const refuses = () => throwError(() => new SinkError('no such bucket', { retryable: false }));

const setup = (targets: readonly Target[], options: Partial<EmitOptions<Forecast>> = {}) => {
  const notices: string[] = [];
  const dropped: string[] = [];
  const operator = emit<Forecast>({
    targets,
    deliveries: (forecast) => [{ type: 'forecast', forecast }],
    signal: new AbortController().signal,
    notice: (message) => notices.push(message),
    dropped: (sink) => dropped.push(sink),
    firstDelay: 4,
    longestDelay: 10,
    random: () => 1,
    ...options,
  });
  return { operator, notices, dropped };
};
const inVirtualTime = (work: Parameters<TestScheduler['run']>[0]): void => {
  new TestScheduler((actual, expected) => expect(actual).toEqual(expected)).run(work);
};

test('an item comes out, in order, once every required sink took it', () => {
  inVirtualTime(({ cold, expectObservable }) => {
    const { operator } = setup([target('slow', true, () => timer(3)), target('fast', true, works)]);
    expectObservable(cold('ab|', values).pipe(operator)).toBe('---a--(b|)', values);
  });
});

test('a required sink is tried again after growing pauses, and people are told once', () => {
  const flaky = target('disk', true, fails, fails, fails, works);
  const { operator, notices } = setup([flaky]);
  inVirtualTime(({ cold, expectObservable }) => {
    // Pauses of 4, 8 and 10 (the longest).
    expectObservable(cold('a|', values).pipe(operator)).toBe('22ms (a|)', values);
  });
  expect(flaky.tries).toEqual([1, 1, 1, 1]);
  expect(notices).toEqual([
    'sink disk: the disk is full; trying again until it works',
    'sink disk works again',
  ]);
});

test('jitter shortens pauses to half at most', () => {
  inVirtualTime(({ cold, expectObservable }) => {
    const { operator } = setup([target('disk', true, fails, works)], { random: () => 0 });
    expectObservable(cold('a|', values).pipe(operator)).toBe('--(a|)', values);
  });
});

test('a required sink that refuses for good ends the stream with its name', async () => {
  for (const answer of [refuses, () => throwError(() => new TypeError('x is undefined'))]) {
    const { operator } = setup([target('bucket', true, answer)]);
    const failure = lastValueFrom(of(a).pipe(operator));
    await expect(failure).rejects.toThrow(SinkError);
    await expect(failure).rejects.toThrow(/sink bucket refused a forecast of run1, frame 10: (no such|x is)/);
  }
});

test('retries end when the run is aborted, and what was not delivered does not come out', () => {
  inVirtualTime(({ cold, expectObservable }) => {
    const stop = new AbortController();
    const { operator } = setup([target('disk', true, works, fails)], { signal: stop.signal });
    cold('---------x').subscribe(() => stop.abort());
    expectObservable(cold('a-b|', values).pipe(operator)).toBe('a--------|', values);
  });
});

test('a best-effort sink gets a few tries, is counted, and holds nothing up', () => {
  const bad = target('hook', false, fails);
  const { operator, notices, dropped } = setup([bad, target('disk', true, works)], { tries: 2 });
  inVirtualTime(({ cold, expectObservable }) => {
    expectObservable(cold('ab|', values).pipe(operator)).toBe('ab 6ms |', values);
  });
  expect(bad.tries).toEqual([1, 1, 2, 2]);
  expect(dropped).toEqual(['hook', 'hook']);
  expect(notices).toHaveLength(1);
});

test('a best-effort sink that hangs falls behind by so many and no more', async () => {
  const hung = target('hook', false, () => NEVER);
  const { operator, dropped } = setup([hung], { behind: 2 });
  const source = new Subject<Forecast>();
  const out: Forecast[] = [];
  const subscription = source.pipe(operator).subscribe((forecast) => out.push(forecast));
  forecasts.forEach((forecast) => source.next(forecast));
  expect(out).toEqual(forecasts);
  expect(dropped).toHaveLength(4);
  subscription.unsubscribe();
});

test('an item without deliveries passes', async () => {
  const disk = target('disk', true, works);
  const { operator } = setup([disk], { deliveries: () => [] });
  await expect(lastValueFrom(of(a).pipe(operator, toArray()))).resolves.toEqual([a]);
  expect(disk.tries).toEqual([]);
});

test('sinks open in order and close in reverse; when one cannot open, those before it close', async () => {
  const calls: string[] = [];
  const sink = (name: string, opens = true): NamedSink => ({
    name,
    required: true,
    sink: {
      open: async () => {
        calls.push(`open ${name}`);
        if (!opens) throw new Error('no route to host');
      },
      forecast: async () => undefined,
      close: async () => {
        calls.push(`close ${name}`);
        if (name === 'a') throw new Error('busy');
      },
    },
  });
  const notices: string[] = [];
  const opening = openSinks(
    [sink('a'), sink('b', false), sink('c')],
    new AbortController().signal,
    (message) => notices.push(message),
  );
  await expect(opening).rejects.toThrow('sink b cannot start: no route to host');
  expect(calls).toEqual(['open a', 'open b', 'close b', 'close a']);
  expect(notices).toEqual(['sink a did not close: busy']);
  calls.length = 0;
  await closeSinks([sink('b'), sink('c')], () => undefined);
  expect(calls).toEqual(['close c', 'close b']);
});
