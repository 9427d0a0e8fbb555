import { expect, test } from '@jest/globals';
import { openEngine } from '../../src/engine/index.js';
import type { Forecaster } from '../../src/forecaster/forecaster.js';
import { movesOf } from '../../src/forecaster/symmetries.js';
import type { Runner, StateHandles } from '../../src/forecaster/programs.js';
import type { FrameShape } from '../../src/pipeline/frame.js';
import { sizeOf } from '../../src/pipeline/frame.js';
import { createEnsembleRunner, rolledOut } from '../../src/uncertainty/ensemble.js';
import { lagged } from '../../src/uncertainty/lagged.js';
import { motionOf, symmetriesOf } from '../../src/uncertainty/symmetries.js';
import { movingField, tinyForecaster } from '../support/tiny.js';

const [CONTEXT, HORIZON] = [4, 3];
const square: FrameShape = [16, 16, 1];
const frames = (seed: number): Float32Array[] =>
  Array.from({ length: CONTEXT }, (_, t) => movingField(t, square, 1, seed));

/** What a runner forecasts from each of several series of frames. */
const forecast = async (
  runner: Runner,
  series: readonly (readonly Float32Array[])[],
  { context = CONTEXT, horizon = HORIZON } = {},
) => {
  let states: (StateHandles | undefined)[] = series.map(() => undefined);
  const inputs = (t: number) =>
    series.map((own, k) => ({ frame: own[t]!, previous: own[Math.max(0, t - 1)]!, state: states[k] }));
  for (let t = 0; t < context; t++) {
    const next = await runner.observe(square, inputs(t));
    states.forEach((state) => state?.forEach((handle) => handle.release()));
    states = next;
  }
  const rolled = await runner.rollOut(square, inputs(context - 1), horizon);
  states.forEach((state) => state?.forEach((handle) => handle.release()));
  const data = (await runner.engine.read(rolled)).data as Float32Array;
  rolled.release();
  return series.map((_, k) => rolledOut(rolled, data, k, horizon));
};
const withEngine = async (work: (engine: Awaited<ReturnType<typeof openEngine>>) => Promise<void>) => {
  const engine = await openEngine('cpu', 1);
  try {
    await work(engine);
    expect(engine.liveHandles).toBe(0);
  } finally {
    await engine.dispose();
  }
};
const byLead = (values: Float32Array): Float32Array[] =>
  Array.from({ length: HORIZON }, (_, l) => values.subarray(l * sizeOf(square), (l + 1) * sizeOf(square)));
const expectClose = (actual: Float32Array, expected: Float32Array, digits = 5): void => {
  expect(actual).toHaveLength(expected.length);
  actual.forEach((value, i) => expect(value).toBeCloseTo(expected[i]!, digits));
};

test('symmetries go there and back, and all differ', () => {
  const shape: FrameShape = [3, 3, 2];
  const frame = Float32Array.from({ length: sizeOf(shape) }, (_, i) => i);
  const moved = symmetriesOf(8, shape, false).map((symmetry) => {
    const { there, back } = motionOf(symmetry, shape);
    expect(back(there(frame))).toEqual(frame);
    expect(there(back(frame))).toEqual(frame);
    return there(frame).join();
  });
  expect(new Set(moved).size).toBe(8);
  expect(moved[0]).toBe(frame.join());
  const transposed = motionOf(
    { transpose: true, flipRows: false, flipColumns: false, shift: [0, 0] },
    [2, 2, 1],
  );
  expect([...transposed.there(Float32Array.of(1, 2, 3, 4))]).toEqual([1, 3, 2, 4]);
  expect(() =>
    motionOf({ transpose: true, flipRows: false, flipColumns: false, shift: [0, 0] }, [2, 3, 1]),
  ).toThrow('only square frames');
});

test('there are four without squares, eight without periods, and as many as wanted with them', () => {
  expect(symmetriesOf(20, [8, 12, 1], false)).toHaveLength(4);
  expect(symmetriesOf(20, square, false)).toHaveLength(8);
  const shifted = symmetriesOf(20, [8, 12, 1], true);
  expect(shifted).toHaveLength(20);
  expect(shifted.every(({ transpose }) => !transpose)).toBe(true);
  const shape: FrameShape = [8, 12, 1];
  const frame = Float32Array.from({ length: 96 }, (_, i) => i);
  for (const symmetry of shifted) {
    const { there, back } = motionOf(symmetry, shape);
    expect(back(there(frame))).toEqual(frame);
  }
});

