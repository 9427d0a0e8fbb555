import type { HostTensor } from '../engine/types.js';
import { movesOf, type Moves } from '../forecaster/symmetries.js';
import type { FrameShape } from '../pipeline/frame.js';
import { normalisedParameters } from '../pipeline/parameters.js';
import { normalNumbers, streamSeed, uniformNumbers } from '../pipeline/random.js';
import { rangedParameters, type TrainOptions } from './options.js';
import { leadsAt, truthShareAt } from './schedule.js';
import { framesFrom, longestStretch, startsIn, type Series } from './series.js';
import { truthMasks, type ClipShape } from './train-step.js';

/** Transpose, then flip rows, then flip columns; and where what is taken of the frame begins, in pixels, around periodic edges. */
interface Symmetry extends Moves {
  readonly down: number;
  readonly right: number;
}

/**
 * Pixels at an edge that was cut which are not learned from, by how far the network is rolled out: what lies beyond the edge is
 * not there, and that spreads from lead to lead. So far inside, the networks that ship differ by .1 of the range at the most
 * (docs/performance.md, large frames). No more than a quarter of a part's side.
 */
const marginAt = (leads: number, side: number): number => {
  const margin = leads <= 20 ? 16 : leads <= 50 ? 32 : 64;
  return Math.min(margin, Math.floor(side / 4));
};

/** The options for a network of this stride: it divides its parts. */
export const divided = (options: TrainOptions, latentStride: number): TrainOptions => ({
  ...options,
  crop: Math.max(latentStride, options.crop - (options.crop % latentStride)),
});

/** Copies a part [h, w, C] of a frame [H, W, C] to `target` at `offset` under a symmetry; H = W where it transposes. */
const place = (
  frame: Float32Array,
  target: Float32Array,
  offset: number,
  [height, width, c]: FrameShape,
  [h, w]: FrameShape,
  { transpose, flipRows, flipColumns, down, right }: Symmetry,
): void => {
  for (let row = 0; row < h; row++) {
    for (let column = 0; column < w; column++) {
      const [y, x] = [(row + down) % height, (column + right) % width];
      const r = flipRows ? height - 1 - y : y;
      const k = flipColumns ? width - 1 - x : x;
      const from = (transpose ? k * width + r : r * width + k) * c;
      const to = offset + (row * w + column) * c;
      for (let channel = 0; channel < c; channel++) target[to + channel] = frame[from + channel] as number;
    }
  }
};

/** For each pixel along one side of a part, whether it is learned from: not at the edges that were cut, be they periodic. */
const learnedFrom = (
  { size, whole, from, margin }: Readonly<Record<'size' | 'whole' | 'from' | 'margin', number>>,
  isPeriodic: boolean,
): boolean[] =>
  Array.from({ length: size }, (_, k) => {
    if (size === whole) return true;
    const [isCutBefore, isCutAfter] = [isPeriodic || from > 0, isPeriodic || from + size < whole];
    return (!isCutBefore || k >= margin) && (!isCutAfter || k < size - margin);
  });

/** What a step takes in besides weights and numbers. */
export interface Clip {
  readonly shape: ClipShape;
  /**
   * `clip` [T, N, H, W, C]; `counted` [1, N, H, W, 1] of parts of frames, 1 where they are learned from and 0 elsewhere;
   * `conditions` [N, P], `noise` [context, N, H, W, C] and `truth` where the options ask for them.
   */
  readonly inputs: Readonly<Record<string, HostTensor>>;
}

/** What is drawn for one of the sequences of a clip. */
interface Draw {
  readonly of: Series;
  /** Place of its first frame. */
  readonly start: number;
  readonly symmetry: Symmetry;
}

/** Shares of the roll-in that steps have, in turn by chance. Each is a program of its own, so they are few. */
const ROLL_INS = [0, 0, 0.5, 1] as const;

/**
 * The clip of an iteration: random windows of random series of one size, each under a random one of the symmetries; of frames
 * that are larger than `crop` random parts. A function of the options and the iteration alone, so that a resumed training sees
 * what an uninterrupted one would have seen.
 */
