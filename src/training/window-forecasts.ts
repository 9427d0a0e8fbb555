import type { Runner, SeriesInput, StateHandles } from '../forecaster/programs.js';
import { withoutOverflow } from '../forecaster/without-overflow.js';
import { crop, fit, fittedShape } from '../pipeline/fit.js';
import { sizeOf } from '../pipeline/frame.js';
import { rolledOut } from '../uncertainty/ensemble.js';
import { framesFrom, type Series } from './series.js';

/** Which windows of a series are forecast. */
export interface Windows {
  readonly context: number;
  readonly horizon: number;
  /** Frames between the starts of windows. */
  readonly every: number;
  /** Frame pixels per latent pixel: the network takes frames enlarged to multiples of it. Forecasts have the frames' size. */
  readonly latentStride: number;
}

/** A part of a series: `context` frames from the place `start` on that are given, then `horizon` that are forecast. */
export interface Window {
  readonly series: Series;
  readonly start: number;
}

/** Normalised frames [H, W, C] at leads 1..horizon; where the network gave no finite value, that of the last given frame. */
export interface WindowForecast extends Window {
  readonly frames: readonly Float32Array[];
  /** What is there: the frames that are given, and those that came. */
  readonly observed: readonly Float32Array[];
  /** Standard deviation over the members of an ensemble; of a lagged one the distance from the forecast a frame earlier. */
  readonly spread?: readonly Float32Array[];
  /** Of a lagged ensemble: how far off the forecast a frame earlier was about the last given frame. */
  readonly own?: Float32Array;
}

/** The windows of a series: `every` frames apart in each stretch that is long enough. */
export const windowsOf = (series: Series, { context, horizon, every }: Windows): Window[] =>
  series.stretches.flatMap(({ from, to }) => {
    const room = to - from - context - horizon;
    const count = room < 0 ? 0 : Math.floor(room / every) + 1;
    return Array.from({ length: count }, (_, k) => ({ series, start: from + k * every }));
  });

/** Windows that go through the network together, and the most values that these have: large frames go one by one. */
const [BATCH, MOST_VALUES] = [8, 2 ** 27];

/** Windows of one shape that go through the network as one batch. */
const inBatches = (windows: readonly Window[], frames: number): Window[][] => {
  const byShape = new Map<string, Window[]>();
  for (const window of windows) {
    const key = window.series.shape.join();
    const alike = byShape.get(key);
    if (alike === undefined) byShape.set(key, [window]);
    else alike.push(window);
  }
  return [...byShape.values()].flatMap((group) => {
    const values = frames * sizeOf((group[0] as Window).series.shape);
    const size = Math.max(1, Math.min(BATCH, Math.floor(MOST_VALUES / values)));
    return Array.from({ length: Math.ceil(group.length / size) }, (_, k) =>
      group.slice(k * size, (k + 1) * size),
    );
  });
};

/** Takes each context of a batch in from nothing, then rolls out. */
const forecastBatch = async (
  runner: Runner,
  batch: readonly Window[],
  { context, horizon, latentStride }: Windows,
): Promise<WindowForecast[]> => {
  const own = (batch[0] as Window).series.shape;
  const shape = fittedShape(own, latentStride);
  const all = await Promise.all(
    batch.map(({ series, start }) => framesFrom(series, start, context + horizon)),
  );
  const given = all.map((frames) => frames.slice(0, context).map((frame) => fit(frame, own, latentStride)));
  let states: (StateHandles | undefined)[] = batch.map(() => undefined);
  const inputs = (t: number): SeriesInput[] =>
    given.map((frames, k) => ({
      parameters: batch[k]?.series.parameters,
      frame: frames[t] as Float32Array,
      previous: frames[Math.max(t - 1, 0)] as Float32Array,
      state: states[k],
    }));
  const release = (old: readonly (StateHandles | undefined)[]): void =>
    old.forEach((state) => state?.forEach((h) => h.release()));
  for (let t = 0; t < context; t++) {
    const next = await runner.observe(shape, inputs(t));
    release(states);
    states = next;
  }
  const rolled = await runner.rollOut(shape, inputs(context - 1), horizon);
  release(states);
  const data = (await runner.engine.read(rolled)).data as Float32Array;
  rolled.release();
  const size = sizeOf(shape);
  const byLead = (values: Float32Array): Float32Array[] =>
    Array.from({ length: horizon }, (_, l) =>
      crop(values.subarray(l * size, (l + 1) * size), own, latentStride),
    );
  return batch.map((window, k) => {
    const { frames, spread, own: aboutLast } = rolledOut(rolled, data, k, horizon);
    const observed = all[k] as Float32Array[];
    // As `decode` has it.
    return {
      ...{ ...window, observed },
      frames: byLead(frames).map((values) => withoutOverflow(values, observed[context - 1])),
      ...(spread && { spread: byLead(spread).map((values) => withoutOverflow(values)) }),
      ...(aboutLast && { own: withoutOverflow(crop(aboutLast, own, latentStride)) }),
    };
  });
};

/** Forecasts every window of the series, a batch at a time. */
export const forecastWindows = async function* (
  runner: Runner,
  all: readonly Series[],
  windows: Windows,
): AsyncGenerator<readonly WindowForecast[]> {
  const list = all.flatMap((series) => windowsOf(series, windows));
  const { context, horizon } = windows;
  for (const batch of inBatches(list, context + horizon)) yield await forecastBatch(runner, batch, windows);
};
