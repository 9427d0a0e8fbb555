import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openEngine } from '../src/engine/index.js';
import { loadForecaster } from '../src/forecaster/folder.js';
import { observe } from '../src/forecaster/network-functions.js';
import { attachSchema } from '../src/pipeline/config/config.js';
import { attach } from '../src/pipeline/runner.js';
import { SEGMENT_LENGTH, segmentsAt } from '../src/pipeline/state/segments.js';
import { putFrames } from '../test/support/tiny.js';
import { gflopOf, productRate } from './rates.js';
import type { BenchOptions, Result, Row } from './table.js';

const FORECASTER = 'dendrite';
const THREADS = 2;
/** [series, side of the frame, frames of each series]; the last as in bench/load.ts. */
const CASES = [
  [16, 64, 400],
  [8, 256, 60],
  [8, 512, 32],
] as const;

/** How often a frame goes through the network, on average. */
const passes = (context: number): number => {
  const steps = Array.from({ length: SEGMENT_LENGTH }, (_, k) => context + k);
  const options = { context, length: SEGMENT_LENGTH };
  return steps.reduce((sum, step) => sum + segmentsAt(step, options).length, 0) / steps.length;
};

/** Frames of each series before anything counts: by then the one forecast that a run makes at the least is through. */
const WARM_UP = 16;
/** Leads of that one: it is verified before anything counts. */
const HORIZON = 3;

/** Frames a second that a run takes into the states of `series` series. */
const framesPerSecond = async (
  series: number,
  directory: string,
  out: string,
  device: string,
): Promise<number> => {
  const run = await attach(
    attachSchema.parse({
      ...{ directory, out, device, threads: THREADS, forecaster: FORECASTER, atomic: true, untilIdle: 1 },
      ...{ horizon: HORIZON, forecastEvery: 1_000_000, learn: 'off', madeBy: 'forecaster', sinks: [] },
    }),
  );
  const at: number[] = [];
  run.events$.subscribe((event) => {
    if (event.type === 'frame' && event.outcome === 'observed') at.push(performance.now());
  });
  await run.finished;
  const from = WARM_UP * series;
  const [first, last] = [at[from] ?? NaN, at.at(-1) ?? NaN];
  return (1000 * (at.length - 1 - from)) / (last - first);
};

/**
 * Frames that wait in folders, taken in as fast as it goes by a run with a real forecaster that makes no forecasts: what
 * reading, the ledger and batching leave of the rate of a large matrix product. States are made of overlapping stretches:
 * some frames go through the network twice, and count so.
 */
export const benchObserving = async ({ device, quick, note }: BenchOptions): Promise<Result> => {
  const rows: Row[] = [];
  const figures: Record<string, number> = {};
  const engine = await openEngine(device, THREADS, () => undefined);
  const product = await productRate(engine);
  await engine.dispose();
  const forecaster = await loadForecaster(FORECASTER);
  for (const [series, side, frames] of CASES) {
    const home = await mkdtemp(join(tmpdir(), 'mesocast-observing-'));
    try {
      for (let k = 0; k < series; k++)
        await putFrames(join(home, 'run', `s${k}`), 0, quick ? 24 : frames, {
          shape: [side, side, 1],
          extension: '.png',
          sampleType: 'uint16',
        });
      note(`${series} series of ${side} x ${side}`);
      const rate = await framesPerSecond(series, join(home, 'run'), join(home, 'out'), device);
      const reached = rate * passes(forecaster.settings.context) * gflopOf(forecaster, 1, side, observe);
      rows.push([
        `${series} series of ${side} x ${side}`,
        { 'frames/s': rate, 'GFLOP/s': reached, 'matrix product': product, share: reached / product },
      ]);
      Object.assign(figures, {
        [`observing_${side}_fps`]: rate,
        [`observing_${side}_share`]: reached / product,
      });
    } finally {
      await rm(home, { recursive: true });
    }
  }
  return { tables: [rows], figures };
};
