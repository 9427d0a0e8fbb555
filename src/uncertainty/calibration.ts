import { z } from 'zod';
import { gradientMagnitude, localRms } from '../metrics/gradient.js';
import type { FrameShape } from '../pipeline/frame.js';

const count = z.number().int().positive();
const share = z.number().min(0).max(1);

/** Levels of the central intervals that a calibration has. The first nine make the CRPS. */
export const LEVELS = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99] as const;

/** Coverage of the intervals, for each level. */
const coverageSchema = z.strictObject({
  all: z.array(share).describe('of all pixels'),
  interface: z.array(share).optional().describe('of the pixels on interfaces'),
});

/**
 * What the errors of a series follow: log scale = constant + spread log(spread at the pixel) + whole log(spread over the whole
 * frame) + own log(own error). Each a root mean square of normalised values.
 */
const lawSchema = z.strictObject({
  constant: z.number(),
  spread: z.number(),
  whole: z.number(),
  own: z.number(),
});
export type Law = z.output<typeof lawSchema>;

/** Leads `from` .. `to`, the intervals of which have one calibration. */
const bandSchema = z.strictObject({
  from: count,
  to: count,
  /** How the forecast looks around a pixel: no interface, near one, on one. */
  classes: z.array(
    z.strictObject({
      law: lawSchema.optional().describe('of a lagged ensemble: how its scale is made'),
      /** Scales between the bins, ascending. */
      edges: z.array(z.number()),
      /** For each bin and level: half the interval's width as a multiple of the scale. */
      factors: z.array(z.array(z.number().nonnegative()).length(LEVELS.length)).min(1),
    }),
  ),
  expected: coverageSchema.describe('on the halves of the series that were left out, in turn'),
});

/** Version of the files that are written. Those of version 1 are for scales that none is made by any more. */
export const FORMAT = 2;

/** calibration.json: how wide the intervals of one forecaster have to be. */
export const calibrationSchema = z.strictObject({
  format: z.literal([1, FORMAT]).describe('version of this file'),
  forecaster: z.string().describe('hash of the forecaster that it belongs to'),
  members: count.describe('members of the ensemble'),
  lagged: z
    .boolean()
    .optional()
    .describe('whether the spread is the distance from the forecast a frame earlier'),
  context: count,
  horizon: count,
  stride: count,
  series: count,
  windows: count,
  levels: z.array(share).length(LEVELS.length),
  bands: z.array(bandSchema).min(1),
});
export type Calibration = z.output<typeof calibrationSchema>;
export type Band = Calibration['bands'][number];

interface Leads {
  readonly from: number;
  readonly to: number;
}
/** Last leads of the bands that are calibrated by themselves: errors within one do not differ much. */
const FINE = [2, 5, 9, 14, 20, 29, 39, 50, 70, 100, 140, 200, 300, 500];
/** Last leads of the bands that coverage is told of. */
const COARSE = [5, 20, 50, 100, 200, 500];
/** The lead bands 1-2, 3-5, 6-9, ... (fine) or 1-5, 6-20, 21-50, ... (coarse) up to a horizon. */
export const bandsUpTo = (horizon: number, which: 'fine' | 'coarse'): readonly Leads[] => {
  const ends = [...(which === 'fine' ? FINE : COARSE).filter((end) => end < horizon), horizon];
  return ends.map((to, k) => ({ from: (ends[k - 1] ?? 0) + 1, to }));
};

/** Gradients of the forecast around a pixel (normalised values a pixel) at which the class changes. */
const CLASS_EDGES = [0.02, 0.1];
export const CLASSES = CLASS_EDGES.length + 1;
/**
 * Added to every scale: where an ensemble agrees fully, an error is still possible. The rounding of single precision: how far
 * members differ tells of errors down to there.
 */
const FLOOR = 1e-7;

/** How a series of a lagged ensemble fares, root mean squares over the frame. */
export interface Whole {
  /** The spread at this lead. */
  readonly spread: number;
  /** How wrong the forecast made a frame earlier was about the newest frame. */
  readonly own: number;
}

/** What the width of an interval depends on, for each value of a frame. */
export interface Local {
  /** 0 .. CLASSES - 1, the last on interfaces of the forecast. */
  readonly classes: Uint8Array;
  /** Normalised values; an error is expected to grow with it. */
  readonly scale: Float32Array;
  /** Of a lagged ensemble. */
  readonly whole?: Whole;
}

const rms = (values: Float32Array): number =>
  Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);

/**
 * Looks at a forecast around each of its values: the gradient says whether an interface is there; the spread of the
 * ensemble, and for a single forecast the gradient again, says how large errors may be. Both are root mean squares over
 * 3 x 3 pixels. Normalised frames [H, W, C]. `own` is the error about the newest frame, of a lagged ensemble.
 */
export const localOf = (
  frame: Float32Array,
  spread: Float32Array | undefined,
  shape: FrameShape,
  periodic: boolean,
  own?: Float32Array,
): Local => {
  const gradient = localRms(gradientMagnitude(frame, shape, periodic), shape, periodic);
  const scale = (spread === undefined ? gradient : localRms(spread, shape, periodic)).map(
    (value) => value + FLOOR,
  );
  return {
    classes: Uint8Array.from(gradient, (value) => binOf(CLASS_EDGES, value)),
    scale,
    ...(own && { whole: { spread: rms(scale), own: rms(own) + FLOOR } }),
  };
};

/** How many of the ascending edges a value has passed. */
export const binOf = (edges: readonly number[], value: number): number => {
  let bin = 0;
  while (bin < edges.length && value > edges[bin]!) bin++;
  return bin;
};

/** The band that a lead is in. @throws RangeError beyond the horizon */
export const bandAt = ({ bands, horizon }: Calibration, lead: number): Band => {
  const band = bands.find(({ to }) => lead <= to);
  if (band === undefined) throw new RangeError(`lead ${lead} of a calibration for ${horizon}`);
  return band;
};

/** The logarithms that a law is a sum of. */
export const regressorsOf = (scale: number, whole: Whole): readonly [number, number, number, number] => [
  1,
  Math.log(scale),
  Math.log(whole.spread),
  Math.log(whole.own),
];

/** The scale that a law makes of the spread at a pixel. @throws RangeError for a law without what it is of */
export const scaleBy = (law: Law | undefined, scale: number, whole: Whole | undefined): number => {
  if (law === undefined) return scale;
  if (whole === undefined)
    throw new RangeError('these intervals are of a lagged ensemble, the forecast is not');
  const [one, spread, ofFrame, own] = regressorsOf(scale, whole);
  return Math.exp(law.constant * one + law.spread * spread + law.whole * ofFrame + law.own * own);
};

/** For each value of a frame, its scale, and half the widths of the intervals at all levels as multiples of it. */
export const intervalsAt = (
  { classes }: Band,
  local: Local,
): { readonly scale: Float32Array; readonly factors: readonly (readonly number[])[] } => {
  const at = (i: number): Band['classes'][number] => classes[local.classes[i]!]!;
  const scale = local.scale.map((value, i) => scaleBy(at(i).law, value, local.whole));
  const factors = Array.from(scale, (value, i) => at(i).factors[binOf(at(i).edges, value)]!);
  return { scale, factors };
};

/** Half the width of the central interval at a level, for each value of a frame at a lead; normalised values. */
export const halfWidths = (
  calibration: Calibration,
  level: number,
  lead: number,
  local: Local,
): Float32Array => {
  const at = calibration.levels.indexOf(level);
  const { scale, factors } = intervalsAt(bandAt(calibration, lead), local);
  return scale.map((value, i) => value * factors[i]![at]!);
};
