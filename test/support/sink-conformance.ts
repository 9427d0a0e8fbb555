import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Score } from '../../src/pipeline/forecast.js';
import type { Sink, SinkContext } from '../../src/pipeline/plugin.js';
import { forecastOf, frameOf } from './forecasts.js';
import { sinkContext } from './sinks.js';

/** A sink under test. */
export interface SinkSubject {
  readonly create: (context: SinkContext) => Sink | Promise<Sink>;
  /** Places (series, index) whose forecast has arrived, as someone who reads the output finds them; any order. */
  readonly delivered: (out: string) => Promise<readonly string[]>;
}

const never = new AbortController().signal;

/** What every sink has to do, built in or not. */
export const sinkConformance = (name: string, { create, delivered }: SinkSubject): void => {
  describe(`sink ${name}`, () => {
    let out: string;
    let sink: Sink;
    beforeEach(async () => {
      out = await mkdtemp(join(tmpdir(), 'mesocast-sink-'));
      sink = await create(sinkContext(join(out, 'results')));
    });
    afterEach(async () => {
      await sink.close();
      await rm(out, { recursive: true });
    });
    const results = (): string => join(out, 'results');
    const forecast = (position: number) =>
      forecastOf(
        frameOf(position, (at) => at),
        (lead, at) => 3 * lead + at,
      );

    test('has delivered when its promise resolves, in an output folder that it makes', async () => {
      await sink.open(never);
      await sink.forecast(forecast(1), never);
      expect(await delivered(results())).toEqual(['run1/10']);
      await sink.forecast(forecast(2), never);
      expect([...(await delivered(results()))].sort()).toEqual(['run1/10', 'run1/20']);
    });

    test('goes on after a restart and takes a repeat', async () => {
      await sink.open(never);
      await sink.forecast(forecast(1), never);
      await sink.close();
      sink = await create(sinkContext(results()));
      await sink.open(never);
      await sink.forecast(forecast(1), never);
      await sink.forecast(forecast(2), never);
      expect([...new Set(await delivered(results()))].sort()).toEqual(['run1/10', 'run1/20']);
    });

    test('closes before it was opened, and twice', async () => {
      await sink.close();
      await sink.open(never);
      await sink.close();
      await expect(sink.close()).resolves.toBeUndefined();
    });

    test('delivers nothing once it is told to stop', async () => {
      await sink.open(never);
      await expect(sink.forecast(forecast(1), AbortSignal.abort())).rejects.toThrow();
      expect(await delivered(results())).toEqual([]);
    });

    test('says so when it cannot write', async () => {
      await writeFile(results(), 'a file where the output folder should be');
      await expect(sink.open(never).then(() => sink.forecast(forecast(1), never))).rejects.toThrow();
    });

    test('leaves what it is given as it was', async () => {
      const given = forecast(1);
      const score: Score = {
        id: given.id,
        series: 'run1',
        index: 10,
        status: 'final',
        horizon: 3,
        stride: 1,
        leads: [],
        forecaster: given.forecaster,
      };
      const before = structuredClone({ given, score });
      await sink.open(never);
      await sink.forecast(given, never);
      await sink.score?.(score, never);
      expect({ given, score }).toEqual(before);
    });
  });
};
