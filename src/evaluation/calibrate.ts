import { openEngine } from '../engine/index.js';
import { gradientMagnitude, INTERFACE_GRADIENT } from '../metrics/gradient.js';
import { UsageError } from '../pipeline/errors.js';
import { fittedShape } from '../pipeline/fit.js';
import { describeShape, sizeOf } from '../pipeline/frame.js';
import { streamSeed, uniformNumbers } from '../pipeline/random.js';
import {
  bandsUpTo,
  FORMAT,
  LEVELS,
  localOf,
  type Band,
  type Calibration,
} from '../uncertainty/calibration.js';
import { createSampler, crossCoverage, fitClasses } from '../uncertainty/fit.js';
import { loadForecasterSet, requireCalibratable, saveCalibration } from '../uncertainty/forecaster-set.js';
import { forecastWindows, windowsOf } from '../training/window-forecasts.js';
import type { EvaluateOptions } from './evaluate.js';
import { loadHeldOut } from './held-out.js';

/** Values of frames that a band is calibrated on at most; more change the third digit of nothing. */
const MOST_SAMPLES = 600_000;
/** With fewer series the intervals depend on which they were. */
const ENOUGH_SERIES = 8;

export interface Calibrated {
  /** The file that was written. */
  readonly path: string;
  readonly calibration: Calibration;
}

/**
 * Finds how wide a forecaster's intervals have to be, on series that it was not trained on, and writes it into its
 * folder: split conformal prediction (fit.ts) for each band of leads.
 * @throws as `evaluate` does; UsageError for a single series, and for more members than frames have symmetries for
 */
export const calibrate = async (
  options: EvaluateOptions,
  progress: (done: number, of: number) => void = () => undefined,
): Promise<Calibrated> => {
  const { context, horizon, stride, every, notice = () => undefined } = options;
  const set = await loadForecasterSet(options.forecaster, {
    context,
    horizon,
    stride,
    ensemble: options.ensemble,
    lagged: options.lagged,
  });
  await requireCalibratable(set.folder);
  const heldOut = await loadHeldOut(options, set);
  const { names, series } = heldOut;
  if (names.length < 2)
    throw new UsageError('one series is not enough to calibrate on', {
      hint: `give ${ENOUGH_SERIES} or more: what is calibrated on one series holds for that one`,
    });
  if (names.length < ENOUGH_SERIES)
    notice(
      `calibrated on ${names.length} series: the coverage of others will differ from them; ${ENOUGH_SERIES} or more are better`,
    );
  const windows = { context, horizon, every, latentStride: set.latentStride };
  const values = series.map((one) => windowsOf(one, windows).length * sizeOf(one.shape));
  const perLead = values.reduce((a, b) => a + b, 0);
  const bands = bandsUpTo(horizon, 'fine').map(({ from, to }, k) => {
    const available = perLead * (to - from + 1);
    const share = Math.min(1, MOST_SAMPLES / available);
    const most = Math.min(available, MOST_SAMPLES);
    return { from, to, share, sampler: createSampler(most, uniformNumbers(streamSeed(1, k))) };
  });
  const engine = await openEngine(options.device, options.threads, notice);
  let done = 0;
  try {
    const runner = set.run(engine, options.tile);
    for (const { name, shape } of series) {
      const members = runner.members(fittedShape(shape, set.latentStride));
      if (members === set.members) continue;
      throw new UsageError(
        `the ${describeShape(shape)} frames of ${name} have ${members} members, not ${set.members}: they and the forecaster have no more symmetries`,
        { hint: `--ensemble ${members}: what is calibrated holds for as many members as it says` },
      );
    }
    const of = series.flatMap((one) => windowsOf(one, windows)).length;
    for await (const batch of forecastWindows(runner, series, windows)) {
      for (const { series: one, observed, frames, spread, own } of batch) {
        frames.forEach((predicted, l) => {
          const truth = observed[context + l] as Float32Array;
          const band = bands.find(({ to }) => l < to);
          const edges = gradientMagnitude(truth, one.shape, set.periodic);
          band?.sampler.add(
            heldOut.indexOf(one),
            band.share,
            predicted.map((value, i) => Math.abs(value - truth[i]!)),
            Uint8Array.from(edges, (value) => (value > INTERFACE_GRADIENT ? 1 : 0)),
            localOf(predicted, spread?.[l], one.shape, set.periodic, own),
          );
        });
      }
      progress((done += batch.length), of);
    }
    await runner.dispose();
  } finally {
    await engine.dispose();
  }
  const calibration: Calibration = {
    format: FORMAT,
    forecaster: set.id.hash,
    members: set.members,
    ...(set.lagged && { lagged: true }),
    context,
    horizon,
    stride,
    series: names.length,
    windows: done,
    levels: [...LEVELS],
    bands: bands.map(({ from, to, sampler }): Band => {
      const samples = sampler.samples();
      return {
        from,
        to,
        classes: fitClasses(samples),
        expected: crossCoverage(samples),
      };
    }),
  };
  return { path: await saveCalibration(set.folder, calibration), calibration };
};