export const sampleClip = async (
  series: readonly Series[],
  options: TrainOptions,
  iteration: number,
  leads = leadsAt(iteration, options),
): Promise<Clip> => {
  const { batch, context, boundary, crop, noise, sampling, seed } = options;
  const moves = movesOf(options.symmetries);
  const random = uniformNumbers(streamSeed(seed, iteration));
  const pick = (n: number): number => Math.floor(random() * n);
  const rollIn = options.rollIn > 0 ? Math.round(options.rollIn * ROLL_INS[pick(ROLL_INS.length)]!) : 0;
  const length = context + rollIn + leads;
  const long = series.filter((one) => longestStretch(one) >= length);
  const first = long[pick(long.length)] as Series;
  const same = long.filter(({ shape }) => shape.join() === first.shape.join());
  const [height, width, c] = first.shape;
  const frame: FrameShape = [Math.min(height, crop), Math.min(width, crop), c];
  const [h, w] = frame;
  const isPeriodic = boundary === 'periodic';
  /** Where a part begins. Of whole frames without periodic edges nothing is drawn. */
  const begin = (size: number, whole: number): number => {
    if (isPeriodic) return pick(whole);
    return size < whole ? pick(whole - size + 1) : 0;
  };
  const draws = Array.from({ length: batch }, (_, n): Draw => {
    const of = n === 0 ? first : (same[pick(same.length)] as Series);
    const starts = startsIn(of, length);
    const start = starts.at(pick(starts.count));
    const symmetry = {
      transpose: moves.transpose && height === width && random() < 0.5,
      flipRows: moves.flipRows && random() < 0.5,
      flipColumns: moves.flipColumns && random() < 0.5,
      down: begin(h, height),
      right: begin(w, width),
    };
    return { of, start, symmetry };
  });
  const parameters = rangedParameters(options);
  const told = parameters.length > 0 && { told: parameters.length };
  const isPart = h < height || w < width;
  const shape: ClipShape = {
    batch,
    context,
    leads,
    frame,
    sampling,
    noisy: noise > 0,
    ...(isPart && { isPart }),
    ...(rollIn > 0 && { rollIn }),
    ...told,
  };
  const normal = normalNumbers(random);
  const share = truthShareAt(iteration, options);
  const tensor = (dims: readonly number[], fill: (_: unknown, k: number) => number): HostTensor => ({
    shape: dims,
    dtype: 'float32',
    data: Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, fill),
  });
  const scalars = draws.flatMap(({ of }) => normalisedParameters(parameters, of.parameters));
  const conditions = told && { conditions: tensor([batch, told.told], (_, k) => scalars[k]!) };
  const noises = noise > 0 && { noise: tensor([context, batch, h, w, c], () => noise * normal()) };
  const masks = sampling !== 'free' && { truth: tensor(truthMasks(shape), () => (random() < share ? 1 : 0)) };
  const margin = marginAt(rollIn + leads, crop);
  const rows = draws.map(({ symmetry: { down: from } }) =>
    learnedFrom({ size: h, whole: height, from, margin }, isPeriodic),
  );
  const columns = draws.map(({ symmetry: { right: from } }) =>
    learnedFrom({ size: w, whole: width, from, margin }, isPeriodic),
  );
  const isCounted = (k: number): boolean => {
    const n = Math.floor(k / (h * w));
    return (rows[n]?.[Math.floor(k / w) % h] ?? false) && (columns[n]?.[k % w] ?? false);
  };
  const counted = isPart && { counted: tensor([1, batch, h, w, 1], (_, k) => Number(isCounted(k))) };
  const size = h * w * c;
  const data = new Float32Array(length * batch * size);
  const fill = async ({ of, start, symmetry }: Draw, n: number): Promise<void> => {
    const frames = await framesFrom(of, start, length);
    frames.forEach((one, t) => place(one, data, (t * batch + n) * size, first.shape, frame, symmetry));
  };
  await Promise.all(draws.map(fill));
  return {
    shape,
    inputs: {
      clip: { shape: [length, batch, h, w, c], dtype: 'float32', data },
      ...counted,
      ...conditions,
      ...noises,
      ...masks,
    },
  };
};

/** The clips of an iteration and all later ones; while one is trained on, the next is read. */
export const clipsFrom = async function* (
  series: readonly Series[],
  options: TrainOptions,
  first: number,
): AsyncGenerator<Clip> {
  const begin = (iteration: number): Promise<Clip> | undefined => {
    if (iteration >= options.iterations) return undefined;
    const clip = sampleClip(series, options, iteration);
    clip.catch(() => undefined); // whoever takes it hears of it
    return clip;
  };
  let next = begin(first);
  for (let iteration = first; next !== undefined; iteration++) {
    const clip = await next;
    next = begin(iteration + 1);
    yield clip;
  }
};
