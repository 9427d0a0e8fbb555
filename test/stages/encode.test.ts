import { expect, test } from '@jest/globals';
import { from, lastValueFrom, toArray } from 'rxjs';
import type { Engine, Handle } from '../../src/engine/types.js';
import type { Runner, StateHandles } from '../../src/forecaster/programs.js';
import type { Normalisation } from '../../src/pipeline/forecast.js';
import type { Frame } from '../../src/pipeline/frame.js';
import type { Encoded } from '../../src/pipeline/in-flight.js';
import type { SeriesMemory } from '../../src/pipeline/state/series-memory.js';
import type { EncodeOptions } from '../../src/stages/encode.js';
import { encode } from '../../src/stages/encode.js';
import { frameOf } from '../support/forecasts.js';

/** Frame t of a series is t everywhere; with the range 0..100 the network sees t / 100. */
const frame = (t: number, series = 's'): Frame => frameOf(t, () => t, { series, shape: [4, 4, 1] });

/** A network whose state is what it was fed: "3<2" for frame 3 after frame 2. */
const recordingRunner = () => {
  const histories = new Map<Handle, readonly string[]>();
  const batches: number[] = [];
  let live = 0;
  const stateOf = (history: readonly string[]): StateHandles => {
    let owners = 1;
    live++;
    const handle: Handle = {
      shape: [1],
      dtype: 'float32',
      retain: () => (owners++, handle),
      release: () => {
        if (owners <= 0) throw new Error('released too often');
        if (--owners === 0) live--;
      },
    };
    histories.set(handle, history);
    return [handle];
  };
  const seen = (state: StateHandles | undefined): readonly string[] =>
    (state?.[0] && histories.get(state[0])) ?? [];
  const round = (value = NaN): number => Math.round(value * 1e4) / 100;
  const runner: Runner = {
    observe: (_shape, batch) => {
      batches.push(batch.length);
      return Promise.resolve(
        batch.map(({ frame, previous, state }) =>
          stateOf([...seen(state), `${round(frame[0])}<${round(previous[0])}`]),
        ),
      );
    },
    rollOut: () => Promise.reject(new Error('not asked for here')),
    members: () => 1,
    // Nothing in `encode` touches it.
    engine: { device: 'none' } as Engine,
    dispose: () => Promise.resolve(),
  };
  return { runner, seen, batches, live: () => live };
};

/** What the ledger remembers, and the files that are still there. */
const memoryOf = (files: readonly Frame[]) => {
  const normalisations = new Map<string, { at: number; normalisation: Normalisation }>();
  const origins: number[] = [];
  const notices: string[] = [];
  const recalled: string[] = [];
  const memory: SeriesMemory = {
    normalisation: (series, position) => {
      const known = normalisations.get(series);
      return known !== undefined && position >= known.at ? known.normalisation : undefined;
    },
    fixNormalisation: (series, normalisation, at) => void normalisations.set(series, { at, normalisation }),
    origin: (_series, position) => Math.max(0, ...origins.filter((origin) => origin <= position)),
    setOrigin: (_series, position) => void origins.push(position),
    recall: (series, from, to, every = 1) => {
      recalled.push(every === 1 ? `${from}-${to}` : `${from}-${to} by ${every}`);
      const known = files.filter((file) => file.series === series);
      const places = range(from, to + 1).filter((position) => (position - from) % every === 0);
      return Promise.resolve(known.filter(({ position }) => places.includes(position)));
    },
    notice: (message) => void notices.push(message),
  };
  return { memory, notices, recalled, origins };
};
type Memory = ReturnType<typeof memoryOf>;

