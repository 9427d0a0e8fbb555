import {
  binOf,
  CLASSES,
  LEVELS,
  regressorsOf,
  scaleBy,
  type Band,
  type Law,
  type Local,
  type Whole,
} from './calibration.js';

/** Calibration values of one lead band, one entry for each pixel that was drawn. */
export interface Samples {
  /** Normalised values, as `scale`. */
  readonly error: Float32Array;
  readonly scale: Float32Array;
  /** Class of the forecast around it. */
  readonly classes: Uint8Array;
  /** 1 where the truth has an interface. */
  readonly interface: Uint8Array;
  /** Which series. */
  readonly series: Uint16Array;
  /** Of a lagged ensemble, how the series fares. */
  readonly whole: readonly (Whole | undefined)[];
}

/** Samples with their errors as multiples of the scales that laws make of theirs. */
interface Scaled extends Samples {
  readonly ratio: Float32Array;
}

/** Values that a class is divided into bins for, and that an interface is calibrated for. */
const ENOUGH = 500;
/** Bins of a class. */
const BINS = 6;
/** Levels for interfaces of the forecast that are tried, before the one that is looked for is narrowed down. */
const TRIED = 200;
/** The highest level that is asked for anywhere. */
const MOST = 0.9995;

/** Draws values of frames until there are `most`, the same share of every frame. */
export const createSampler = (most: number, random: () => number) => {
  const error = new Float32Array(most);
  const scale = new Float32Array(most);
  const classes = new Uint8Array(most);
  const edge = new Uint8Array(most);
  const series = new Uint16Array(most);
  const whole: (Whole | undefined)[] = [];
  let n = 0;
  return {
    /** `errors` and `edges` belong to the values of the frame that `local` is of. */
    add: (of: number, share: number, errors: Float32Array, edges: Uint8Array, local: Local): void => {
      for (let i = 0; i < errors.length && n < most; i++) {
        if (share < 1 && random() >= share) continue;
        error[n] = errors[i]!;
        scale[n] = local.scale[i]!;
        classes[n] = local.classes[i]!;
        edge[n] = edges[i]!;
        whole[n] = local.whole;
        series[n++] = of;
      }
    },
    samples: (): Samples => ({
      error: error.subarray(0, n),
      scale: scale.subarray(0, n),
      classes: classes.subarray(0, n),
      interface: edge.subarray(0, n),
      series: series.subarray(0, n),
      whole,
    }),
  };
};

/** A bin of a class: ratios are ascending. */
interface Bin {
  readonly top: boolean;
  /** Pixels in it. */
  readonly count: number;
  /** What its quantiles are taken from: its own pixels, or those of all bins where these are too few. */
  readonly basis: Float32Array;
  /** Its pixels on interfaces of the truth. */
  readonly interface: Float32Array;
}

/** The conformal quantile: the ceil((n + 1) level)-th of n ascending values (Vovk et al.; Lei et al., JASA 113, 2018). */
const conformal = (ascending: Float32Array, level: number): number =>
  ascending[Math.min(ascending.length, Math.max(1, Math.ceil((ascending.length + 1) * level))) - 1] ?? 0;

/** How many of ascending values are at most `limit`. */
const countUpTo = (ascending: Float32Array, limit: number): number => {
  let [low, high] = [0, ascending.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ascending[middle]! <= limit) low = middle + 1;
    else high = middle;
  }
  return low;
};

const total = (bins: readonly Bin[], of: (bin: Bin) => number): number =>
  bins.reduce((sum, bin) => sum + of(bin), 0);

/**
 * Split conformal prediction with groups (Mondrian: Vovk 2012), where the groups are what the forecast looks like and
 * how large its scale is. Groups can only be told by the forecast, but an interface that moved is where the forecast has
 * none: so the level asked of the groups on interfaces of the forecast is raised, and that of the others lowered, until
 * the coverage is `level` both of all pixels and of those on interfaces of the truth.
 */
