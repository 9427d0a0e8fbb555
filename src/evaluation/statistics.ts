import { grainsOf } from '../metrics/grains.js';
import { interfaceLength } from '../metrics/interface-length.js';
import { meanOf, phaseFraction } from '../metrics/phase-fraction.js';
import { planeOf } from '../metrics/plane.js';
import { rmse } from '../metrics/rmse.js';
import { structureFactor } from '../metrics/structure-factor.js';
import { checkerboard, shortWaves } from '../metrics/texture.js';
import { twoPointCorrelation } from '../metrics/two-point.js';
import type { FrameShape } from '../pipeline/frame.js';
import { overSeries, type OverSeries } from './over-series.js';

/** What is told of a frame in one number; of several channels, of the first. Normalised values, lengths in pixels. */
export const STATISTICS = [
  'phase_fraction',
  'mean',
  'interface_length',
  'characteristic_length',
  'grains',
  'grain_area',
  'least',
  'greatest',
  'change',
  'short_waves',
  'checkerboard',
] as const;
export type Statistic = (typeof STATISTICS)[number];

export interface StatisticsOptions {
  /** Normalised value between two phases, and between a grain and its boundary. */
  readonly threshold: number;
  readonly periodic: boolean;
}

/** Pixels: the largest blocks that encoders of mesocast make latent pixels of by themselves. */
const BLOCK = 4;

/** NaN for what a frame does not have: a length where all is of one value, an area where there are no grains. */
const statisticsOf = (
  frame: Float32Array,
  before: Float32Array,
  shape: FrameShape,
  { threshold, periodic }: StatisticsOptions,
): Record<Statistic, number> => {
  const plane = planeOf(frame, shape);
  const grains = grainsOf(plane, threshold, periodic);
  return {
    phase_fraction: phaseFraction(plane, threshold),
    mean: meanOf(plane),
    interface_length: interfaceLength(plane, threshold, periodic),
    characteristic_length: structureFactor(plane).characteristicLength || NaN,
    grains: grains.count,
    grain_area: grains.count === 0 ? NaN : grains.meanArea,
    least: plane.values.reduce((a, b) => Math.min(a, b), Infinity),
    greatest: plane.values.reduce((a, b) => Math.max(a, b), -Infinity),
    change: rmse(plane.values, planeOf(before, shape).values),
    short_waves: shortWaves(plane),
    checkerboard: checkerboard(plane, BLOCK),
  };
};

/** Over the windows of all series whose frames have the size of the first one's, at one lead. */
export interface Curves {
  readonly lead: number;
  /** Of those frames: 64x64x1. */
  readonly shape: string;
  /** Structure factor S over the wave number k (radians a pixel). */
  readonly structure_factor: {
    readonly k: readonly number[];
    readonly forecast: readonly number[];
    readonly truth: readonly number[];
  };
  /** Correlation over the distance, index 0 is 0 pixels. */
  readonly two_point: { readonly forecast: readonly number[]; readonly truth: readonly number[] };
}

export interface StatisticsReport {
  readonly threshold: number;
  readonly periodic: boolean;
  readonly leads: Readonly<
    Record<
      Statistic,
      {
        readonly forecast: OverSeries;
        readonly truth: OverSeries;
        /** Mean over series of |forecast - truth|, for each lead. */
        readonly error: readonly number[];
      }
    >
  >;
  /** Least and greatest value of any frame at any lead, in any series. */
  readonly extremes: { readonly forecast: Extremes; readonly truth: Extremes };
  readonly curves: readonly Curves[];
}
type Extremes = readonly [least: number, greatest: number];

interface Sum {
  total: number;
  count: number;
}
type ByLead = Record<Statistic, Sum[]>;
/** An entry for each statistic. */
export const eachStatistic = <T>(make: (name: Statistic) => T): Record<Statistic, T> =>
  Object.fromEntries(STATISTICS.map((name) => [name, make(name)])) as Record<Statistic, T>;