/** One life of the stage: the state that each frame ended with, its outcome, and what is left on the device. */
const life = async (
  batches: readonly (readonly (Frame | { item: Frame; newest: boolean })[])[],
  { memory }: Memory,
  options: Partial<EncodeOptions> = {},
  { runner, seen, batches: sizes, live } = recordingRunner(),
) => {
  const settings: EncodeOptions = {
    runner,
    memory,
    latentStride: 4,
    context: 4,
    stride: 1,
    forecastEvery: 1,
    policy: 'every',
    range: [0, 100],
    stateBytes: Infinity,
    ...options,
  };
  const items = batches.map((batch) => batch.map((item) => ('item' in item ? item : { item, newest: true })));
  const states = new Map<string, readonly string[]>();
  const encoded: readonly (readonly Encoded[])[] = await lastValueFrom(
    from(items).pipe(encode(settings), toArray()),
    { defaultValue: [] },
  );
  const outcomes = encoded.flat().map(({ frame: { series, position }, outcome, input }) => {
    if (input !== undefined) {
      states.set(`${series}${position}`, seen(input.state));
      input.state.forEach((handle) => handle.release());
    }
    return `${position} ${outcome}`;
  });
  return { states, outcomes, sizes, live: live(), encoded: encoded.flat() };
};
const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, k) => from + k);
const singly = (positions: readonly number[]): Frame[][] => positions.map((t) => [frame(t)]);
/** "5<5 6<5 7<6": what a state has taken in that begins at `from`. */
const walk = (from: number, to: number): string[] =>
  range(from, to + 1).map((t) => `${t}<${Math.max(from, t - 1)}`);

test('forecasts stand on the current stretch: from 0, then from 20 once it has a context, and so on', async () => {
  const { states, outcomes, live } = await life(singly(range(0, 48)), memoryOf([]));
  expect(outcomes.slice(0, 4)).toEqual(['0 warm-up', '1 warm-up', '2 warm-up', '3 forecast']);
  for (const t of range(3, 48)) expect(states.get(`s${t}`)).toEqual(walk(t < 23 ? 0 : t < 43 ? 20 : 40, t));
  expect(live).toBe(0);
});

test('a context that is longer than a stretch is kept whole', async () => {
  const { states, live } = await life(singly(range(0, 110)), memoryOf([]), { context: 50 });
  for (const t of range(49, 110)) {
    const first = 20 * Math.floor((t - 49) / 20);
    expect({ t, state: states.get(`s${t}`) }).toEqual({ t, state: walk(first, t) });
  }
  expect(live).toBe(0);
});

test('whenever it is stopped, what it rebuilds is what it had', async () => {
  const all = range(0, 48).map((t) => frame(t));
  const expected = (await life(singly(range(0, 48)), memoryOf([]))).states;
  for (const stop of [1, 3, 4, 19, 20, 22, 23, 30, 43]) {
    const memory = memoryOf(all);
    await life(singly(range(0, stop)), memory);
    const { states, outcomes, live } = await life(singly(range(stop, 48)), memory);
    for (const [key, state] of states)
      expect({ stop, key, state }).toEqual({ stop, key, state: expected.get(key) });
    expect(outcomes.filter((outcome) => outcome.endsWith('forecast'))).toHaveLength(48 - Math.max(3, stop));
    expect(live).toBe(0);
    // It reads the stretch and a few frames to bridge from, not the whole series.
    for (const text of memory.recalled) {
      const [first = 0, last = 0] = text.split('-').map(Number);
      expect(last - first).toBeLessThan(28);
    }
  }
});

test('frames that went another way while it was made ready are caught up with, however many they are', async () => {
  for (const stride of [1, 2]) {
    const all = range(0, 96).map((t) => frame(t));
    const whole = await life(
      all.map((one) => [one]),
      memoryOf(all),
      { stride },
    );
    for (const [first, away] of [
      [30, 1],
      [30, 5],
      [10, 37],
      [61, 20],
    ] as const) {
      const [memory, back] = [memoryOf(all), first + away];
      const { states, encoded, live } = await life(singly([...range(0, first), ...range(back, 96)]), memory, {
        stride,
      });
      for (const t of range(back, 96)) {
        expect({ t, state: states.get(`s${t}`) }).toEqual({ t, state: whole.states.get(`s${t}`) });
        const previousOf = (some: readonly Encoded[]): number | undefined =>
          some.find(({ frame: { position } }) => position === t)?.previous?.[0];
        expect(previousOf(encoded)).toBe(previousOf(whole.encoded));
      }
      expect([memory.notices, live]).toEqual([[], 0]);
    }
  }
  // Of a long time only the last frames are read: a context and 23 more, as after a restart.
  const last = memoryOf(range(60 - 27, 60).map((t) => frame(t)));
  const { states } = await life(singly([...range(0, 10), ...range(60, 70)]), last);
  const expected = (await life(singly(range(0, 70)), memoryOf([]))).states;
  for (const t of range(60, 70)) expect(states.get(`s${t}`)).toEqual(expected.get(`s${t}`));
  expect(last.notices).toEqual([]);
});