const levelsFor = (level: number, bins: readonly Bin[]): { top: number; others: number } => {
  const n = total(bins, ({ count }) => count);
  const onTop = total(bins, ({ top, count }) => (top ? count : 0));
  const interfaces = total(bins, (bin) => bin.interface.length);
  if (interfaces < ENOUGH || onTop < ENOUGH || n - onTop < ENOUGH) return { top: level, others: level };
  const othersFor = (top: number): number =>
    Math.min(MOST, Math.max(0, (level * n - top * onTop) / (n - onTop)));
  // Below it not even the most elsewhere would bring the coverage of all pixels to the level.
  const least = Math.max(0, (level * n - MOST * (n - onTop)) / onTop);
  const coveredBy = (top: number): number => {
    const others = othersFor(top);
    return total(bins, (bin) => countUpTo(bin.interface, conformal(bin.basis, bin.top ? top : others)));
  };
  // More at the top is less elsewhere: where most interfaces of the forecast are false, coverage need not rise with it.
  const tried = Array.from({ length: TRIED }, (_, k) => least + ((MOST - least) * (k + 1)) / TRIED);
  const covered = tried.map(coveredBy);
  const enough = covered.findIndex((count) => count >= level * interfaces);
  const best = enough < 0 ? covered.indexOf(Math.max(...covered)) : enough;
  let [low, high] = [tried[best - 1] ?? least, tried[best]!];
  for (let round = 0; round < 30 && enough >= 0; round++) {
    const top = (low + high) / 2;
    if (coveredBy(top) < level * interfaces) low = top;
    else high = top;
  }
  return { top: high, others: othersFor(high) };
};

const sortedOf = (samples: Scaled, keep: (i: number) => boolean): Float32Array =>
  samples.ratio.filter((_, i) => keep(i)).sort();

/** The bins of one class: edges of scale that hold equally many values each. */
const edgesOf = (samples: Scaled, of: number): number[] => {
  const scales = samples.scale.filter((_, i) => samples.classes[i] === of).sort();
  const bins = Math.min(BINS, Math.floor(scales.length / ENOUGH));
  const edges = Array.from(
    { length: Math.max(0, bins - 1) },
    (_, k) => scales[Math.floor(((k + 1) * scales.length) / bins)]!,
  );
  return [...new Set(edges)];
};

/** x of A x = b, for a symmetric positive definite A, by elimination; both are overwritten. */
const solve = (a: Float64Array[], b: Float64Array): Float64Array => {
  const n = b.length;
  for (let p = 0; p < n; p++)
    for (let r = p + 1; r < n; r++) {
      const share = a[r]![p]! / a[p]![p]!;
      for (let c = p; c < n; c++) a[r]![c]! -= share * a[p]![c]!;
      b[r]! -= share * b[p]!;
    }
  for (let r = n - 1; r >= 0; r--) {
    for (let c = r + 1; c < n; c++) b[r]! -= a[r]![c]! * b[c]!;
    b[r]! /= a[r]![r]!;
  }
  return b;
};

/** Added to errors, of which a law has the logarithm: single precision tells no smaller ones. */
const SMALLEST_ERROR = 1e-7;
/** Pull of a law's exponents to zero, for series that are too few or too alike to tell them. */
const RIDGE = 1e-3;

/** The law of a class, by least squares of the errors' logarithms; undefined for what is not lagged. */
const lawOf = ({ error, scale, classes, whole }: Samples, of: number): Law | undefined => {
  const enough = classes.filter((one) => one === of).length >= ENOUGH;
  const products = Array.from({ length: 4 }, () => new Float64Array(4));
  const right = new Float64Array(4);
  let n = 0;
  error.forEach((value, i) => {
    const known = whole[i];
    if (known === undefined || (enough && classes[i] !== of)) return;
    const x = regressorsOf(scale[i]!, known);
    n++;
    x.forEach((a, r) => {
      right[r]! += a * Math.log(value + SMALLEST_ERROR);
      x.forEach((b, c) => (products[r]![c]! += a * b));
    });
  });
  if (n === 0) return undefined;
  for (let r = 1; r < 4; r++) products[r]![r]! += RIDGE * n;
  const [constant = 0, spread = 0, ofFrame = 0, own = 0] = Array.from(solve(products, right), (value) =>
    Number(value.toPrecision(6)),
  );
  return { constant, spread, whole: ofFrame, own };
};

const scaled = (samples: Samples, laws: readonly (Law | undefined)[]): Scaled => {
  const scale = samples.scale.map((value, i) => scaleBy(laws[samples.classes[i]!], value, samples.whole[i]));
  return { ...samples, scale, ratio: samples.error.map((value, i) => value / scale[i]!) };
};

