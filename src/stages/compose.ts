import { concatMap, type MonoTypeOperatorFunction } from 'rxjs';
import type { Judge } from '../learning/judging/judge.js';
import { clipped, trendReach } from '../metrics/baselines.js';
import { rangeOf, type Forecast } from '../pipeline/forecast.js';
import { sizeOf } from '../pipeline/frame.js';
import type { Observation } from '../pipeline/run.js';

export interface ComposeOptions {
  readonly judge: Judge;
}

/**
 * Puts each forecast together from the contestants that have been best at its leads, and says what to expect of it. A
 * forecast is judged by what the frames before its own have shown: it waits until `verify` is done with them.
 */
export const compose =
  ({ judge }: ComposeOptions): MonoTypeOperatorFunction<Observation> =>
  (source$) =>
    source$.pipe(
      concatMap(async (observation) => {
        const { frame, forecast, previous } = observation;
        await judge.settled(frame.series);
        judge.begin(frame.series);
        if (forecast === undefined) return observation;
        const { leads, trustedLeads, damping } = judge.outlook(
          frame.series,
          frame.position,
          forecast.forecaster,
        );
        const judged = { ...forecast, trustedLeads, outlook: leads };
        if (leads.every(({ madeBy }) => madeBy === 'forecaster')) return { ...observation, forecast: judged };
        const withTrend = { ...judged, damping };
        const frames = composed(withTrend, frame.data, previous ?? frame.data);
        return { ...observation, forecast: { ...withTrend, frames }, ownFrames: forecast.frames };
      }),
    );

type Judged = Forecast & Required<Pick<Forecast, 'outlook' | 'damping'>>;

/** [horizon, H, W, C], physical values: the leads that the trend makes put in. */
const composed = (
  { frames, shape, normalisation, outlook, damping }: Judged,
  last: Float32Array,
  previous: Float32Array,
): Float32Array => {
  const size = sizeOf(shape);
  const result = frames.slice();
  const ranges = Array.from({ length: shape[2] }, (_, channel) => rangeOf(normalisation, channel));
  outlook.forEach(({ madeBy }, l) => {
    if (madeBy !== 'trend') return;
    const at = l * size;
    const reach = trendReach(damping, l + 1);
    for (let i = 0; i < size; i++) {
      const { low, high } = ranges[i % shape[2]]!;
      const now = last[i]!;
      result[at + i] = clipped(now + reach * (now - previous[i]!), now, low, high);
    }
  });
  return result;
};