test('a series that warmed up another way meanwhile has the frames, and the normalisation, that it would have had', async () => {
  const all = range(0, 30).map((t) => frame(t));
  const options = { context: 10, range: undefined };
  const [whole, away] = [memoryOf(all), memoryOf(all)];
  const expected = await life(singly(range(0, 30)), whole, options);
  const { states, outcomes } = await life(singly([...range(0, 3), ...range(7, 30)]), away, options);
  expect(outcomes).toEqual([...expected.outcomes.slice(0, 3), ...expected.outcomes.slice(7)]);
  for (const [key, state] of states) expect({ key, state }).toEqual({ key, state: expected.states.get(key) });
  expect(away.memory.normalisation('s', 29)).toEqual(whole.memory.normalisation('s', 29));
  expect([away.notices, away.origins]).toEqual([whole.notices, []]);
});

test('while it rehearses each frame is given a forecast, and nothing is changed that others share', async () => {
  const memory = memoryOf(range(0, 12).map((t) => frame(t)));
  const rehearsing = { isInUse: () => false, forecastEvery: 10, range: undefined };
  const { outcomes } = await life(singly([5]), memory, rehearsing);
  expect(outcomes).toEqual(['5 forecast']);
  expect(memory.memory.normalisation('s', 5)).toBeUndefined();
  // Where frames are gone it ends: the stages in use have their state yet.
  const gone = memoryOf([]);
  await life(singly(range(0, 4)), gone);
  await expect(life(singly([30]), gone, rehearsing)).rejects.toThrow(
    's: frames that its state stands on are gone',
  );
  expect([gone.notices, gone.origins]).toEqual([[], []]);
});

test('series that were not seen for longest make room, and are rebuilt as they were when they go on', async () => {
  const turns = range(0, 6).flatMap((turn) =>
    ['a', 'b'].map((series) => range(5 * turn, 5 * turn + 5).map((t) => frame(t, series))),
  );
  const files = turns.flat();
  const batches = files.map((file) => [file]);
  const roomy = memoryOf(files);
  const expected = (await life(batches, roomy)).states;
  const tight = memoryOf(files);
  const { states, live } = await life(batches, tight, { stateBytes: 1 });
  expect(states).toEqual(expected);
  expect(live).toBe(0);
  expect(roomy.recalled.length).toBeLessThan(3);
  expect(tight.recalled.length).toBeGreaterThanOrEqual(10); // each of the later turns
  // Frames that warm up make room, too.
  expect([tight, roomy].map(({ recalled }) => recalled.includes('0-2'))).toEqual([true, false]);
});

test('missing frames are interpolated, in life and after a restart, at the border of a stretch too', async () => {
  for (const missing of [[7], [7, 8, 9], [19, 20, 21], [20], [22, 23]]) {
    const there = range(0, 40).filter((t) => !missing.includes(t));
    const expected = (await life(singly(there), memoryOf([]))).states;
    const next = Math.max(...missing) + 1;
    expect(expected.get(`s${next}`)).toEqual(walk(next < 23 ? 0 : 20, next));
    for (const stop of [next - 5, next, next + 1, 30]) {
      const memory = memoryOf(there.map((t) => frame(t)));
      await life(singly(there.filter((t) => t < stop)), memory);
      const { states } = await life(singly(there.filter((t) => t >= stop)), memory);
      for (const [key, state] of states)
        expect({ missing, stop, key, state }).toEqual({ missing, stop, key, state: expected.get(key) });
    }
  }
});

test('what the trend goes on from is one step before, also where frames are missing', async () => {
  const there = range(0, 12).filter((t) => t !== 7 && t !== 9 && t !== 10);
  const memory = memoryOf(there.map((t) => frame(t)));
  const of = async (positions: readonly number[]) =>
    (await life(singly(positions), memory)).encoded.flatMap(({ frame: { position }, previous }) =>
      previous === undefined ? [] : [[position, Math.round(1e4 * previous[0]!) / 1e4]],
    );
  const expected = [3, 4, 5, 6, 8, 11].map((t) => [t, t - 1]);
  expect(await of(there)).toEqual(expected);
  // After a restart too.
  for (const from of [8, 11])
    expect(await of(there.filter((t) => t >= from))).toEqual(expected.filter(([t]) => t! >= from));
});

