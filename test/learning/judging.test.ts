import { expect, test } from '@jest/globals';
import { alarmOf } from '../../src/learning/judging/alarm.js';
import { chooseMakers, type Tried } from '../../src/learning/judging/choice.js';
import { boundOf } from '../../src/learning/judging/error-bounds.js';
import { effectiveSize, likelyAbove, meanOf, surelyAbove } from '../../src/learning/judging/noise.js';
import { trustedLeads } from '../../src/learning/judging/trusted-leads.js';
import { createJudge } from '../../src/learning/judging/judge.js';
import { trendReach } from '../../src/metrics/baselines.js';
import type { Verified } from '../../src/pipeline/ledger/verified-store.js';
import { normalNumbers, uniformNumbers } from '../../src/pipeline/random.js';
import { memoryVerified } from '../support/forecasts.js';
import { judgeRun, betweenFrom, type Errors } from '../support/judged.js';

const HORIZON = 20;
const judge = (store = memoryVerified()) =>
  createJudge({ store, horizon: HORIZON, stride: 1, forecastEvery: 1, madeBy: 'best' });

/** Errors that grow with the lead, share most of their ups and downs with those of the frames around, and vary by `noise`. */
const noisy = (seed: number, noise: number, scale: (origin: number, lead: number) => number): Errors => {
  const normal = normalNumbers(uniformNumbers(seed));
  const shocks = Array.from({ length: 2000 }, () => normal());
  return (lead, origin) => {
    const shared = shocks.slice(origin, origin + lead).reduce((a, b) => a + b, 0) / Math.sqrt(lead);
    const persistence = 0.02 * lead;
    return {
      forecaster: scale(origin, lead) * persistence * Math.exp(noise * shared),
      persistence,
      linear: 2 * persistence,
    };
  };
};

test('a sequence is worth fewer values the more they overlap or stay alike', () => {
  const normal = normalNumbers(uniformNumbers(1));
  const independent = Array.from({ length: 100 }, () => normal());
  expect(effectiveSize(independent, 1)).toBeGreaterThan(75);
  expect(effectiveSize(independent, 10)).toBe(10);
  const alike = independent.map((_, k) => independent[Math.floor(k / 10)]!);
  expect(effectiveSize(alike, 1)).toBeLessThan(15);
});

test.each([1, 5, 15])('of means that are zero at most one in ten is surely above it, at lead %i', (lead) => {
  const normal = normalNumbers(uniformNumbers(7));
  let [sure, likely] = [0, 0];
  const trials = 2000;
  for (let trial = 0; trial < trials; trial++) {
    const shocks = Array.from({ length: 60 + lead }, () => normal());
    // As errors of overlapping forecasts are: sums over the steps that each of them spans.
    const values = Array.from({ length: 60 }, (_, k) => shocks.slice(k, k + lead).reduce((a, b) => a + b, 0));
    if (surelyAbove(values, lead) > 0) sure++;
    if (likelyAbove(values)) likely++;
  }
  expect(sure / trials).toBeLessThan(0.115);
  expect(sure / trials).toBeGreaterThan(0.01);
  expect(likely).toBeGreaterThan(sure);
});

test('what is clearly better is surely above zero, and three values are needed to say so', () => {
  expect(surelyAbove([0.1, 0.11, 0.09, 0.1], 1)).toBeGreaterThan(0.08);
  expect(surelyAbove([0.1, 0.1], 1)).toBe(-Infinity);
  expect(surelyAbove([0.1, 0.1, 0.1, 0.1], 4)).toBe(-Infinity);
});

