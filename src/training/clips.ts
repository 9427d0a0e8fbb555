import type { HostTensor } from '../engine/types.js';
import { movesOf, type Moves } from '../forecaster/symmetries.js';
import { normalisedParameters } from '../pipeline/parameters.js';
import { normalNumbers, streamSeed, uniformNumbers } from '../pipeline/random.js';
import { rangedParameters, type TrainOptions } from './options.js';
import { leadsAt, truthShareAt } from './schedule.js';
import { framesFrom, longestStretch, startsIn, type Series } from './series.js';
import { truthMasks, type ClipShape } from './train-step.js';

/** Transpose, then flip rows, then flip columns; and how far the frame is shifted around its periodic edges, in pixels. */
interface Symmetry extends Moves {
  readonly down: number;
  readonly right: number;
}

/** Copies frame [H, W, C] to `target` at `offset` under a symmetry; H = W where it transposes. */
const place = (
  frame: Float32Array,
  target: Float32Array,
  offset: number,
  [h, w, c]: readonly [number, number, number],
  { transpose, flipRows, flipColumns, down, right }: Symmetry,
): void => {
  for (let row = 0; row < h; row++) {
    for (let column = 0; column < w; column++) {
      const [y, x] = [(row + down) % h, (column + right) % w];
      const r = flipRows ? h - 1 - y : y;
      const k = flipColumns ? w - 1 - x : x;
      const from = (transpose ? k * w + r : r * w + k) * c;
      const to = offset + (row * w + column) * c;
      for (let channel = 0; channel < c; channel++) target[to + channel] = frame[from + channel] as number;
    }
  }
};

/** What a step takes in besides weights and numbers. */
export interface Clip {
  readonly shape: ClipShape;
  /** `clip` [T, N, H, W, C]; `conditions` [N, P], `noise` [context, N, H, W, C] and `truth` where the options ask for them. */
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
 * The clip of an iteration: random windows of random series of one size, each under a random one of the symmetries. A function of
 * the options and the iteration alone, so that a resumed training sees what an uninterrupted one would have seen.
 */
export const sampleClip = async (
  series: readonly Series[],
  options: TrainOptions,
  iteration: number,
  leads = leadsAt(iteration, options),
): Promise<Clip> => {
  const { batch, context, boundary, noise, sampling, seed } = options;
  const moves = movesOf(options.symmetries);
  const random = uniformNumbers(streamSeed(seed, iteration));
  const pick = (n: number): number => Math.floor(random() * n);
  const rollIn = options.rollIn > 0 ? Math.round(options.rollIn * ROLL_INS[pick(ROLL_INS.length)]!) : 0;
  const length = context + rollIn + leads;
  const long = series.filter((one) => longestStretch(one) >= length);
  const first = long[pick(long.length)] as Series;
  const same = long.filter(({ shape }) => shape.join() === first.shape.join());
  const [h, w, c] = first.shape;
  const draws = Array.from({ length: batch }, (_, n): Draw => {
    const of = n === 0 ? first : (same[pick(same.length)] as Series);
    const starts = startsIn(of, length);
    const start = starts.at(pick(starts.count));
    const symmetry = {
      transpose: moves.transpose && h === w && random() < 0.5,
      flipRows: moves.flipRows && random() < 0.5,
      flipColumns: moves.flipColumns && random() < 0.5,
      down: boundary === 'periodic' ? pick(h) : 0,
      right: boundary === 'periodic' ? pick(w) : 0,
    };
    return { of, start, symmetry };
  });
  const parameters = rangedParameters(options);
  const told = parameters.length > 0 && { told: parameters.length };
  const shape: ClipShape = {
    batch,
    context,
    leads,
    frame: first.shape,
    sampling,
    noisy: noise > 0,
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
  const size = h * w * c;
  const data = new Float32Array(length * batch * size);
  const fill = async ({ of, start, symmetry }: Draw, n: number): Promise<void> => {
    const frames = await framesFrom(of, start, length);
    frames.forEach((frame, t) => place(frame, data, (t * batch + n) * size, first.shape, symmetry));
  };
  await Promise.all(draws.map(fill));
  return {
    shape,
    inputs: {
      clip: { shape: [length, batch, h, w, c], dtype: 'float32', data },
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
