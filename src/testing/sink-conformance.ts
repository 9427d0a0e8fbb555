import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { Forecast } from '../pipeline/forecast.js';
import type { Sink, SinkContext } from '../pipeline/plugins/plugin.js';
import type { ConformanceCase } from './conformance.js';
import { inFolder } from './conformance.js';
import { exampleForecast, exampleFrame, exampleScore, sinkContext } from './examples.js';

/** A sink under test. */
export interface SinkSubject {
  readonly create: (context: SinkContext) => Sink | Promise<Sink>;
  /**
   * Places "series/index" whose forecast has arrived since `begin`, as someone who reads the output finds them; any
   * order, repeats included.
   */
  readonly delivered: (out: string) => readonly string[] | Promise<readonly string[]>;
  /** Called before each case: forgets what arrived before. */
  readonly begin?: () => unknown;
  /** Makes delivery impossible, to see that the sink says so. Without it that case is left out. */
  readonly breaks?: (out: string) => unknown;
}

const never = new AbortController().signal;
const forecast = (position: number): Forecast => exampleForecast(exampleFrame(position));

/**
 * What every sink has to do, built in or not. The runs' forecasts are `run1/10` and `run1/20`; their values, and what a
 * score looks like, are those of `exampleForecast` and `exampleScore`.
 */
export const sinkConformance = ({ create, delivered, begin, breaks }: SinkSubject): ConformanceCase[] => {
  const withSink = (
    use: (sink: Sink, out: string, again: () => Promise<Sink>) => Promise<void>,
  ): Promise<void> =>
    inFolder(async (folder) => {
      const out = join(folder, 'results');
      const made: Sink[] = [];
      const again = async (): Promise<Sink> => {
        const sink = await create(sinkContext(out));
        made.push(sink);
        return sink;
      };
      await begin?.();
      const sink = await again();
      try {
        await use(sink, out, again);
      } finally {
        for (const each of made) await each.close();
      }
    });
  const arrived = async (out: string): Promise<string[]> => [...(await delivered(out))].sort();

  const cases: ConformanceCase[] = [
    {
      name: 'has delivered when its promise resolves, in an output folder that it makes',
      run: () =>
        withSink(async (sink, out) => {
          await sink.open(never);
          await sink.forecast(forecast(1), never);
          assert.deepEqual(await arrived(out), ['run1/10']);
          await sink.forecast(forecast(2), never);
          assert.deepEqual(await arrived(out), ['run1/10', 'run1/20']);
        }),
    },
    {
      name: 'goes on after a restart and takes a repeat',
      run: () =>
        withSink(async (sink, out, again) => {
          await sink.open(never);
          await sink.forecast(forecast(1), never);
          await sink.close();
          const next = await again();
          await next.open(never);
          await next.forecast(forecast(1), never);
          await next.forecast(forecast(2), never);
          assert.deepEqual([...new Set(await arrived(out))], ['run1/10', 'run1/20']);
        }),
    },
    {
      name: 'closes before it was opened, twice, and opens again',
      run: () =>
        withSink(async (sink, out) => {
          await sink.close();
          await sink.open(never);
          await sink.close();
          await sink.close();
          await sink.open(never);
          await sink.forecast(forecast(1), never);
          assert.deepEqual(await arrived(out), ['run1/10']);
        }),
    },
    {
      name: 'delivers nothing once it is told to stop',
      run: () =>
        withSink(async (sink, out) => {
          await sink.open(never);
          await assert.rejects(sink.forecast(forecast(1), AbortSignal.abort()));
          assert.deepEqual(await arrived(out), []);
        }),
    },
    {
      name: 'takes scores, if at all, beside forecasts',
      run: () =>
        withSink(async (sink, out) => {
          await sink.open(never);
          await Promise.all([
            sink.forecast(forecast(1), never),
            sink.score?.(exampleScore(forecast(1)), never),
          ]);
          assert.deepEqual(await arrived(out), ['run1/10']);
        }),
    },
    {
      name: 'takes a forecast of which some values are not known: NaN',
      run: () =>
        withSink(async (sink, out) => {
          await sink.open(never);
          const gaps = exampleForecast(exampleFrame(1), (lead, at) => (at % 2 === 0 ? NaN : lead + at));
          await sink.forecast(gaps, never);
          assert.deepEqual(await arrived(out), ['run1/10']);
        }),
    },
    {
      name: 'leaves what it is given as it was',
      run: () =>
        withSink(async (sink) => {
          const given = forecast(1);
          const score = exampleScore(given);
          await sink.open(never);
          await sink.forecast(given, never);
          await sink.score?.(score, never);
          assert.deepEqual({ given, score }, { given: forecast(1), score: exampleScore(forecast(1)) });
        }),
    },
  ];
  if (breaks !== undefined)
    cases.push({
      name: 'says so when it cannot deliver',
      run: () =>
        withSink(async (sink, out) => {
          await breaks(out);
          await assert.rejects(sink.open(never).then(() => sink.forecast(forecast(1), never)));
        }),
    });
  return cases;
};
