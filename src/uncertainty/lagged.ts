import type { Handle } from '../engine/types.js';
import type { Runner, SeriesInput, StateHandles } from '../forecaster/programs.js';
import { sizeOf, type FrameShape } from '../pipeline/frame.js';
import { rolledOut } from './ensemble.js';

const kept = (handles: StateHandles): StateHandles => handles.map((handle) => handle.retain());

/** What a lagged runner's state holds: the runner's state now and one frame ago; the frame before the newest, and the one before that. */
const partsOf = (state: StateHandles) => {
  const own = (state.length - 2) / 2;
  const [before, twoBefore] = state.slice(2 * own) as [Handle, Handle];
  return { now: state.slice(0, own), earlier: state.slice(own, 2 * own), before, twoBefore };
};

/**
 * A runner that also says how far its forecast is from the one made a frame earlier: the lagged ensemble of R. N. Hoffman and
 * E. Kalnay (Tellus A 35, 1983), with two members of which the newer alone is the forecast. `rollOut` gives
 * [B, 2, 1 + horizon, H, W, C], lead 0 first: the newest frame and the forecast, and the distance of each from what had been
 * forecast for the same time. After a series' first frame there is no earlier forecast: the distances then are to the
 * forecast's own next lead.
 */
export const lagged = (runner: Runner): Runner => {
  const { engine } = runner;

  const observe = async (shape: FrameShape, batch: readonly SeriesInput[]): Promise<StateHandles[]> => {
    const old = batch.map(({ state }) => state && partsOf(state));
    const inputs = batch.map((input, k) => ({ ...input, state: old[k]?.now }));
    const next = await runner.observe(shape, inputs);
    return Promise.all(
      batch.map(async ({ previous }, k): Promise<StateHandles> => {
        const [now, parts] = [next[k] as StateHandles, old[k]];
        const before = await engine.upload({ shape, dtype: 'float32', data: previous });
        return [...now, ...kept(parts?.now ?? now), before, (parts?.before ?? before).retain()];
      }),
    );
  };

  const forecasts = async (shape: FrameShape, inputs: readonly SeriesInput[], leads: number) => {
    const rolled = await runner.rollOut(shape, inputs, leads);
    const { data } = await engine.read(rolled).finally(() => rolled.release());
    return inputs.map((_, k) => rolledOut(rolled, data as Float32Array, k, leads).frames);
  };

  const rollOut = async (
    shape: FrameShape,
    batch: readonly SeriesInput[],
    horizon: number,
  ): Promise<Handle> => {
    const parts = batch.map(({ state }) => partsOf(state as StateHandles));
    const inputs = batch.map((input, k) => ({ ...input, state: parts[k]!.now }));
    const earlier = await Promise.all(
      batch.map(async (input, k): Promise<SeriesInput> => {
        const previous = (await engine.read(parts[k]!.twoBefore)).data as Float32Array;
        return { ...input, frame: input.previous, previous, state: parts[k]!.earlier };
      }),
    );
    const ahead = await forecasts(shape, inputs, horizon);
    const before = await forecasts(shape, earlier, horizon + 1);
    const block = (1 + horizon) * sizeOf(shape);
    const data = new Float32Array(batch.length * 2 * block);
    batch.forEach(({ frame }, k) => {
      const frames = data.subarray(2 * k * block, (2 * k + 1) * block);
      frames.set(frame);
      frames.set(ahead[k]!, frame.length);
      const distance = frames.map((value, i) => Math.abs(value - before[k]![i]!));
      data.set(distance, (2 * k + 1) * block);
    });
    return engine.upload({ shape: [batch.length, 2, 1 + horizon, ...shape], dtype: 'float32', data });
  };

  const members = (shape: FrameShape): number => runner.members(shape);
  return { engine, observe, rollOut, members, dispose: () => runner.dispose() };
};
