import { binOf, CLASSES, LEVELS, type Band, type Local } from './calibration.js';

/** Calibration values of one lead band, one entry for each pixel that was drawn. */
export interface Samples {
  /** Error over scale. */
  readonly ratio: Float32Array;
  readonly scale: Float32Array;
  /** Class of the forecast around it. */
  readonly classes: Uint8Array;
  /** 1 where the truth has an interface. */
  readonly interface: Uint8Array;
  /** Which series. */
  readonly series: Uint16Array;
}

/** Values that a class is divided into bins for, and that an interface is calibrated for. */
const ENOUGH = 500;
/** Bins of a class. */
const BINS = 6;

/** Draws values of frames until there are `most`, the same share of every frame. */
export const createSampler = (most: number, random: () => number) => {
  const ratio = new Float32Array(most);
  const scale = new Float32Array(most);
  const classes = new Uint8Array(most);
  const edge = new Uint8Array(most);
  const series = new Uint16Array(most);
  let n = 0;
  return {
    /** `errors` and `edges` belong to the values of the frame that `local` is of. */
    add: (of: number, share: number, errors: Float32Array, edges: Uint8Array, local: Local): void => {
      for (let i = 0; i < errors.length && n < most; i++) {
        if (share < 1 && random() >= share) continue;
        ratio[n] = errors[i]! / local.scale[i]!;
        scale[n] = local.scale[i]!;
        classes[n] = local.classes[i]!;
        edge[n] = edges[i]!;
        series[n++] = of;
      }
    },
    samples: (): Samples => ({
      ratio: ratio.subarray(0, n),
      scale: scale.subarray(0, n),
      classes: classes.subarray(0, n),
      interface: edge.subarray(0, n),
      series: series.subarray(0, n),
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
    Math.min(0.9995, Math.max(0, (level * n - top * onTop) / (n - onTop)));
  let [low, high] = [0, 0.9995];
  for (let round = 0; round < 30; round++) {
    const top = (low + high) / 2;
    const others = othersFor(top);
    const covered = total(bins, (bin) =>
      countUpTo(bin.interface, conformal(bin.basis, bin.top ? top : others)),
    );
    if (covered < level * interfaces) low = top;
    else high = top;
  }
  return { top: high, others: othersFor(high) };
};

const sortedOf = (samples: Samples, keep: (i: number) => boolean): Float32Array =>
  samples.ratio.filter((_, i) => keep(i)).sort();

/** The bins of one class: edges of scale that hold equally many values each. */
const edgesOf = (samples: Samples, of: number): number[] => {
  const scales = samples.scale.filter((_, i) => samples.classes[i] === of).sort();
  const bins = Math.min(BINS, Math.floor(scales.length / ENOUGH));
  const edges = Array.from(
    { length: Math.max(0, bins - 1) },
    (_, k) => scales[Math.floor(((k + 1) * scales.length) / bins)]!,
  );
  return [...new Set(edges)];
};

/** Fits the classes of a band to samples. A class that has too few takes the values of all. */
export const fitClasses = (samples: Samples): Band['classes'] => {
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
        so.push(Number(Math.max(factor, so.at(-1) ?? 0).toPrecision(6))); // a higher level is never narrower
      }),
    );
  }
  return edges.map((own, of) => ({ edges: own, factors: factors[of]! }));
};

/** Samples of some of the series. */
const of = (samples: Samples, keep: (series: number) => boolean): Samples => {
  const kept = (_: number, i: number): boolean => keep(samples.series[i]!);
  return {
    ratio: samples.ratio.filter(kept),
    scale: samples.scale.filter(kept),
    classes: samples.classes.filter(kept),
    interface: samples.interface.filter(kept),
    series: samples.series.filter(kept),
  };
};

/** Coverage at all levels, of all samples and of those on interfaces. */
const covered = (classes: Band['classes'], samples: Samples) => {
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
    if (rest.ratio.length === 0) throw new RangeError('coverage of others needs two series');
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
