import type { Engine, Handle } from '../engine/types.js';
import type { Forecaster } from '../forecaster/forecaster.js';
import { stateShapes } from '../forecaster/network-functions.js';
import { movesOf, type Moves } from '../forecaster/symmetries.js';
import {
  createRunner,
  LARGEST_BATCH,
  type Runner,
  type SeriesInput,
  type StateHandles,
} from '../forecaster/programs.js';
import { sizeOf, type FrameShape } from '../pipeline/frame.js';
import { motionOf, symmetriesOf, type Motion } from './symmetries.js';

/** One forecaster looking at frames through one symmetry. */
interface Member {
  /** Which of the forecasters. */
  readonly by: number;
  readonly motion: Motion;
}

/**
 * Forecasters on an engine as one runner. With one member it is that forecaster's own. With more, every frame goes
 * through each member, moved by the member's symmetry, and forecasts are moved back: `rollOut` then gives
 * [B, 2, horizon, H, W, C], the average over the members and their standard deviation. Members are the forecasters in
 * turn, with one symmetry more in each round; there are at least as many as forecasters, and no more than they have
 * symmetries: `onFewer` is told once of each shape that has fewer than asked for. A series' state is the members' states one after the other.
 */
export const createEnsembleRunner = (
  forecasters: readonly Forecaster[],
  engine: Engine,
  members: number,
  onFewer: (shape: FrameShape, members: number) => void = () => undefined,
): Runner => {
  const runners = forecasters.map((forecaster) => createRunner(forecaster, engine));
  const [only] = runners;
  if (members === 1 && runners.length === 1 && only !== undefined) return only;
  const periodic = forecasters.every(({ network }) => network.shape.boundary === 'periodic');
  const all = forecasters.map(({ settings }) => movesOf(settings.symmetries));
  const moves: Moves = {
    transpose: all.every(({ transpose }) => transpose),
    flipRows: all.every(({ flipRows }) => flipRows),
    flipColumns: all.every(({ flipColumns }) => flipColumns),
  };
  const known = new Map<string, readonly Member[]>();
  const membersFor = (shape: FrameShape): readonly Member[] => {
    const key = shape.join();
    const before = known.get(key);
    if (before !== undefined) return before;
    const made = makeMembers(shape);
    known.set(key, made);
    if (made.length < members) onFewer(shape, made.length);
    return made;
  };
  const makeMembers = (shape: FrameShape): Member[] => {
    const rounds = symmetriesOf(Math.ceil(members / runners.length), shape, periodic, moves);
    const all = rounds.flatMap((symmetry) => {
      const motion = motionOf(symmetry, shape);
      return runners.map((_, by) => ({ by, motion }));
    });
    return all.slice(0, Math.max(members, runners.length));
  };
  const statesOf = (by: number, [h, w]: FrameShape): number =>
    stateShapes((forecasters[by] as Forecaster).network, 1, h, w).length;

  /** Every series of a batch as every member sees it, in chunks that one run of one forecaster takes. */
  const chunks = (shape: FrameShape, batch: readonly SeriesInput[]) => {
    const all = membersFor(shape);
    const offsets: number[] = [];
    all.reduce((offset, { by }) => (offsets.push(offset), offset + statesOf(by, shape)), 0);
    return runners.flatMap((runner, by) => {
      const jobs = all.flatMap(({ by: of, motion }, member) =>
        of !== by ? [] : batch.map((input, series) => ({ member, series, motion, input })),
      );
      return Array.from({ length: Math.ceil(jobs.length / LARGEST_BATCH) }, (_, k) => {
        const part = jobs.slice(k * LARGEST_BATCH, (k + 1) * LARGEST_BATCH);
        const inputs = part.map(({ member, motion, input }): SeriesInput => {
          const from = offsets[member] as number;
          const frame = motion.there(input.frame);
          return {
            ...input,
            frame,
            previous: input.previous === input.frame ? frame : motion.there(input.previous),
            state: input.state?.slice(from, from + statesOf(by, shape)),
          };
        });
        return { runner, part, inputs };
      });
    });
  };

  const observe = async (shape: FrameShape, batch: readonly SeriesInput[]): Promise<StateHandles[]> => {
    const states = batch.map(() => membersFor(shape).map((): StateHandles => []));
    try {
      for (const { runner, part, inputs } of chunks(shape, batch)) {
        const next = await runner.observe(shape, inputs);
        part.forEach(({ series, member }, k) => {
          states[series]![member] = next[k] as StateHandles;
        });
      }
    } catch (error) {
      states.flat(2).forEach((handle) => handle.release());
      throw error;
    }
    return states.map((bySeries) => bySeries.flat());
  };

  const rollOut = async (
    shape: FrameShape,
    batch: readonly SeriesInput[],
    horizon: number,
  ): Promise<Handle> => {
    const size = sizeOf(shape);
    const block = horizon * size;
    const data = new Float32Array(batch.length * 2 * block);
    const seen = batch.map(() => 0);
    for (const { runner, part, inputs } of chunks(shape, batch)) {
      const rolled = await runner.rollOut(shape, inputs, horizon);
      const values = await engine.read(rolled).finally(() => rolled.release());
      part.forEach(({ series, motion }, k) => {
        const count = (seen[series] = (seen[series] ?? 0) + 1);
        for (let lead = 0; lead < horizon; lead++) {
          const at = k * block + lead * size;
          const back = motion.back((values.data as Float32Array).subarray(at, at + size));
          addMember(data, series * 2 * block + lead * size, block, back, count);
        }
      });
    }
    batch.forEach((_, series) => {
      const from = series * 2 * block + block;
      const freedom = Math.max(1, (seen[series] as number) - 1);
      for (let i = from; i < from + block; i++) data[i] = Math.sqrt(data[i]! / freedom);
    });
    return engine.upload({ shape: [batch.length, 2, horizon, ...shape], dtype: 'float32', data });
  };

  return {
    engine,
    observe,
    rollOut,
    members: (shape) => membersFor(shape).length,
    dispose: async () => {
      for (const runner of runners) await runner.dispose();
    },
  };
};

