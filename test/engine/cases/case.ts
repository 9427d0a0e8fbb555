import type { Tensor, Tensor3D, Tensor4D, Tensor5D } from '@tensorflow/tfjs-core';
import * as fc from 'fast-check';
import { randomNumbers } from '../../support/engine-compare.js';
import type { HostTensor, Named } from '../../../src/engine/types.js';

/** What a case asks of chance. */
export interface Draw {
  /** A whole number, both ends included. */
  whole(low: number, high: number): number;
  pick<T>(...values: readonly T[]): T;
  yes(): boolean;
  shape(rank: number, largest?: number): number[];
  /** Two shapes that broadcast to one. */
  broadcasting(): [number[], number[]];
  /** Some of the axes 0 .. rank - 1, in order, at least one. */
  axes(rank: number): number[];
  /** All of 0 .. n - 1 in some order. */
  permutation(n: number): number[];
  floats(shape: readonly number[], low?: number, high?: number): HostTensor;
  wholes(shape: readonly number[], low: number, high: number): HostTensor;
  truths(shape: readonly number[]): HostTensor;
  /** Of any type; mostly floats, for their gradients. */
  any(shape: readonly number[]): HostTensor;
  /** Floats out of a list: for ties, zeros, halves, infinities. */
  among(shape: readonly number[], values: readonly number[]): HostTensor;
}

type Operation = (tensors: Named<Tensor>) => Tensor | Tensor[];

export interface Drawn {
  readonly inputs: Named<HostTensor>;
  readonly fn: Operation;
  /** The same in other operations, where the reference itself is known to be wrong. */
  readonly oracle?: Operation;
  /** Inputs to differentiate by; all of type float32 unless said otherwise. */
  readonly gradients?: readonly string[];
}

/** One way to use a kernel. It fails if the kernel is not reached. */
export interface Case {
  readonly kernel: string;
  readonly name: string;
  readonly draw: (draw: Draw) => Drawn;
}

/** Cases named after their kernel. */
export const cases = (entries: Record<string, Case['draw']>): Case[] =>
  Object.entries(entries).map(([name, draw]) => ({ kernel: name.split(' ')[0] as string, name, draw }));

const count = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

const drawFrom = (g: fc.GeneratorValue): Draw => {
  const whole = (min: number, max: number): number => g(fc.integer, { min, max });
  const pick = <T>(...values: readonly T[]): T => values[whole(0, values.length - 1)] as T;
  const shape = (rank: number, largest = 4): number[] =>
    Array.from({ length: rank }, () => whole(1, largest));
  const numbers = (size: readonly number[], make: (unit: number) => number): number[] => {
    const next = randomNumbers(whole(0, 2 ** 30));
    return Array.from({ length: count(size) }, () => make((next() + 1) / 2));
  };
  const floats: Draw['floats'] = (size, low = -1, high = 1) => ({
    shape: size,
    dtype: 'float32',
    data: Float32Array.from(numbers(size, (u) => low + u * (high - low))),
  });
  const wholes: Draw['wholes'] = (size, low, high) => ({
    shape: size,
    dtype: 'int32',
    data: Int32Array.from(numbers(size, (u) => Math.min(high, low + Math.floor(u * (high - low + 1))))),
  });
  const truths: Draw['truths'] = (size) => ({
    shape: size,
    dtype: 'bool',
    data: Uint8Array.from(numbers(size, (u) => (u < 0.5 ? 0 : 1))),
  });
  return {
    whole,
    pick,
    yes: () => g(fc.boolean),
    shape,
    broadcasting: () => {
      const full = shape(whole(1, 4));
      const thin = (): number[] => {
        const rank = whole(0, full.length);
        return full.slice(full.length - rank).map((d) => pick(1, d, d));
      };
      const [a, b] = [pick(full, full, thin()), thin()];
      return g(fc.boolean) ? [a, b] : [b, a];
    },
    axes: (rank) => g(fc.subarray<number>, [...Array(rank).keys()], { minLength: 1 }),
    permutation: (n) => g(fc.shuffledSubarray<number>, [...Array(n).keys()], { minLength: n }),
    floats,
    wholes,
    truths,
    any: (size) => pick(floats(size), floats(size), wholes(size, -9, 9), truths(size)),
    among: (size, values) => ({
      shape: size,
      dtype: 'float32',
      data: Float32Array.from(
        numbers(size, (u) => values[Math.min(values.length - 1, Math.floor(u * values.length))] as number),
      ),
    }),
  };
};

/** The same draws on every run. */
export const samples = (one: Case, runs: number, seed: number): Drawn[] =>
  fc.sample(fc.gen(), { numRuns: runs, seed }).map((g) => one.draw(drawFrom(g)));

/** An input by name, of any rank. */
export const at = (tensors: Named<Tensor>, name: string): Tensor => tensors[name] as Tensor;
export const at3 = (tensors: Named<Tensor>, name: string): Tensor3D => tensors[name] as Tensor3D;
export const at4 = (tensors: Named<Tensor>, name: string): Tensor4D => tensors[name] as Tensor4D;
export const at5 = (tensors: Named<Tensor>, name: string): Tensor5D => tensors[name] as Tensor5D;