/** Fits the classes of a band to samples. A class that has too few takes the values of all. */
export const fitClasses = (raw: Samples): Band['classes'] => {
  const laws = Array.from({ length: CLASSES }, (_, of) => lawOf(raw, of));
  const samples = scaled(raw, laws);
  const edges = Array.from({ length: CLASSES }, (_, of) => edgesOf(samples, of));
  const place = Array.from(samples.classes, (of, i) => binOf(edges[of]!, samples.scale[i]!));
  const every = sortedOf(samples, () => true);
  const bins = edges.map((own, of) =>
    Array.from({ length: own.length + 1 }, (_, k): Bin => {
      const inside = (i: number): boolean => samples.classes[i] === of && place[i] === k;
      const all = sortedOf(samples, inside);
      return {
        top: of === CLASSES - 1,
        count: all.length,
        basis: all.length < ENOUGH / 2 ? every : all,
        interface: sortedOf(samples, (i) => inside(i) && samples.interface[i] === 1),
      };
    }),
  );
  const factors = bins.map((own) => own.map(() => [] as number[]));
  for (const level of LEVELS) {
    const wanted = levelsFor(level, bins.flat());
    bins.forEach((own, of) =>
      own.forEach((bin, k) => {
        const so = factors[of]![k]!;
        const factor = conformal(bin.basis, bin.top ? wanted.top : wanted.others);
        so.push(roundedUp(Math.max(factor, so.at(-1) ?? 0))); // a higher level is never narrower
      }),
    );
  }
  return edges.map((own, of) => {
    const law = laws[of];
    return { ...(law && { law }), edges: own, factors: factors[of]! };
  });
};

/** To six digits, never down: errors of a few grey levels are many times the same number, and all are to be inside. */
const roundedUp = (factor: number): number => {
  const near = Number(factor.toPrecision(6));
  return near >= factor ? near : Number((factor * (1 + 5e-6)).toPrecision(6));
};

/** Samples of some of the series. */
const of = (samples: Samples, keep: (series: number) => boolean): Samples => {
  const kept = (_: unknown, i: number): boolean => keep(samples.series[i]!);
  return {
    error: samples.error.filter(kept),
    scale: samples.scale.filter(kept),
    classes: samples.classes.filter(kept),
    interface: samples.interface.filter(kept),
    series: samples.series.filter(kept),
    whole: samples.whole.filter(kept),
  };
};

/** Coverage at all levels, of all samples and of those on interfaces. */
const covered = (classes: Band['classes'], raw: Samples) => {
  const samples = scaled(
    raw,
    classes.map(({ law }) => law),
  );
  const counts = { all: LEVELS.map(() => 0), interface: LEVELS.map(() => 0) };
  let interfaces = 0;
  samples.ratio.forEach((ratio, i) => {
    const { edges, factors } = classes[samples.classes[i]!]!;
    const limits = factors[binOf(edges, samples.scale[i]!)]!;
    interfaces += samples.interface[i]!;
    for (let k = limits.length - 1; k >= 0 && ratio <= limits[k]!; k--) {
      counts.all[k]!++;
      counts.interface[k]! += samples.interface[i]!;
    }
  });
  return { ...counts, n: samples.ratio.length, interfaces };
};

/**
 * The coverage to expect of series that were not calibrated on: each half of the series is covered by what the other
 * half gives. Of interfaces only where there are enough of them.
 * @throws RangeError for fewer than two series
 */
export const crossCoverage = (samples: Samples): Band['expected'] => {
  const [a, b] = [0, 1].map((half) => {
    const rest = of(samples, (series) => series % 2 !== half);
    if (rest.error.length === 0) throw new RangeError('coverage of others needs two series');
    return covered(
      fitClasses(rest),
      of(samples, (series) => series % 2 === half),
    );
  }) as [Covered, Covered];
  const shares = (one: readonly number[], other: readonly number[], count: number): number[] =>
    one.map((value, k) => Number(((value + other[k]!) / count).toFixed(4)));
  const interfaces = a.interfaces + b.interfaces;
  return {
    all: shares(a.all, b.all, a.n + b.n),
    ...(interfaces >= ENOUGH && { interface: shares(a.interface, b.interface, interfaces) }),
  };
};
type Covered = ReturnType<typeof covered>;
