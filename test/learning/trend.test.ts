import { expect, test } from '@jest/globals';
import { fittedDamping, trendError } from '../../src/learning/judging/trend.js';
import { betweenRmse, dampedTrend, linearExtrapolation, trendReach } from '../../src/metrics/baselines.js';
import { rmse } from '../../src/metrics/rmse.js';

/** A front, tanh-shaped as of two phases, `at` pixels from the left: beside it values are clipped when carried on. */
const front = (at: number): Float32Array =>
  Float32Array.from({ length: 200 }, (_, x) => 0.5 - 0.5 * Math.tanh((x - at) / 4));
const LEADS = [1, 2, 5, 10, 20, 40];

const scoresOf = (truthAt: (lead: number) => number) =>
  LEADS.map((lead) => {
    const [previous, last, truth] = [front(49), front(50), front(truthAt(lead))];
    return {
      lead,
      persistenceRmse: rmse(last, truth),
      linearRmse: rmse(linearExtrapolation(last, previous, lead), truth),
      ...betweenRmse(truth, last, previous, lead),
      made: (damping: number) => rmse(dampedTrend(last, previous, lead, damping), truth),
    };
  });

test('what the trend would have erred is told for any damping, also where it is clipped', () => {
  const all: number[] = [];
  for (const speed of [0, 0.6, 1, 1.4])
    for (const score of scoresOf((lead) => 50 + speed * lead))
      for (const damping of [0, 0.3, 0.6, 0.8, 0.9, 0.95, 0.98, 1])
        all.push(Math.abs(trendError(score, damping) - score.made(damping)));
  // Of errors up to 0.6. The worst is where a trend that fades at once goes far less than the least share that is known.
  expect(all.reduce((sum, off) => sum + off, 0) / all.length).toBeLessThan(0.001);
  expect(Math.max(...all)).toBeLessThan(0.012);
});

test('the damping is the one that would have been best, from persistence to linear extrapolation', () => {
  expect(fittedDamping(scoresOf(() => 50 - 1))).toBe(0);
  for (const damping of [0.5, 0.8, 0.95]) {
    const scores = scoresOf((lead) => 50 + trendReach(damping, lead));
    const error = (of: number): number =>
      scores.reduce((sum, { made, persistenceRmse, linearRmse }) => {
        return sum + made(of) / Math.min(persistenceRmse, linearRmse);
      }, 0);
    const best = Math.min(...Array.from({ length: 101 }, (_, k) => error(k / 100)));
    expect([damping, error(fittedDamping(scores)) / LEADS.length < best / LEADS.length + 0.05]).toEqual([
      damping,
      true,
    ]);
  }
});

test('a run that has left the range of its first frames is not pulled back into it', () => {
  const [previous, last] = [Float32Array.of(0.9, 1.1, -0.2), Float32Array.of(0.95, 1.2, -0.3)];
  expect([...dampedTrend(last, previous, 5, 0)]).toEqual([...last]);
  const carried = linearExtrapolation(last, previous, 5);
  expect([carried[0], carried[1], carried[2]]).toEqual([1, last[1], last[2]]);
  // Coming back, it does.
  expect(linearExtrapolation(Float32Array.of(1.2), Float32Array.of(1.3), 2)[0]).toBeCloseTo(1, 6);
});