test('a gap that is too long begins the series anew; a frame before it that comes again after a crash does not', async () => {
  const there = [...range(0, 8), ...range(12, 20)];
  const memory = memoryOf(there.map((t) => frame(t)));
  const { states, outcomes } = await life(singly(there), memory);
  expect(memory.notices).toEqual(['s: 4 frames are missing; warming up anew from frame 120']);
  expect(outcomes.slice(8, 12)).toEqual(['12 warm-up', '13 warm-up', '14 warm-up', '15 forecast']);
  expect(states.get('s16')).toEqual(walk(12, 16));
  // The crash came after frame 12 had begun the new stretch, before frame 6 was delivered.
  const again = await life(singly(there.filter((t) => t >= 6)), memory);
  expect(again.outcomes.slice(0, 6)).toEqual([
    '6 forecast',
    '7 forecast',
    '12 warm-up',
    '13 warm-up',
    '14 warm-up',
    '15 forecast',
  ]);
  expect(again.states.get('s7')).toEqual(walk(0, 7));
  expect(again.states.get('s16')).toEqual(walk(12, 16));
  expect(memory.origins).toEqual([12]);
});

test('with a stride each lane has its own state', async () => {
  const memory = memoryOf(range(0, 24).map((t) => frame(t)));
  const { states, outcomes } = await life(singly(range(0, 14)), memory, { stride: 2 });
  expect(outcomes.indexOf('6 forecast')).toBe(6);
  expect(states.get('s9')).toEqual(['1<1', '3<1', '5<3', '7<5', '9<7']);
  const next = await life(singly(range(14, 20)), memory, { stride: 2 });
  expect(next.states.get('s15')).toEqual(['1<1', '3<1', '5<3', '7<5', '9<7', '11<9', '13<11', '15<13']);
  expect(next.states.get('s16')?.[0]).toBe('0<0');
});

test('with a stride each lane is rebuilt from its own frames, and no others are read', async () => {
  const all = range(0, 60).map((t) => frame(t));
  const expected = (await life(singly(range(0, 60)), memoryOf(all), { stride: 5 })).states;
  const memory = memoryOf(all);
  await life(singly(range(0, 50)), memory, { stride: 5 });
  const before = memory.recalled.length;
  const { states } = await life(singly(range(50, 60)), memory, { stride: 5 });
  for (const [key, state] of states) expect({ key, state }).toEqual({ key, state: expected.get(key) });
  expect([states.size, memory.recalled.slice(before)]).toEqual([
    10,
    range(50, 55).map((t) => `${t - 50}-${t - 1} by 5`),
  ]);
});

test('after a restart no more frames are gathered than there is room for, and the states are the same', async () => {
  const names = ['a', 'b', 'c'];
  const batches = range(0, 28).map((t) => names.map((series) => frame(t, series)));
  const memory = memoryOf(batches.flat());
  const expected = (await life(batches, memory)).states;
  for (const [gatherBytes, order] of [
    [Infinity, ['recall', 'recall', 'recall', 'observe']],
    [500, ['recall', 'recall', 'observe', 'recall', 'observe']], // six frames of 64 bytes each series
  ] as const) {
    const events: string[] = [];
    const event = (name: string): void => {
      if (name !== 'observe' || events.at(-1) !== name) events.push(name);
    };
    const recorded = recordingRunner();
    const { states, live } = await life(
      batches.slice(25),
      {
        ...memory,
        memory: { ...memory.memory, recall: (...place) => (event('recall'), memory.memory.recall(...place)) },
      },
      { gatherBytes },
      {
        ...recorded,
        runner: {
          ...recorded.runner,
          observe: (...batch) => (event('observe'), recorded.runner.observe(...batch)),
        },
      },
    );
    expect([events, live, states.size]).toEqual([order, 0, 9]);
    for (const [key, state] of states) expect({ key, state }).toEqual({ key, state: expected.get(key) });
  }
});

