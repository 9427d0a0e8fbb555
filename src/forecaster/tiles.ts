import type { Handle } from '../engine/types.js';
import type { FrameShape } from '../pipeline/frame.js';
import type { Runner, SeriesInput } from './programs.js';

export interface TileOptions {
  /** Pixels of a tile's side; a multiple of `latentStride`. Frames that are no larger are taken whole. */
  readonly tile: number;
  /** Pixels from a tile's edge in which a forecast is not to be trusted: neighbours overlap by twice as many. */
  readonly halo: number;
  /** Frames go on at the opposite edge. */
  readonly periodic: boolean;
  /** Frame pixels per latent pixel: tiles begin at multiples of it. */
  readonly latentStride: number;
}

/** Where tiles lie along one axis, and what each of their pixels counts. */
export interface Axis {
  readonly length: number;
  readonly size: number;
  /** First pixels; below 0 where a periodic frame is gone around. */
  readonly starts: readonly number[];
  /** For each tile `size` weights: at each pixel of the frame those of all tiles add up to 1. */
  readonly weights: readonly Float32Array[];
}

const wrapped = (at: number, length: number): number => ((at % length) + length) % length;

/** Lays tiles evenly along an axis. @throws RangeError when tiles are too small for their halo */
export const layTiles = (length: number, { tile, halo, periodic, latentStride }: TileOptions): Axis => {
  if (length <= tile)
    return { length, size: length, starts: [0], weights: [new Float32Array(length).fill(1)] };
  const core = tile - 2 * halo;
  if (core < latentStride)
    throw new RangeError(`tiles of ${tile} pixels have no inside within a halo of ${halo}`);
  const count = Math.ceil((periodic ? length : length - 2 * halo) / core);
  const [span, steps] = periodic ? [length, count] : [length - tile, count - 1];
  const onGrid = (at: number): number => Math.floor(at / latentStride) * latentStride;
  const starts = Array.from({ length: count }, (_, k) => onGrid((k * span) / steps) - (periodic ? halo : 0));
  // From 0 half a halo inside the tile to 1 as far inside the core; the frame's own edge is none of the tile's.
  const ramp = (distance: number): number =>
    Math.min(1, Math.max(1e-6, (distance + 0.5 - halo / 2) / Math.max(1, halo)));
  const raw = starts.map((start, k) =>
    Float32Array.from({ length: tile }, (_, i) => {
      const before = !periodic && k === 0 ? Infinity : i;
      const behind = !periodic && start + tile === length ? Infinity : tile - 1 - i;
      return ramp(Math.min(before, behind));
    }),
  );
  const total = new Float32Array(length);
  raw.forEach((own, k) => own.forEach((w, i) => (total[wrapped(starts[k]! + i, length)]! += w)));
  const weights = raw.map((own, k) => own.map((w, i) => w / total[wrapped(starts[k]! + i, length)]!));
  return { length, size: tile, starts, weights };
};

interface Tile {
  readonly top: number;
  readonly left: number;
  /** By row and by column. */
  readonly weights: readonly [Float32Array, Float32Array];
}

/** [H, W, C] to the tile's own pixels. */
const cut = (
  data: Float32Array,
  shape: FrameShape,
  { top, left }: Tile,
  [h, w]: readonly [number, number],
): Float32Array => {
  const [height, width, channels] = shape;
  const result = new Float32Array(h * w * channels);
  for (let row = 0; row < h; row++) {
    const line = wrapped(top + row, height) * width;
    for (let column = 0; column < w; column++) {
      const from = (line + wrapped(left + column, width)) * channels;
      for (let c = 0; c < channels; c++) result[(row * w + column) * channels + c] = data[from + c]!;
    }
  }
  return result;
};

/** Adds a tile's weighted values to a frame [H, W, C] of zeros. */
const blend = (
  to: Float32Array,
  shape: FrameShape,
  values: Float32Array,
  { top, left, weights: [rows, columns] }: Tile,
): void => {
  const [height, width, channels] = shape;
  const [h, w] = [rows.length, columns.length];
  for (let row = 0; row < h; row++) {
    const line = wrapped(top + row, height) * width;
    for (let column = 0; column < w; column++) {
      const weight = rows[row]! * columns[column]!;
      const at = (line + wrapped(left + column, width)) * channels;
      for (let c = 0; c < channels; c++) to[at + c]! += weight * values[(row * w + column) * channels + c]!;
    }
  }
};