test.each([
  ['falls slowly', (k: number) => 0.87 - 0.0025 * k],
  ['rises towards its end', (k: number) => 0.9 - 0.3 * Math.exp(-k / 20)],
  ['falls and recovers', (k: number) => 0.75 + 0.12 * Math.cos(k / 12)],
  ['hardly ever changes', (k: number) => 0.9999 - 1e-5 * Math.sin(k / 30)],
])('a skill that %s but stays high is sure at each lead that was seen a few times over', (_name, at) => {
  for (const overlap of [1, 2, 3, 8, 20]) {
    const gains = Array.from({ length: 66 }, (_, k) => at(k));
    expect([overlap, surelyAbove(gains, overlap) > 0]).toEqual([overlap, true]);
    expect(surelyAbove(gains, overlap)).toBeLessThan(meanOf(gains));
  }
  // About zero it says nothing.
  const about = Array.from({ length: 66 }, (_, k) => at(k) - at(33));
  expect(surelyAbove(about, 2)).toBeLessThan(0);
});

test('each band of leads is made by who is best at it by more than noise', () => {
  // The network is good up to lead 9, where its roll-outs go wrong.
  const { outlooks, scored } = judgeRun(
    judge(),
    80,
    HORIZON,
    noisy(1, 0.05, (_, lead) => (lead <= 9 ? 0.4 : 3)),
  );
  const makers = outlooks.at(-1)?.leads.map(({ madeBy }) => madeBy);
  expect(makers?.slice(0, 8)).toEqual(Array(8).fill('forecaster'));
  expect(makers?.slice(10)).toEqual(Array(10).fill('trend'));
  // Before anything is known the forecaster makes them all.
  expect(outlooks[0]?.leads.every(({ madeBy }) => madeBy === 'forecaster')).toBe(true);
  const late = scored.filter(({ position }) => position >= 50);
  const mean = (of: 'rmse' | 'persistenceRmse'): number =>
    late.reduce((sum, { score }) => sum + score[of], 0) / late.length;
  expect(mean('rmse')).toBeLessThan(mean('persistenceRmse'));
});

/** Scores of three windows at leads 1..count, by which the forecaster "new" is vouched for. */
const vouchedFor = (
  count: number,
  error: (lead: number, window: number) => number,
  series = 'run',
): Tried[] =>
  [1, 2, 3].flatMap((window) =>
    Array.from({ length: count }, (_, k): Tried => {
      const [lead, persistenceRmse] = [k + 1, 0.02 * (k + 1)];
      const forecasterRmse = error(lead, window);
      return {
        ...{ series, lead, origin: -window, forecaster: 'new', madeBy: 'forecaster' },
        ...{ rmse: forecasterRmse, forecasterRmse, persistenceRmse, linearRmse: 2 * persistenceRmse },
        ...betweenFrom(lead, { persistence: persistenceRmse, linear: 2 * persistenceRmse }),
      };
    }),
  );
const NEW = { name: 'n', hash: 'new' };

test('beyond the leads that vouch for a new forecaster it falls off as those before it did from there on', () => {
  const makers = (before: (lead: number) => number, vouched: number): (string | undefined)[] => {
    const own = judge();
    judgeRun(
      own,
      40,
      HORIZON,
      noisy(6, 0.05, (_, lead) => before(lead)),
    );
    own.vouch('new', { scores: vouchedFor(vouched, (lead) => 0.01 * lead) });
    return own.outlook('run', 40, NEW).leads.map(({ madeBy }) => madeBy);
  };
  const all = Array(HORIZON).fill('forecaster');
  // The one before was worse than the trend, no more so at late leads than at others.
  expect(makers(() => 3, 8)).toEqual(all);
  // The one before went astray there.
  const astray = (lead: number): number => (lead <= 10 ? 0.4 : 3);
  expect(makers(astray, 8).slice(0, 8)).toEqual(Array(8).fill('forecaster'));
  expect(makers(astray, 8).slice(12)).toEqual(Array(8).fill('trend'));
  // Where it vouches for itself those before it say nothing.
  expect(makers(astray, HORIZON)).toEqual(all);
});

