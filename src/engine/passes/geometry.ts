import { listOf, type Node, type Value } from '../graph.js';

export type Two = readonly [number, number];
export type Shape4 = readonly [number, number, number, number];
export interface Geometry {
  readonly strides: Two;
  readonly dilations: Two;
  /** top, left, bottom, right */
  readonly pads: readonly [number, number, number, number];
}

export const pairOf = (node: Node, name: string): Two => {
  const [first = 1, second = 1] = listOf(node, name);
  return [first, second];
};
export const geometryOf = (node: Node): Geometry => {
  const [top = 0, left = 0, bottom = 0, right = 0] = listOf(node, 'pads');
  return {
    strides: pairOf(node, 'strides'),
    dilations: pairOf(node, 'dilations'),
    pads: [top, left, bottom, right],
  };
};
export const shape4 = ({ shape: [a = 1, b = 1, c = 1, d = 1] }: Value): Shape4 => [a, b, c, d];

export const CHANNELS_FIRST = [0, 3, 1, 2];
export const CHANNELS_LAST = [0, 2, 3, 1];
/** NHWC -> CNHW */
export const PLANES = [3, 0, 1, 2];
/** HWIO -> OIHW */
export const FILTER = [3, 2, 0, 1];