test('frames whose files are gone after a restart: a new warm-up, with a notice', async () => {
  const memory = memoryOf([]);
  await life(singly(range(0, 10)), memory);
  const { outcomes, states } = await life(singly(range(10, 16)), memory);
  expect(outcomes).toEqual([
    '10 warm-up',
    '11 warm-up',
    '12 warm-up',
    '13 forecast',
    '14 forecast',
    '15 forecast',
  ]);
  expect(states.get('s15')).toEqual(walk(10, 15));
  expect(memory.notices).toEqual([
    's: frames that its state stands on are gone; warming up anew from frame 100',
  ]);
});

test('what came after a gap among the first frames, or is left of those behind, is gone on with', async () => {
  const files = (positions: readonly number[]) => memoryOf(positions.map((t) => frame(t)));
  // The fourth frame fixes the normalisation.
  const there = [0, 1, 7, 8, 9, 10, 11];
  const gap = files(there);
  const first = await life(singly(there), gap, { range: undefined });
  expect(gap.notices).toEqual(['s: 5 frames are missing; warming up anew from frame 70']);
  expect([gap.origins, first.outcomes.slice(3)]).toEqual([
    [7],
    ['8 warm-up', '9 warm-up', '10 forecast', '11 forecast'],
  ]);
  expect(first.states.get('s11')?.length).toBe(5);
  // After a restart the five newest files are there yet: more than a context.
  const purged = files(range(14, 19));
  await life(singly(range(0, 19)), purged);
  const { outcomes, states } = await life(singly(range(19, 22)), purged);
  expect(purged.notices).toEqual([
    's: frames that its state stands on are gone; warming up anew from frame 140',
  ]);
  expect(outcomes).toEqual(['19 forecast', '20 forecast', '21 forecast']);
  for (const t of [19, 21]) expect(states.get(`s${t}`)).toEqual(walk(14, t));
});

test('series of a batch go through the network together; each keeps its own state', async () => {
  const other = (t: number): Frame => frameOf(t, () => t + 50, { series: 'b', shape: [4, 4, 1] });
  const batches = range(0, 6).map((t) => [frame(t, 'a'), ...(t === 4 ? [] : [other(t)])]);
  const { states, sizes } = await life(batches, memoryOf([]));
  // The first four come in at once, round by round. A missing frame makes two rounds of the next one: the interpolated, then the real.
  expect(sizes).toEqual([2, 2, 2, 2, 1, 2, 1]);
  expect(states.get('a4')).toEqual(walk(0, 4));
  expect(states.get('b5')).toEqual(['50<50', '51<50', '52<51', '53<52', '54<53', '55<54']);
});

test('policy and forecastEvery decide what is forecast; everything is observed', async () => {
  const third = await life(singly(range(0, 12)), memoryOf([]), { forecastEvery: 3 });
  expect(third.outcomes.filter((text) => text.endsWith('forecast'))).toEqual([
    '3 forecast',
    '6 forecast',
    '9 forecast',
  ]);
  expect(third.outcomes.filter((text) => text.endsWith('observed'))).toHaveLength(6);
  expect(third.states.get('s9')).toEqual(walk(0, 9));
  const batches = range(0, 8).map((t) => [{ item: frame(t), newest: t === 7 }]);
  const latest = await life(batches, memoryOf([]), { policy: 'latest' });
  expect(latest.outcomes.slice(3)).toEqual([
    '3 observed',
    '4 observed',
    '5 observed',
    '6 observed',
    '7 forecast',
  ]);
  expect(latest.states.get('s7')).toEqual(walk(0, 7));
});

test('the normalisation is fixed on the first context frames, or declared', async () => {
  const memory = memoryOf([]);
  const own = await life(singly(range(0, 6)), memory, { range: undefined });
  expect(own.encoded[2]).toMatchObject({ outcome: 'warm-up' });
  expect(own.encoded[2]?.normalisation).toBeUndefined();
  expect(own.encoded[3]).toMatchObject({ outcome: 'forecast', normalisation: { low: 0, high: 3 } });
  expect(own.encoded[5]).toMatchObject({ normalisation: { low: 0, high: 3 }, previous: frame(4).data });
  expect(memory.notices).toEqual([
    expect.stringMatching(/frame 50 has values far outside of 0 \.\. 3, the range of the first frames/),
  ]);
});