/** A window's frames at a lead, and those at the lead before: at lead 1 the last given frame. */
export interface LeadFrames {
  readonly predicted: Float32Array;
  readonly truth: Float32Array;
  readonly before: { readonly predicted: Float32Array; readonly truth: Float32Array };
  readonly shape: FrameShape;
}

const addTo = (sums: number[], values: readonly number[]): void =>
  values.forEach((value, i) => {
    sums[i] = (sums[i] ?? 0) + value;
  });

const addKnown = (sum: Sum, value: number): void => {
  if (Number.isNaN(value)) return;
  sum.total += value;
  sum.count++;
};

/** Adds up windows. Curves are of the leads in `shown`, of frames that have the first one's shape. */
export const collectStatistics = (horizon: number, shown: readonly number[], options: StatisticsOptions) => {
  const series = new Map<number, { forecast: ByLead; truth: ByLead; error: ByLead }>();
  const curves = shown.map((lead) => ({
    lead,
    count: 0,
    k: [] as readonly number[],
    forecast: [] as number[],
    truth: [] as number[],
    twoForecast: [] as number[],
    twoTruth: [] as number[],
  }));
  let curveShape: string | undefined;
  const extremes = { forecast: [Infinity, -Infinity] as Extremes, truth: [Infinity, -Infinity] as Extremes };
  const widened = ([low, high]: Extremes, { least, greatest }: Record<Statistic, number>): Extremes => [
    Math.min(low, least),
    Math.max(high, greatest),
  ];
  return {
    /** Frames at a lead (1 is the first) of a window of the series with this number. */
    add: (of: number, lead: number, { predicted, truth, before, shape }: LeadFrames): void => {
      const zeros = (): ByLead =>
        eachStatistic(() => Array.from({ length: horizon }, () => ({ total: 0, count: 0 })));
      const sums = series.get(of) ?? { forecast: zeros(), truth: zeros(), error: zeros() };
      series.set(of, sums);
      const a = statisticsOf(predicted, before.predicted, shape, options);
      const b = statisticsOf(truth, before.truth, shape, options);
      extremes.forecast = widened(extremes.forecast, a);
      extremes.truth = widened(extremes.truth, b);
      for (const name of STATISTICS) {
        addKnown(sums.forecast[name][lead - 1]!, a[name]);
        addKnown(sums.truth[name][lead - 1]!, b[name]);
        // What the truth has and the forecast has not is off by all of it.
        addKnown(sums.error[name][lead - 1]!, Math.abs((a[name] || 0) - b[name]));
      }
      const curve = curves.find((entry) => entry.lead === lead);
      curveShape ??= shape.join('x');
      if (curve === undefined || curveShape !== shape.join('x')) return;
      const planes = [planeOf(predicted, shape), planeOf(truth, shape)] as const;
      const [p, g] = [structureFactor(planes[0]), structureFactor(planes[1])];
      curve.k = g.k;
      curve.count++;
      addTo(curve.forecast, p.s);
      addTo(curve.truth, g.s);
      addTo(curve.twoForecast, twoPointCorrelation(planes[0], options.periodic));
      addTo(curve.twoTruth, twoPointCorrelation(planes[1], options.periodic));
    },
    report: (): StatisticsReport => {
      const all = [...series.values()];
      const means = (kind: 'forecast' | 'truth' | 'error', name: Statistic): number[][] =>
        all.map((sums) => sums[kind][name].map(({ total, count }) => total / count));
      const entry = (name: Statistic) => ({
        forecast: overSeries(means('forecast', name)),
        truth: overSeries(means('truth', name)),
        error: overSeries(means('error', name)).mean,
      });
      return {
        ...options,
        leads: eachStatistic(entry),
        extremes: { ...extremes },
        curves: curves.map(({ lead, count, k, forecast, truth, twoForecast, twoTruth }) => {
          const shares = (values: readonly number[]): number[] => values.map((value) => value / count);
          return {
            lead,
            shape: curveShape ?? '',
            structure_factor: { k, forecast: shares(forecast), truth: shares(truth) },
            two_point: { forecast: shares(twoForecast), truth: shares(twoTruth) },
          };
        }),
      };
    },
  };
};