test('forecasts before it of which nothing is known where a new one was vouched for say nothing of it', () => {
  const before = (lead: number): Verified[] =>
    [10, 11, 12].map((origin) => {
      const [persistence, linear] = [0.02 * lead, 0.04 * lead];
      return {
        ...{ origin, lead, forecaster: 'old', madeBy: 'forecaster', rmse: 0.03 * lead },
        ...{ forecasterRmse: 0.03 * lead, persistenceRmse: persistence, linearRmse: linear },
        ...betweenFrom(lead, { persistence, linear }),
      };
    });
  // Frames are missing that would have been the truth around the last lead that it was vouched for.
  const verified = (lead: number): Verified[] => (lead <= 15 && (lead < 7 || lead > 10) ? before(lead) : []);
  const { makers } = chooseMakers(verified, 'new', HORIZON, {
    scores: vouchedFor(8, (lead) => 0.01 * lead),
  });
  expect(makers).toEqual(Array(HORIZON).fill('forecaster'));
});

test('what a new forecaster did in another series says nothing of one whose forecasts are known', () => {
  const own = judge();
  judgeRun(
    own,
    40,
    HORIZON,
    noisy(6, 0.05, () => 3),
  );
  const scores = vouchedFor(HORIZON, (lead) => 0.01 * lead, 'another');
  own.vouch('new', { scores });
  const makers = (series: string, position: number): (string | undefined)[] =>
    own.outlook(series, position, NEW).leads.map(({ madeBy }) => madeBy);
  // Here all before it were bad; of a series that begins nothing else is known.
  expect(makers('run', 40)).toEqual(Array(HORIZON).fill('trend'));
  expect(makers('a new one', 0)).toEqual(Array(HORIZON).fill('forecaster'));
  own.vouch('new', { scores: vouchedFor(HORIZON, (lead) => 0.06 * lead, 'another') });
  expect(makers('a new one', 0)).toEqual(Array(HORIZON).fill('trend'));
});

test('a gain that falls from lead to lead is not taken to last where nothing is known', () => {
  const own = judge();
  const makers = (error: (lead: number) => number, tried?: number) => {
    const scores = vouchedFor(6, (lead, window) => error(lead) * (1 + 0.01 * window));
    own.vouch('new', { scores, tried });
    return own.outlook('run', 10, NEW).leads.map(({ madeBy }) => madeBy);
  };
  // Half of persistence's error at each lead: so it is likely to be beyond.
  expect(makers((lead) => 0.01 * lead)).toEqual(Array(HORIZON).fill('forecaster'));
  // A network from nothing is not trusted with more than three times the leads that it was tried at.
  expect(makers((lead) => 0.01 * lead, 4)).toEqual([
    ...Array<string>(12).fill('forecaster'),
    ...Array<string>(HORIZON - 12).fill('trend'),
  ]);
  // With those that it was vouched for it is, however far it was tried.
  expect(makers((lead) => 0.01 * lead, 1)).toEqual([
    ...Array<string>(6).fill('forecaster'),
    ...Array<string>(HORIZON - 6).fill('trend'),
  ]);
  // From a quarter to seven tenths: it reaches persistence's soon.
  const late = makers((lead) => 0.02 * lead * 0.25 * lead ** 0.6);
  expect(late.slice(0, 6)).toEqual(Array(6).fill('forecaster'));
  expect(late.slice(14)).toEqual(Array(6).fill('trend'));
});

/** What moves on with ever smaller changes, each `damping` times the one before; the forecaster is no use. */
const fading =
  (damping: number): Errors =>
  (lead, origin) => {
    const change = 0.05 * damping ** origin + 1e-4;
    const moved = change * trendReach(damping, lead);
    return { forecaster: 1, persistence: moved, linear: change * lead - moved, change };
  };

test('the trend is damped as the changes of the run are, at first no further than it has been seen', () => {
  for (const damping of [0.5, 0.9]) {
    const { outlooks, scored } = judgeRun(judge(), 60, HORIZON, fading(damping));
    expect(outlooks[0]?.damping).toBe(0);
    expect(outlooks[3]?.damping).toBeLessThanOrEqual(0.75);
    expect(Math.abs(outlooks[59]!.damping - damping)).toBeLessThan(0.04); // there are so many dampings
    expect(outlooks[59]?.leads.every(({ madeBy }) => madeBy === 'trend')).toBe(true);
    for (const { position, score } of scored.filter((one) => one.position > 40)) {
      const better = Math.min(score.persistenceRmse, score.linearRmse);
      expect([position, score.lead, score.rmse <= 1.1 * better]).toEqual([position, score.lead, true]);
    }
  }
});