test('members are symmetries that all forecasters were trained under', async () => {
  expect(symmetriesOf(20, square, false, movesOf('flips'))).toHaveLength(4);
  expect(symmetriesOf(20, square, false, movesOf('none'))).toHaveLength(1);
  const [same, mirrored, ...none] = symmetriesOf(20, square, false, movesOf('left-right'));
  expect([same, mirrored, none]).toMatchObject([{ flipColumns: false }, { flipColumns: true }, []]);
  expect(mirrored).toMatchObject({ transpose: false, flipRows: false });
  const shifted = symmetriesOf(5, square, true, movesOf('none'));
  expect(new Set(shifted.map(({ shift }) => shift.join())).size).toBe(5);

  const [upright, sideways] = [
    await tinyForecaster(1, 10, { symmetries: 'left-right' }),
    await tinyForecaster(2, 10, { symmetries: 'flips' }),
  ];
  await withEngine(async (engine) => {
    const fewer: number[] = [];
    const membersOf = (forecasters: Forecaster[]): number =>
      createEnsembleRunner(forecasters, engine, 8, (_, members) => fewer.push(members)).members(square);
    expect([[upright], [sideways], [upright, sideways]].map(membersOf)).toEqual([2, 4, 4]);
    expect(fewer).toEqual([2, 4, 4]);
  });
});

test('an ensemble is the average and the spread of its members, for each series of a batch', async () => {
  const forecasters: Forecaster[] = [await tinyForecaster(1), await tinyForecaster(2)];
  const series = [frames(0), frames(1), frames(2)];
  await withEngine(async (engine) => {
    const together = await forecast(createEnsembleRunner(forecasters, engine, 6), series);
    const members: Float32Array[][] = series.map(() => []);
    for (const symmetry of symmetriesOf(3, square, false)) {
      const { there, back } = motionOf(symmetry, square);
      for (const forecaster of forecasters) {
        const alone = createEnsembleRunner([forecaster], engine, 1);
        const results = await forecast(
          alone,
          series.map((own) => own.map(there)),
        );
        results.forEach((result, k) => {
          expect(result.spread).toBeUndefined();
          members[k]!.push(Float32Array.from(byLead(result.frames).flatMap((frame) => [...back(frame)])));
        });
      }
    }
    together.forEach(({ frames: average, spread }, k) => {
      const own = members[k]!;
      const mean = average.map((_, i) => own.reduce((sum, member) => sum + member[i]!, 0) / 6);
      expectClose(average, mean);
      expectClose(
        spread!,
        average.map((_, i) =>
          Math.sqrt(own.reduce((sum, member) => sum + (member[i]! - mean[i]!) ** 2, 0) / 5),
        ),
      );
      expect(Math.max(...spread!)).toBeGreaterThan(0.01);
    });
  });
});

test.each([1, 2])(
  'a lagged ensemble tells how far the forecast a frame earlier is from its own; members: %s',
  async (members) => {
    // It sees velocities: the earlier forecast needs the two frames before it.
    const encoder = { name: 'conv', options: { width: 8, latent: 8, velocityScale: 4 } };
    const forecaster = await tinyForecaster(4, 10, { encoder });
    const series = [frames(0), frames(1), frames(2)];
    await withEngine(async (engine) => {
      const plain = createEnsembleRunner([forecaster], engine, members);
      const now = await forecast(plain, series);
      const before = await forecast(plain, series, { context: CONTEXT - 1, horizon: HORIZON + 1 });
      const told = await forecast(lagged(plain), series);
      const size = sizeOf(square);
      told.forEach(({ frames: ahead, spread, own }, k) => {
        const [expected, earlier] = [now[k]!.frames, before[k]!.frames];
        expectClose(ahead, expected, 6);
        expectClose(
          spread!,
          expected.map((value, i) => Math.abs(value - earlier[size + i]!)),
        );
        expectClose(
          own!,
          series[k]![CONTEXT - 1]!.map((value, i) => Math.abs(value - earlier[i]!)),
        );
        expect(Math.max(...spread!)).toBeGreaterThan(0.01);
      });
      // After one frame there is nothing earlier.
      const [first] = await forecast(lagged(plain), series, { context: 1 });
      expect([...first!.frames, ...first!.spread!].every(Number.isFinite)).toBe(true);
    });
  },
);

test('with all symmetries the average no longer prefers a direction', async () => {
  const forecaster = await tinyForecaster(3);
  const [symmetry] = symmetriesOf(2, square, false).slice(1);
  const { there } = motionOf(symmetry!, square);
  await withEngine(async (engine) => {
    const turned = [frames(0), frames(0).map(there)];
    const differenceOf = async (members: number): Promise<number> => {
      const [plain, moved] = await forecast(createEnsembleRunner([forecaster], engine, members), turned);
      const expected = byLead(plain!.frames).map(there);
      const differences = byLead(moved!.frames).map((frame, l) =>
        Math.max(...frame.map((value, i) => Math.abs(value - expected[l]![i]!))),
      );
      return Math.max(...differences);
    };
    expect(await differenceOf(8)).toBeLessThan(1e-5);
    expect(await differenceOf(1)).toBeGreaterThan(1e-2);
  });
});
