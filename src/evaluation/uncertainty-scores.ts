import { crpsOfIntervals } from '../metrics/crps.js';
import { gradientMagnitude, INTERFACE_GRADIENT } from '../metrics/gradient.js';
import type { FrameShape } from '../pipeline/frame.js';
import type { ForecasterSet } from '../uncertainty/forecaster-set.js';
import {
  bandAt,
  bandsUpTo,
  intervalsAt,
  LEVELS,
  localOf,
  type Calibration,
} from '../uncertainty/calibration.js';

/** How well a forecast knew its own errors. Normalised values; lists have one entry for each lead unless they say other. */
export interface UncertaintyReport {
  /** Of series whose frames have fewer symmetries than others the fewest. */
  readonly members: number;
  /** Whether the spread is the distance from the forecast a frame earlier. */
  readonly lagged: boolean;
  /** Root mean square of the spread; where members err independently the RMSE of their mean is smaller by the root of their number. */
  readonly spread?: readonly number[];
  /** Set for a calibrated forecaster. */
  readonly intervals?: {
    readonly levels: readonly number[];
    readonly bands: readonly BandCoverage[];
    /** Mean width of the 90 % intervals: of all pixels, and of those on interfaces of the truth; NaN at leads without any. */
    readonly width: readonly number[];
    readonly interface_width: readonly number[];
    /** Coverage of the 90 % intervals. */
    readonly coverage: readonly number[];
    readonly interface_coverage: readonly number[];
    /** Continuous ranked probability score, from the intervals at 10 .. 90 %. */
    readonly crps: readonly number[];
    /** Mean absolute error: the CRPS of the forecast without its intervals, and of persistence. */
    readonly mae: readonly number[];
    readonly persistence_mae: readonly number[];
  };
}

/** Coverage of the leads `from` .. `to`, one entry for each level. */
export interface BandCoverage {
  readonly from: number;
  readonly to: number;
  readonly all: readonly number[];
  /** Of the pixels on interfaces of the truth; absent where there are none. */
  readonly interface?: readonly number[];
  /** Of the 90 % intervals: what other series of the same kind would make of it, from how these differ. Absent for one series. */
  readonly standard_error?: { readonly all: number; readonly interface?: number };
  /** Least and greatest coverage of the 90 % intervals in one series. */
  readonly series_range: readonly [least: number, greatest: number];
}

/** Values of a series that its 90 % intervals covered, and all; the same on interfaces of the truth. */
type Counts = readonly [covered: number, n: number, coveredInterface: number, interfaces: number];

/** Of the share covered / n over all series: that of a ratio of two sums over clusters (W. G. Cochran, Sampling Techniques, 1977). */
const standardError = (counts: readonly (readonly [covered: number, n: number])[]): number => {
  const [covered, n] = [0, 1].map((k) => counts.reduce((sum, one) => sum + one[k]!, 0)) as [number, number];
  const squares = counts.reduce((sum, one) => sum + (one[0] - (covered / n) * one[1]) ** 2, 0);
  return Math.sqrt((squares * counts.length) / (counts.length - 1)) / n;
};

const NINETY = LEVELS.indexOf(0.9);
/** The levels 0.1 .. 0.9. */
const TENTHS = NINETY + 1;

interface Sums {
  n: number;
  interfaces: number;
  spread2: number;
  crps: number;
  mae: number;
  persistence: number;
  width: number;
  interfaceWidth: number;
  readonly covered: number[];
  readonly coveredInterface: number[];
}
const sumsOf = (): Sums => ({
  n: 0,
  interfaces: 0,
  spread2: 0,
  crps: 0,
  mae: 0,
  persistence: 0,
  width: 0,
  interfaceWidth: 0,
  covered: LEVELS.map(() => 0),
  coveredInterface: LEVELS.map(() => 0),
});

export interface LeadForecast {
  readonly predicted: Float32Array;
  readonly spread: Float32Array | undefined;
  readonly truth: Float32Array;
  /** The last frame that was given. */
  readonly last: Float32Array;
  readonly shape: FrameShape;
  /** Of a lagged ensemble: its error about the last frame that was given. */
  readonly own?: Float32Array | undefined;
}