test('a forecaster that goes bad in the middle of a run is left within some frames, and taken again', () => {
  const errors = noisy(2, 0.05, (origin) => (origin >= 60 && origin < 100 ? 2 : 0.5));
  const makers = judgeRun(judge(), 160, 5, errors).outlooks.map(({ leads }) => leads[0]?.madeBy);
  expect(makers[59]).toBe('forecaster');
  expect(makers[85]).toBe('trend');
  expect(makers[130]).toBe('forecaster');
});

test('what was judged outlives the judge, and is the same when a frame is judged again', () => {
  const [store, errors] = [memoryVerified(), noisy(3, 0.2, () => 0.6)];
  const whole = judgeRun(judge(), 60, HORIZON, errors).outlooks;
  judgeRun(judge(store), 60, HORIZON, errors);
  for (const position of [59, 40, 12])
    expect(judge(store).outlook('run', position, { name: 'n', hash: 'the network' })).toEqual(
      whole[position],
    );
});

test('with another stride judging begins anew; of many series the ones last used stay in memory, and all say the same', () => {
  const [store, errors] = [memoryVerified(), noisy(3, 0.2, () => 0.6)];
  const own = judge(store);
  const whole = judgeRun(own, 40, HORIZON, errors).outlooks;
  for (let k = 0; k < 70; k++) own.outlook(`other ${k}`, 0, { name: 'n', hash: 'the network' });
  expect(own.outlook('run', 39, { name: 'n', hash: 'the network' })).toEqual(whole[39]);
  const strided = createJudge({ store, horizon: HORIZON, stride: 2, forecastEvery: 1, madeBy: 'best' });
  const anew = strided.outlook('run', 39, { name: 'n', hash: 'the network' });
  expect(anew.trustedLeads).toBe(0);
  expect(anew.leads.every(({ skill, rmseBound }) => skill === undefined && rmseBound === undefined)).toBe(
    true,
  );
});

test('trust ends soon after a run has changed', () => {
  const { outlooks } = judgeRun(
    judge(),
    160,
    HORIZON,
    noisy(4, 0.1, (origin) => (origin < 120 ? 0.5 : 1.5)),
  );
  expect(outlooks[118]?.trustedLeads).toBeGreaterThan(5);
  expect(outlooks[145]?.trustedLeads).toBe(0);
});

test('leads are trusted where their skill is surely positive, and only when it was seen', () => {
  const { outlooks } = judgeRun(
    judge(),
    120,
    HORIZON,
    noisy(4, 0.1, (_, lead) => (lead <= 9 ? 0.5 : 1)),
  );
  expect(outlooks[2]?.trustedLeads).toBe(0);
  expect(outlooks[30]?.trustedLeads).toBeGreaterThan(0);
  expect(outlooks.at(-1)?.trustedLeads).toBe(9);
  expect(outlooks.at(-1)?.leads[4]?.skill).toBeGreaterThan(0.4);
});

test('leads far ahead, whose forecasts overlap more than all that is kept of a short run, can be trusted', () => {
  const verified = Array.from({ length: 400 }, (_, origin): Verified => ({
    ...{ origin, lead: 1, forecaster: 'f', madeBy: 'forecaster', rmse: 1, forecasterRmse: 1 },
    ...{ persistenceRmse: 2, linearRmse: 2, betweenRmse: [2, 2, 2] },
  }));
  expect(trustedLeads(() => verified, 75, 0.5)).toBe(75);
});

