import { mean } from '../table.js';
import type { Attached, LeadScore } from './attached.js';

/** What is kept of a run: each a list over the frames whose forecasts are scored at all leads, from the first on. */
export interface RunFigures {
  /** The commit that was measured; missing of runs from before it was kept. */
  readonly program?: string;
  /** Means over the leads. */
  readonly forecast: readonly number[];
  readonly persistence: readonly number[];
  readonly linear: readonly number[];
  /** Mean over the leads of 1 - error / (that of the better of persistence and linear extrapolation at this lead). */
  readonly skill: readonly number[];
  readonly firstIndex: number;
  /** For each lead: bounds that were given, and those that held. */
  readonly bounds: readonly (readonly [given: number, held: number])[];
  readonly alarms: readonly number[];
  readonly changes: readonly number[];
  readonly latency: { readonly median: number; readonly p99: number };
}

export const quantile = (values: readonly number[], q: number): number => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? NaN;
};

const skillOf = ({ rmse, persistenceRmse, linearRmse }: LeadScore): number => {
  const trivial = Math.min(persistenceRmse, linearRmse);
  return trivial > 0 ? 1 - rmse / trivial : 0;
};

/** Mean skill over the leads of the forecast from the frame of this number, counted from 1; NaN where there is none. */
export const skillAt = ({ skill, firstIndex }: RunFigures, frames: number): number =>
  skill[frames - 1 - firstIndex] ?? NaN;

export const figuresOf = ({ scores, latencies, alarms, changes }: Attached, program: string): RunFigures => {
  const final = scores.filter(({ status }) => status === 'final');
  const means = (of: (lead: LeadScore) => number): number[] => final.map(({ leads }) => mean(leads.map(of)));
  const bounds: [number, number][] = [];
  for (const { leads } of scores)
    for (const { lead, rmse, rmseBound } of leads) {
      const [given, held] = (bounds[lead - 1] ??= [0, 0]);
      if (rmseBound !== undefined) bounds[lead - 1] = [given + 1, held + (rmse <= rmseBound ? 1 : 0)];
    }
  return {
    program,
    forecast: means(({ rmse }) => rmse),
    persistence: means(({ persistenceRmse }) => persistenceRmse),
    linear: means(({ linearRmse }) => linearRmse),
    skill: means(skillOf),
    firstIndex: final[0]?.index ?? 0,
    bounds,
    alarms,
    changes,
    latency: { median: quantile(latencies, 0.5), p99: quantile(latencies, 0.99) },
  };
};

/** Forecasts that are looked at together, and those at the beginning that are not: there is nothing yet to judge by. */
const [TOGETHER, BEGINNING] = [20, 10];

/**
 * The worst of all stretches of 20 forecasts after the first 10: mean error over that of the better of the trivial two;
 * undefined of a shorter run.
 */
export const worstStretch = ({ forecast, persistence, linear }: RunFigures): number | undefined => {
  let worst: number | undefined;
  for (let from = BEGINNING; from + TOGETHER <= forecast.length; from++) {
    const over = (values: readonly number[]): number => mean(values.slice(from, from + TOGETHER));
    worst = Math.max(worst ?? 0, over(forecast) / Math.min(over(persistence), over(linear)));
  }
  return worst;
};

/** Share of the bounds that held, over runs, in a band of leads; NaN without bounds. */
export const coverage = (runs: readonly RunFigures[], first: number, last: number): number => {
  const all = runs.flatMap(({ bounds }) => bounds.slice(first - 1, last));
  const sum = (k: 0 | 1): number => all.reduce((total, pair) => total + (pair[k] ?? 0), 0);
  return sum(1) / sum(0);
};
