import { openEngine } from '../src/engine/index.js';
import { loadForecaster } from '../src/forecaster/folder.js';
import { createRunner } from '../src/forecaster/programs.js';
import { tiled } from '../src/forecaster/tiles.js';
import type { FrameShape } from '../src/pipeline/frame.js';
import { createPlugin } from '../src/pipeline/plugins/registry.js';
import { rmse } from '../src/metrics/rmse.js';
import { rolledOut } from '../test/support/forecast-with.js';
import type { BenchOptions, Result, Row } from './table.js';

const [SIDE, TILE, SEED] = [256, 160, 8100];
/** Frames that are left out before the given ones, so that something moves all over the frame. */
const [BEFORE, CONTEXT, HORIZON] = [20, 11, 50];
const HALOS = [8, 16, 32, 48, 64];
const LEADS = [1, 20, 50];

const largestDifference = (a: Float32Array, b: Float32Array): number =>
  a.reduce((most, value, k) => Math.max(most, Math.abs(value - b[k]!)), 0);

/** What forecasts in overlapping tiles differ by from forecasts of whole frames, by the halo that neighbours do not trust. */
export const benchTiles = async ({ device, systems }: BenchOptions): Promise<Result> => {
  const shape: FrameShape = [SIDE, SIDE, 1];
  const engine = await openEngine(device);
  const rows: Row[] = [];
  const figures: Record<string, number> = {};
  try {
    for (const name of systems.length > 0 ? systems : ['dendrite', 'spinodal', 'grain_growth']) {
      const forecaster = await loadForecaster(name);
      const simulation = await createPlugin(
        'simulation',
        name,
        { height: SIDE, width: SIDE, seed: SEED },
        undefined,
      );
      const { range } = forecaster.settings;
      const [low, high] = range?.length === 2 ? range : simulation.range;
      for (let t = 0; t < BEFORE; t++) simulation.next();
      const frames = Array.from({ length: CONTEXT }, () =>
        simulation.next().map((value) => (value - low) / (high - low)),
      );
      const runner = createRunner(forecaster, engine);
      const whole = await rolledOut(runner, shape, frames, HORIZON);
      for (const halo of HALOS) {
        const tiles = tiled(runner, {
          tile: TILE,
          halo,
          periodic: forecaster.network.shape.boundary === 'periodic',
          latentStride: forecaster.network.encoder.stride,
        });
        const parts = await rolledOut(tiles, shape, frames, HORIZON);
        const at = (of: Float32Array, lead: number): Float32Array =>
          of.subarray((lead - 1) * SIDE * SIDE, lead * SIDE * SIDE);
        const cells = LEADS.map((lead): [string, string] => {
          const [a, b] = [at(whole, lead), at(parts, lead)];
          figures[`tiles_${name}_${halo}_lead_${lead}`] = largestDifference(a, b);
          return [`lead ${lead}`, `${largestDifference(a, b).toFixed(4)} (${rmse(a, b).toExponential(1)})`];
        });
        rows.push([`${name}, halo ${halo}`, Object.fromEntries(cells)]);
      }
      await runner.dispose();
    }
  } finally {
    await engine.dispose();
  }
  return { tables: [rows], figures };
};