test.each([
  ['that stay as they are', () => 0.5],
  ['that grow tenfold over the run', (origin: number) => 0.2 * 10 ** (origin / 300)],
  ['that shrink tenfold, as of something that learns', (origin: number) => 0.8 / 10 ** (origin / 300)],
  ['that jump in the middle', (origin: number) => (origin < 150 ? 0.2 : 0.6)],
])('bounds of errors %s hold nine times in ten at every lead', (_name, scale) => {
  const { scored } = judgeRun(judge(), 300, HORIZON, noisy(5, 0.25, scale));
  for (let lead = 1; lead <= HORIZON; lead++) {
    const bounded = scored.filter(({ score }) => score.lead === lead && score.rmseBound !== undefined);
    const held = bounded.filter(({ score }) => score.rmse <= score.rmseBound!).length / bounded.length;
    expect([lead, held > 0.85 && held < 0.95 ? 'held' : held]).toEqual([lead, 'held']);
  }
});

test('of a new forecaster half is expected of what those before it erred, half of what vouches for it', () => {
  const scoreOf = (lead: number, origin: number, forecaster: string, forecasterRmse: number): Verified => ({
    ...{ lead, origin, forecaster, madeBy: 'forecaster', rmse: forecasterRmse, forecasterRmse },
    ...{ persistenceRmse: 0.2, linearRmse: 0.2, betweenRmse: [0.2, 0.2, 0.2] },
  });
  const expectedOf = (own: number, vouched: readonly Verified[]) =>
    boundOf(
      (lead) =>
        Array.from({ length: 20 }, (_, k) =>
          k < 20 - own ? scoreOf(lead, k, 'old', 0.16) : scoreOf(lead, k, 'new', 0.08),
        ),
      4,
      { madeBy: 'forecaster', damping: 0, hash: 'new', vouched },
    )?.rmseExpected;
  // A fifth of the trend's error.
  const tried = [1, 2, 3].map((window) => scoreOf(4, -window, 'new', 0.04));
  expect(expectedOf(0, tried)).toBeCloseTo(Math.sqrt(0.16 * 0.04), 6);
  expect(expectedOf(0, [])).toBeCloseTo(0.16, 6);
  expect(expectedOf(0, [scoreOf(5, -1, 'new', 0.04)])).toBeCloseTo(0.16, 6);
  // With ten forecasts of its own these count alone.
  expect(expectedOf(10, tried)).toBeCloseTo(0.08, 6);
});

test('bounds answer to what is expected having been wrong, at leads where that is not known by shorter ones', () => {
  const scoresOf = (lead: number, count: number, wrong: number): Verified[] =>
    Array.from({ length: count }, (_, origin) => ({
      ...{ lead, origin, forecaster: 'own', madeBy: 'forecaster', rmse: 0.1, forecasterRmse: 0.1 },
      ...{ persistenceRmse: 0.2, linearRmse: 0.2, betweenRmse: [0.2, 0.2, 0.2] },
      ...(origin >= count - 10 && { rmseExpected: 0.1 / wrong }),
    }));
  const own = { madeBy: 'forecaster', damping: 0, hash: 'own', vouched: [] } as const;
  const atFour = (wrong: number) =>
    boundOf(
      (lead) =>
        lead === 1
          ? scoresOf(1, 20, wrong)
          : scoresOf(lead, 6, 1).map(({ rmseExpected: _, ...score }) => score),
      4,
      own,
    );
  expect(atFour(1)?.rmseExpected).toBeCloseTo(0.1, 6);
  expect(atFour(8)?.rmseExpected).toBeCloseTo(0.1, 6);
  // A third of three octaves, as ten forecasts say it and twenty more say nothing.
  expect(atFour(8)!.rmseBound / atFour(1)!.rmseBound).toBeCloseTo(2, 6);
  // Of the trend they say nothing.
  const trends = { ...own, madeBy: 'trend' } as const;
  const trendAt = (wrong: number) => boundOf((lead) => scoresOf(lead, 20, wrong), 4, trends)?.rmseBound;
  expect(trendAt(8)).toBe(trendAt(1));
});

