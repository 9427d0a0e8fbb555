import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { SinkContext } from 'mesocast';
import { exampleForecast, exampleFrame, sinkConformance, sinkContext } from 'mesocast/testing';
import { mySink } from '../src/index.js';

const create = (context: SinkContext) => mySink.create(mySink.options.parse({}), context);
const lines = async (out: string): Promise<string[]> =>
  (await readFile(join(out, 'my-sink.txt'), 'utf8').catch(() => ''))
    .split('\n')
    .filter((line) => line !== '');

// What every sink has to do.
const subject = {
  create,
  // The places "series/index" of the forecasts that arrived.
  delivered: async (out: string) => (await lines(out)).map((line) => line.split(' ').slice(1, 3).join('/')),
  breaks: (out: string) => writeFile(out, 'a file where the output folder should be'),
};
for (const { name, run } of sinkConformance(subject)) test(name, run);

// What this one does besides.
const never = new AbortController().signal;
test('the largest value is that of those that are known', async () => {
  const out = await mkdtemp(join(tmpdir(), 'my-sink-'));
  const sink = create(sinkContext(out));
  await sink.open(never);
  await sink.forecast(
    exampleForecast(exampleFrame(1), (lead, at) => (at === 0 ? NaN : lead)),
    never,
  );
  assert.deepEqual(
    (await lines(out)).map((line) => line.split(' ').at(-1)),
    ['3'],
  );
  await rm(out, { recursive: true });
});
test('a series that has no place in a line is refused for good', async () => {
  const sink = create(sinkContext('.'));
  const forecast = exampleForecast(exampleFrame(1, undefined, { series: 'run 1' }));
  await assert.rejects(sink.forecast(forecast, never), { retryable: false });
});
