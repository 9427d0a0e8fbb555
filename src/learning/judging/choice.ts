import { NO_FORECASTER, type Contestant } from '../../pipeline/forecast.js';
import { gainOver, likelyAbove, meanOf } from './noise.js';
import type { Verified } from '../../pipeline/ledger/verified-store.js';
import { around, changeSince } from './nowcast.js';
import { errorOf, type ByLead } from './standings.js';

/** Forecasts that a choice looks back on: enough to tell, few enough to follow a run that changes. */
const WINDOW = 20;
/** Fewer say nothing: neighbouring ones are alike. */
const LEAST = 3;
/** A network that began from nothing makes leads up to so many times the furthest one that it was tried at. */
const FURTHER = 2;

/**
 * By how much `b` erred more than `a` at some leads, a value for each of the last forecasts, oldest first. Relative to
 * what both erred, so that a run whose errors grow is not judged by its last frames alone.
 */
const differences = (scores: readonly Verified[], a: Contestant, b: Contestant): number[] => {
  const byOrigin = new Map<number, number[]>();
  for (const score of scores) {
    const gain = gainOver(errorOf(score, b), errorOf(score, a));
    byOrigin.set(score.origin, [...(byOrigin.get(score.origin) ?? []), gain]);
  }
  return [...byOrigin]
    .sort(([first], [second]) => first - second)
    .slice(-WINDOW)
    .map(([, values]) => meanOf(values));
};

/** Whether scores are of enough forecasts to tell. */
const hasEnough = (scores: readonly Verified[]): boolean =>
  new Set(scores.map(({ origin }) => origin)).size >= LEAST;

/** What is known of a forecaster before any of its forecasts are verified. */
export interface Vouched {
  /** Of windows over frames that were there before, as if they were its first forecasts. */
  readonly scores: readonly Verified[];
  /**
   * Of a network that began from nothing: the furthest lead that it, or one that it grew from, was tried at on frames that
   * it had not learned from. It was trained with short roll-outs, and those that go astray do so further on.
   */
  readonly tried?: number | undefined;
}

/** Slope of y over x by least squares; 0 where there is one x. */
const slopeOf = (points: readonly { readonly x: number; readonly y: number }[]): number => {
  const [centre, mean] = [meanOf(points.map(({ x }) => x)), meanOf(points.map(({ y }) => y))];
  const spread = points.reduce((sum, { x }) => sum + (x - centre) ** 2, 0);
  return spread === 0 ? 0 : points.reduce((sum, { x, y }) => sum + (x - centre) * (y - mean), 0) / spread;
};

/** What is known at a lead of the bolder of two: its mean gain over the other, and whether that is enough to take it. */
interface Known {
  readonly gain: number;
  readonly taken: boolean;
}

/**
 * At which of the leads 1..n the bolder of two is taken; undefined where nothing is known. Beyond the known leads it is
 * taken for as long as its gain lasts, if that goes on falling as it did over the further half of the known ones: on a line
 * over `scale` of the lead; and not beyond `furthest`. Where no lead is known at all, `unknown` holds.
 */
const takenAt = (
  known: readonly (Known | undefined)[],
  unknown: boolean,
  scale: (lead: number) => number,
  furthest = Infinity,
): boolean[] => {
  const seen: { lead: number; x: number; y: number }[] = [];
  let taken = unknown;
  return known.map((entry, k) => {
    const lead = k + 1;
    if (entry !== undefined) {
      seen.push({ lead, x: scale(lead), y: entry.gain });
      return (taken = entry.taken);
    }
    if (lead > furthest) return false;
    const last = seen.at(-1);
    if (last === undefined || !taken) return taken;
    const slope = slopeOf(seen.filter((one) => 2 * one.lead >= last.lead));
    return last.y + Math.min(0, slope) * (scale(lead) - last.x) > 0;
  });
};

/**
 * Who makes each of the leads 1..horizon: whoever erred least at it, and a little around it, in the last verified
 * forecasts. Linear extrapolation has to be better than persistence by more than noise. The forecaster (`hash`) is judged
 * by forecasts of its own, beside what vouches for it; where it has none of its own yet by the latter alone; where there
 * are none either by the forecasts of those before it; beyond these by how it does at the leads below, and not much beyond
 * what it was tried at if it began from nothing; and where nothing is known at all it makes the forecast: it was chosen for
 * that. By what vouches for it alone it has to be better than the
 * trivial one by more than noise; once it has forecasts of its own, or its predecessors had, it is left only when it was
 * worse by more than noise.
 */
export const chooseMakers = (
  verified: ByLead,
  hash: string,
  horizon: number,
  vouched: Vouched = { scores: [] },
): readonly Contestant[] => {
  const near = Array.from({ length: horizon }, (_, k) =>
    around(k + 1).flatMap((lead) => verified(lead).slice(-WINDOW)),
  );
  const isLinear = takenAt(
    near.map((scores, k) => {
      if (!hasEnough(scores) || verified(k + 1).length === 0) return undefined;
      const change = changeSince(verified, k + 1, WINDOW, (some) =>
        meanOf(differences(some, 'linear', 'persistence')),
      );
      const gains = differences(scores, 'linear', 'persistence').map((gain) => gain + change);
      return { gain: meanOf(gains), taken: likelyAbove(gains) };
    }),
    false,
    (lead) => -1 / Math.sqrt(lead), // both errors grow, and less and less so
  );
  const trivial = isLinear.map((linear): Contestant => (linear ? 'linear' : 'persistence'));
  if (hash === NO_FORECASTER.hash) return trivial;

  const isOwn = ({ forecaster }: Verified): boolean => forecaster === hash;
  const reached = trivial.findLastIndex((_, k) => verified(k + 1).some(isOwn)) + 1;
  const furthest = vouched.tried === undefined ? horizon : FURTHER * Math.max(vouched.tried, reached);
  const isForecaster = takenAt(
    near.map((scores, k) => {
      if (k >= furthest) return undefined;
      const leads = around(k + 1);
      const own = scores.filter(isOwn);
      const all = [...vouched.scores.filter(({ lead }) => leads.includes(lead)), ...own];
      const known = hasEnough(all)
        ? all
        : scores.filter(({ forecaster }) => forecaster !== NO_FORECASTER.hash);
      if (!hasEnough(known)) return undefined;
      const gains = differences(known, 'forecaster', trivial[k]!);
      const isVouchedOnly = known === all && own.length === 0;
      const over = (other: Contestant): number => meanOf(differences(known, 'forecaster', other));
      const isWorse = likelyAbove(gains.map((gain) => -gain));
      return {
        gain: Math.min(over('linear'), over('persistence')),
        taken: isVouchedOnly ? likelyAbove(gains) : !isWorse,
      };
    }),
    true,
    (lead) => lead, // errors of a roll-out that goes astray multiply from lead to lead
    furthest,
  );
  return trivial.map((other, k) => (isForecaster[k] === true ? 'forecaster' : other));
};