/** B. P. Welford's running mean and sum of squares (Technometrics 4, 1962), the second a block after the first. */
const addMember = (
  data: Float32Array,
  at: number,
  block: number,
  values: Float32Array,
  count: number,
): void => {
  for (let i = 0; i < values.length; i++) {
    const difference = values[i]! - data[at + i]!;
    const mean = data[at + i]! + difference / count;
    data[at + i] = mean;
    data[at + block + i]! += difference * (values[i]! - mean);
  }
};

/** What a roll-out gave for one series: views of its frames, leads 1 .. horizon one behind the other. */
export interface RolledOut {
  readonly frames: Float32Array;
  /** An ensemble's spread at each lead. */
  readonly spread?: Float32Array;
  /** Where it is lagged: how wrong it was about the newest frame, [H, W, C]. */
  readonly own?: Float32Array;
}

/** Finds the k-th series in what a roll-out gave. */
export const rolledOut = (
  rolled: Pick<Handle, 'shape'>,
  data: Float32Array,
  k: number,
  horizon: number,
): RolledOut => {
  const ensemble = rolled.shape.length === 6;
  const [leads = horizon, ...frame] = rolled.shape.slice(ensemble ? 2 : 1);
  const size = frame.reduce((a, b) => a * b, 1);
  const leadZero = (leads - horizon) * size;
  const part = (n: number): Float32Array => data.subarray(n * leads * size, (n + 1) * leads * size);
  if (!ensemble) return { frames: part(k) };
  const [frames, spread] = [part(2 * k), part(2 * k + 1)];
  return {
    frames: frames.subarray(leadZero),
    spread: spread.subarray(leadZero),
    ...(leadZero > 0 && { own: spread.subarray(0, leadZero) }),
  };
};