/**
 * A runner that takes frames larger than a tile in overlapping tiles, each with a state of its own, one after the other:
 * memory in the network is that of one tile. Roll-outs are blended where tiles overlap. A series' state is the states of
 * its tiles one after the other. What a forecast draws from further away than a halo is lost at the edge of a tile.
 */
export const tiled = (runner: Runner, options: TileOptions): Runner => {
  const layouts = new Map<string, { readonly inner: FrameShape; readonly tiles: readonly Tile[] }>();
  const layoutOf = (shape: FrameShape) => {
    const known = layouts.get(shape.join());
    if (known !== undefined) return known;
    const [rows, columns] = [layTiles(shape[0], options), layTiles(shape[1], options)];
    const tiles = rows.starts.flatMap((top, r) =>
      columns.starts.map((left, c): Tile => ({
        top,
        left,
        weights: [rows.weights[r]!, columns.weights[c]!],
      })),
    );
    const layout = { inner: [rows.size, columns.size, shape[2]] as const, tiles };
    layouts.set(shape.join(), layout);
    return layout;
  };
  const partOf = (shape: FrameShape, input: SeriesInput, at: number): SeriesInput => {
    const { inner, tiles } = layoutOf(shape);
    const frame = cut(input.frame, shape, tiles[at]!, [inner[0], inner[1]]);
    const own = (input.state?.length ?? 0) / tiles.length;
    return {
      ...input,
      frame,
      previous:
        input.previous === input.frame ? frame : cut(input.previous, shape, tiles[at]!, [inner[0], inner[1]]),
      state: input.state?.slice(at * own, (at + 1) * own),
    };
  };

  return {
    engine: runner.engine,
    members: (shape) => runner.members(layoutOf(shape).inner),
    dispose: () => runner.dispose(),
    observe: async (shape, batch) => {
      const { inner, tiles } = layoutOf(shape);
      if (tiles.length === 1) return runner.observe(shape, batch);
      const states: Handle[][] = [];
      try {
        for (const input of batch) {
          const own: Handle[] = [];
          states.push(own);
          for (const at of tiles.keys())
            own.push(...(await runner.observe(inner, [partOf(shape, input, at)])).flat());
        }
      } catch (error) {
        states.flat().forEach((handle) => handle.release());
        throw error;
      }
      return states;
    },
    rollOut: async (shape, batch, horizon) => {
      const { inner, tiles } = layoutOf(shape);
      if (tiles.length === 1) return runner.rollOut(shape, batch, horizon);
      const { engine } = runner;
      const size = shape.reduce((a, b) => a * b, 1);
      let result:
        | { readonly planes: number; readonly data: Float32Array; readonly leading: readonly number[] }
        | undefined;
      for (const [series, input] of batch.entries())
        for (const [at, tile] of tiles.entries()) {
          const rolled: Handle = await runner.rollOut(inner, [partOf(shape, input, at)], horizon);
          const { data } = await engine.read(rolled).finally(() => rolled.release());
          // [1, horizon, ...] of a forecaster, [1, 2, horizon, ...] of an ensemble.
          const leading = rolled.shape.slice(1, -3);
          const planes = leading.reduce((a, b) => a * b, 1);
          result ??= { planes, data: new Float32Array(batch.length * planes * size), leading };
          const step = data.length / planes;
          for (let plane = 0; plane < planes; plane++) {
            const from = (series * planes + plane) * size;
            const values = data.subarray(plane * step, (plane + 1) * step) as Float32Array;
            blend(result.data.subarray(from, from + size), shape, values, tile);
          }
        }
      const { data, leading } = result!;
      return engine.upload({ shape: [batch.length, ...leading, ...shape], dtype: 'float32', data });
    },
  };
};