test('a forecaster that errs more than the one before it raises no alarm, a change of the run soon after does', () => {
  const scoresOf = (changes: number): Verified[] =>
    Array.from({ length: 60 }, (_, origin) => {
      const persistence = (origin < changes ? 0.1 : 0.25) * (1 + 0.02 * Math.sin(origin));
      const forecasterRmse = persistence * (origin < 40 ? 0.3 : 0.9);
      return {
        ...{ lead: 1, origin, rmse: forecasterRmse, madeBy: 'forecaster', forecasterRmse },
        ...{
          forecaster: origin < 40 ? 'old' : 'new',
          persistenceRmse: persistence,
          linearRmse: 2 * persistence,
          ...betweenFrom(1, { persistence, linear: 2 * persistence }),
        },
      };
    });
  const alarmsOf = (all: readonly Verified[]): number[] =>
    all.flatMap(({ origin }) => {
      const known = all.slice(0, origin + 1);
      return alarmOf(
        (lead) => (lead === 1 ? known : []),
        () => origin,
      ) === undefined
        ? []
        : [origin];
    });
  expect(alarmsOf(scoresOf(Infinity))).toEqual([]);
  expect(alarmsOf(scoresOf(45))[0]).toBe(45);
});

test.each([
  { every: 5, forecastEvery: 5, so: 'as was asked for' },
  { every: 20, forecastEvery: 1, so: 'since the machine makes no more' },
])('the alarm is raised once when every $every. frame has a forecast, $so', ({ every, forecastEvery }) => {
  const own = createJudge({ store: memoryVerified(), horizon: 5, stride: 1, forecastEvery, madeBy: 'best' });
  const errors = noisy(3, 0.05, (origin) => (origin >= 40 * every ? 20 : 0.5));
  const larger: Errors = (lead, origin) => {
    const { forecaster, persistence } = errors(lead, origin);
    return { forecaster, persistence: 20 * persistence, linear: 40 * persistence };
  };
  const { alarms, outlooks } = judgeRun(own, 48 * every, 5, larger, { every });
  expect(alarms).toEqual([40 * every + 1]);
  expect(outlooks[40 * every]?.leads.map(({ rmseBound }) => typeof rmseBound)).toEqual(
    Array(5).fill('number'),
  );
});

test('twenty runs that do not change raise no alarm; one that changes raises it at once', () => {
  for (let seed = 10; seed < 30; seed++)
    expect(
      judgeRun(
        judge(),
        200,
        5,
        noisy(seed, 0.15, (origin) => 0.5 + origin / 400),
      ).alarms,
    ).toEqual([]);
  const changed = noisy(30, 0.15, (origin) => (origin >= 100 && origin < 140 ? 2 : 0.5));
  const [first, ...others] = judgeRun(judge(), 200, 5, changed).alarms;
  expect(first).toBeGreaterThanOrEqual(101);
  expect(first).toBeLessThanOrEqual(103);
  expect(others).toEqual([]);
});

test('a change that shows again while errors are not usual again is told once, another one later anew', () => {
  // Errors jump, fall back, jump again some frames later, and once more when all that is long over.
  const jumps = noisy(30, 0.05, (origin) => ([60, 64, 100].includes(origin) ? 6 : 0.5));
  const larger: Errors = (lead, origin) => {
    const all = jumps(lead, origin);
    const times = [60, 64, 100].includes(origin) ? 8 : 1;
    return { ...all, persistence: times * all.persistence, linear: times * all.linear };
  };
  expect(judgeRun(judge(), 140, 5, larger).alarms).toEqual([61, 101]);
});

test('of more series than fit into memory most are still there when they come in turn', () => {
  const [store, asked] = [memoryVerified(), new Map<string, number>()];
  const counted = {
    ...store,
    rows: (series: string) => {
      asked.set(series, (asked.get(series) ?? 0) + 1);
      return store.rows(series);
    },
  };
  const own = judge(counted);
  for (let round = 0; round < 10; round++) for (let k = 0; k < 70; k++) own.outlook(`${k}`, round, NEW);
  const reads = [...asked.values()].reduce((sum, times) => sum + times, 0);
  expect(asked.size).toBe(70);
  expect(reads).toBeLessThan(350); // each time all of them would be 700
});