/** Adds up windows lead by lead. */
export const collectUncertainty = (
  horizon: number,
  { members, lagged }: Pick<ForecasterSet, 'members' | 'lagged'>,
  calibration: Calibration | undefined,
  periodic: boolean,
) => {
  const leads = Array.from({ length: horizon }, sumsOf);
  const bands = bandsUpTo(horizon, 'coarse');
  /** Of each band, for each series. */
  const perSeries = bands.map(() => new Map<number, Counts>());

  const addIntervals = (of: number, lead: number, forecast: LeadForecast, known: Calibration): void => {
    const { predicted, spread, truth, last, shape, own: aboutLast } = forecast;
    const sums = leads[lead - 1]!;
    const local = localOf(predicted, spread, shape, periodic, aboutLast);
    const { scale: scales, factors } = intervalsAt(bandAt(known, lead), local);
    const edges = gradientMagnitude(truth, shape, periodic);
    const halves = new Float64Array(TENTHS);
    let [covered, coveredInterface, interfaces] = [0, 0, 0];
    truth.forEach((value, i) => {
      const [own, scale] = [factors[i]!, scales[i]!];
      const error = Math.abs(value - predicted[i]!);
      const onInterface = edges[i]! > INTERFACE_GRADIENT ? 1 : 0;
      for (let k = own.length - 1; k >= 0 && error <= own[k]! * scale; k--) {
        sums.covered[k]!++;
        sums.coveredInterface[k]! += onInterface;
        if (k === NINETY) [covered, coveredInterface] = [covered + 1, coveredInterface + onInterface];
      }
      for (let k = 0; k < TENTHS; k++) halves[k] = own[k]! * scale;
      sums.interfaces += onInterface;
      interfaces += onInterface;
      sums.width += 2 * own[NINETY]! * scale;
      sums.interfaceWidth += onInterface * 2 * own[NINETY]! * scale;
      sums.crps += crpsOfIntervals(predicted[i]!, halves, value);
      sums.mae += error;
      sums.persistence += Math.abs(value - last[i]!);
    });
    const entries = perSeries[bands.findIndex(({ to }) => lead <= to)]!;
    const [c, n, ci, ni] = entries.get(of) ?? [0, 0, 0, 0];
    entries.set(of, [c + covered, n + truth.length, ci + coveredInterface, ni + interfaces]);
  };

  return {
    /** The forecast at a lead (1 is the first) of a window of the series with this number. */
    add: (of: number, lead: number, forecast: LeadForecast): void => {
      const sums = leads[lead - 1]!;
      sums.n += forecast.truth.length;
      forecast.spread?.forEach((value) => (sums.spread2 += value * value));
      if (calibration !== undefined) addIntervals(of, lead, forecast, calibration);
    },
    report: (): UncertaintyReport | undefined => {
      if (members === 1 && !lagged && calibration === undefined) return undefined;
      const coverage = (from: number, to: number) => {
        const some = leads.slice(from - 1, to);
        const share = (count: (sums: Sums) => number, of: (sums: Sums) => number): number =>
          some.reduce((sum, one) => sum + count(one), 0) / some.reduce((sum, one) => sum + of(one), 0);
        const interfaces = some.some((one) => one.interfaces > 0);
        return {
          all: LEVELS.map((_, k) =>
            share(
              ({ covered }) => covered[k]!,
              ({ n }) => n,
            ),
          ),
          ...(interfaces && {
            interface: LEVELS.map((_, k) =>
              share(
                ({ coveredInterface }) => coveredInterface[k]!,
                (one) => one.interfaces,
              ),
            ),
          }),
        };
      };
      const perPixel = (pick: (sums: Sums) => number): number[] => leads.map((sums) => pick(sums) / sums.n);
      const perInterface = (pick: (sums: Sums) => number): number[] =>
        leads.map((sums) => pick(sums) / sums.interfaces);
      return {
        members,
        lagged,
        ...((members > 1 || lagged) && { spread: perPixel(({ spread2 }) => spread2).map(Math.sqrt) }),
        ...(calibration !== undefined && {
          intervals: {
            levels: [...LEVELS],
            bands: bands.map(({ from, to }, k) => {
              const counts = [...perSeries[k]!.values()];
              const shares = counts.map(([covered, n]) => covered / n);
              const onInterfaces = counts.flatMap(([, , covered, n]) =>
                n > 0 ? [[covered, n] as const] : [],
              );
              return {
                from,
                to,
                ...coverage(from, to),
                ...(counts.length > 1 && {
                  standard_error: {
                    all: standardError(counts.map(([covered, n]) => [covered, n])),
                    // Of a single series nobody knows it.
                    ...(onInterfaces.length > 1 && { interface: standardError(onInterfaces) }),
                  },
                }),
                series_range: [Math.min(...shares), Math.max(...shares)] as const,
              };
            }),
            width: perPixel(({ width }) => width),
            interface_width: perInterface(({ interfaceWidth }) => interfaceWidth),
            coverage: perPixel(({ covered }) => covered[NINETY]!),
            interface_coverage: perInterface(({ coveredInterface }) => coveredInterface[NINETY]!),
            crps: perPixel(({ crps }) => crps),
            mae: perPixel(({ mae }) => mae),
            persistence_mae: perPixel(({ persistence }) => persistence),
          },
        }),
      };
    },
  };
};
