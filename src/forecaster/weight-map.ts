import { z } from 'zod';
import type { Weight } from './safetensors.js';

/** Where one weight of a forecaster comes from. */
export type Source =
  | string
  | number
  | { outputs: Source[] }
  | { inputs: Source[] }
  | { sum: Source[] }
  | { of: Source; gates: string }
  | { of: string; layout: 'IO' };

/** The order of an LSTM's gates in mesocast's networks. */
const OURS = ['i', 'f', 'o', 'g'] as const;

const sources = z.array(z.lazy(() => source)).min(1);
const source: z.ZodType<Source> = z.lazy(() =>
  z.union(
    [
      z.string(),
      z.number(),
      z.strictObject({ outputs: sources }),
      z.strictObject({ inputs: sources }),
      z.strictObject({ sum: sources }),
      z.strictObject({
        of: source,
        gates: z
          .string()
          .refine(
            (order) => order.length === 4 && OURS.every((gate) => order.includes(gate)),
            'each of i, f, o, g once',
          ),
      }),
      z.strictObject({ of: z.string(), layout: z.literal('IO') }),
    ],
    {
      error:
        'not a name, a number, { outputs }, { inputs }, { sum }, { of, gates: "ifgo" } or { of, layout: "IO" }',
    },
  ),
);

/**
 * map.json: for weights of the forecaster that are called otherwise in the file, where they come from; and names of the
 * file to `ignore`, with * for any characters.
 */
export const weightMapSchema = z.object({ ignore: z.array(z.string()).default([]) }).catchall(source);
export interface WeightMap {
  readonly ignore: readonly string[];
  readonly weights: Readonly<Record<string, Source>>;
}

const count = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** `perm` applied to axes, values moved along. */
const transposed = ({ shape, data }: Weight, perm: readonly number[]): Weight => {
  const strides = shape.map((_, axis) => count(shape.slice(axis + 1)));
  const result = perm.map((axis) => shape[axis] as number);
  const steps = perm.map((axis) => strides[axis] as number);
  const moved = new Float32Array(data.length);
  const index = result.map(() => 0);
  let from = 0;
  for (let to = 0; to < moved.length; to++) {
    moved[to] = data[from] as number;
    for (let axis = result.length - 1; axis >= 0; axis--) {
      from += steps[axis] as number;
      if (++index[axis]! < (result[axis] as number)) break;
      from -= (steps[axis] as number) * (result[axis] as number);
      index[axis] = 0;
    }
  }
  return { shape: result, data: moved };
};

/** Rows and columns of a filter [..., I, O] in the opposite order. */
const turned = ({ shape, data }: Weight): Weight => {
  const size = count(shape.slice(-2));
  const result = new Float32Array(data.length);
  for (let k = 0; k < data.length; k += size) result.set(data.subarray(k, k + size), data.length - size - k);
  return { shape, data: result };
};

/**
 * PyTorch's outputs and inputs first, [O, I, ...], to tfjs's last, [..., I, O]. Of a transposed convolution, [I, O, ...], the
 * filter of the convolution that does the same where the stride is 1: turned by half a turn.
 */
const channelsLast = (weight: Weight, order: 'OI' | 'IO'): Weight => {
  const { length } = weight.shape;
  if (length < 2) return weight;
  const space = weight.shape.map((_, axis) => axis).slice(2);
  return order === 'OI' ? transposed(weight, [...space, 1, 0]) : turned(transposed(weight, [...space, 0, 1]));
};

/** Laid behind each other along an axis, counted from the last (-1). */
const joined = (parts: readonly Weight[], fromLast: number): Weight => {
  const [{ shape }] = parts as [Weight];
  const axis = shape.length + fromLast;
  const other = (part: Weight): string => part.shape.map((d, k) => (k === axis ? '' : d)).join();
  if (axis < 0 || parts.some((part) => other(part) !== other(parts[0] as Weight)))
    throw new Error(`${parts.map((part) => `[${part.shape.join(', ')}]`).join(' and ')} cannot be joined`);
  const result = shape.map((d, k) =>
    k === axis ? parts.reduce((sum, part) => sum + (part.shape[k] ?? 0), 0) : d,
  );
  const data = new Float32Array(count(result));
  let at = 0;
  for (let block = 0; block < count(shape.slice(0, axis)); block++) {
    for (const part of parts) {
      const size = count(part.shape.slice(axis));
      data.set(part.data.subarray(block * size, (block + 1) * size), at);
      at += size;
    }
  }
  return { shape: result, data };
};

const added = (parts: readonly Weight[]): Weight => {
  const [first] = parts as [Weight];
  if (parts.some(({ shape }) => shape.join() !== first.shape.join()))
    throw new Error(`${parts.map((part) => `[${part.shape.join(', ')}]`).join(' and ')} cannot be added`);
  return {
    shape: first.shape,
    data: first.data.map((_, k) => parts.reduce((sum, { data }) => sum + (data[k] ?? 0), 0)),
  };
};

/** A quarter of the outputs. */
const quarter = ({ shape, data }: Weight, which: number): Weight => {
  const outputs = shape.at(-1) ?? 0;
  if (outputs % 4 !== 0) throw new Error(`[${shape.join(', ')}] has no four gates`);
  const part = outputs / 4;
  const mine = (_: number, k: number): boolean => Math.floor((k % outputs) / part) === which;
  return { shape: [...shape.slice(0, -1), part], data: data.filter(mine) };
};

/**
 * The weight that a source describes, in tfjs's layout. `wanted` is the shape that a number fills; `take` hands over a
 * tensor of the file by name.
 * @throws Error saying what does not fit together
 */
export const resolveSource = (
  from: Source,
  wanted: readonly number[],
  take: (name: string) => Weight,
): Weight => {
  const resolve = (inner: Source): Weight => resolveSource(inner, wanted, take);
  if (typeof from === 'string') return channelsLast(take(from), 'OI');
  if (typeof from === 'number') return { shape: wanted, data: new Float32Array(count(wanted)).fill(from) };
  if ('outputs' in from) return joined(from.outputs.map(resolve), -1);
  if ('inputs' in from) return joined(from.inputs.map(resolve), -2);
  if ('sum' in from) return added(from.sum.map(resolve));
  if ('layout' in from) return channelsLast(take(from.of), 'IO');
  const whole = resolve(from.of);
  return joined(
    OURS.map((gate) => quarter(whole, from.gates.indexOf(gate))),
    -1,
  );
};
