import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { evaluate } from '../../src/evaluation/evaluate.js';
import { forecastOnce } from '../../src/pipeline/forecast-once.js';
import { loadForecasterSet } from '../../src/uncertainty/forecaster-set.js';
import { record, smallRun } from '../support/runs.js';
import { putFrames, saveTiny } from '../support/tiny.js';

let home: string;
const at = (...path: string[]): string => join(home, ...path);
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'mesocast-several-'));
  await saveTiny(at('one'), 1);
  await saveTiny(at('two'), 2);
  await mkdir(at('both'));
  await writeFile(
    at('both', 'ensemble.json'),
    JSON.stringify({ format: 1, name: 'both', forecasters: ['../one', '../two'] }),
  );
  // A forecast stands on the last four frames, a run on those of a whole stretch: here they are the same.
  await putFrames(at('frames'), 0, 4, { extension: '.npy', sampleType: 'float32' });
  await putFrames(at('longer'), 0, 12, { extension: '.npy', sampleType: 'float32' });
});
afterAll(() => rm(home, { recursive: true }));

const settings = (forecaster: string) =>
  smallRun({
    directory: at('frames'),
    forecaster: at(forecaster),
    out: at(`${forecaster}-out`),
    range: [0, 1],
    madeBy: 'forecaster',
  });

test('what has one member alone is no ensemble, unless its edges are periodic or its spread is the lagged one', async () => {
  await saveTiny(at('none'), 1, 10, { symmetries: 'none' });
  await saveTiny(at('shifted'), 1, 10, { symmetries: 'none', boundary: 'periodic' });
  const asked = { context: 4, horizon: 5, stride: 1, ensemble: 4 };
  await expect(loadForecasterSet(at('none'), asked)).rejects.toThrow(
    '--ensemble 4: tiny was trained with no symmetries, so it has one member',
  );
  expect((await loadForecasterSet(at('none'), { ...asked, lagged: true })).members).toBe(4);
  expect((await loadForecasterSet(at('shifted'), asked)).members).toBe(4);
});

test('two forecasters are one ensemble: in a forecast, in a run that follows frames, and when scored', async () => {
  const once = (forecaster: string) => forecastOnce({ ...settings(forecaster), path: at('frames') });
  const [one, two, both] = [await once('one'), await once('two'), await once('both')];
  expect(both).toMatchObject({ forecaster: { name: 'both' }, uncertainty: { members: 2 } });
  const largest = (values: Float32Array): number => Math.max(...values.map(Math.abs));
  expect(largest(one.frames.map((value, k) => value - two.frames[k]!))).toBeGreaterThan(0.01);
  expect(largest(both.frames.map((value, k) => value - (one.frames[k]! + two.frames[k]!) / 2))).toBeLessThan(
    1e-5,
  );
  expect(
    largest(
      both.uncertainty!.spread!.map(
        (value, k) => value - Math.abs(one.frames[k]! - two.frames[k]!) / Math.SQRT2,
      ),
    ),
  ).toBeLessThan(1e-5);

  const { forecasts } = await (await record(settings('both'))).finished;
  const last = forecasts.find(({ index }) => index === both.index)!;
  expect(last.id).toBe(both.id);
  expect(largest(last.frames.map((value, k) => value - both.frames[k]!))).toBeLessThan(1e-4);

  const scored = await evaluate({
    ...{ forecaster: at('both'), data: [at('longer')], context: 4, horizon: 5, stride: 1, every: 3 },
    ...{ device: 'cpu', threads: 1 },
  });
  expect(scored.uncertainty).toMatchObject({ members: 2 });
  expect(scored.uncertainty!.spread).toHaveLength(5);
});
