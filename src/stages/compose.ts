import { concatMap, type MonoTypeOperatorFunction } from 'rxjs';
import type { Judge } from '../learning/judging/judge.js';
import { rangeOf, type Forecast, type LeadOutlook } from '../pipeline/forecast.js';
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
        const { leads, trustedLeads } = judge.outlook(frame.series, frame.position, forecast.forecaster);
        const judged = { ...forecast, trustedLeads, outlook: leads };
        if (leads.every(({ madeBy }) => madeBy === 'forecaster')) return { ...observation, forecast: judged };
        const frames = composed(forecast, leads, frame.data, previous ?? frame.data);
        return { ...observation, forecast: { ...judged, frames }, ownFrames: forecast.frames };
      }),
    );

/** [horizon, H, W, C], physical values. */
const composed = (
  { frames, shape, normalisation }: Forecast,
  leads: readonly LeadOutlook[],
  last: Float32Array,
  previous: Float32Array,
): Float32Array => {
  const size = sizeOf(shape);
  const result = frames.slice();
  leads.forEach(({ madeBy }, l) => {
    const at = l * size;
    if (madeBy === 'persistence') result.set(last, at);
    if (madeBy !== 'linear') return;
    for (let i = 0; i < size; i++) {
      const { low, high } = rangeOf(normalisation, i % shape[2]);
      const value = last[i]! + (l + 1) * (last[i]! - previous[i]!);
      result[at + i] = Math.min(high, Math.max(low, value));
    }
  });
  return result;
};
