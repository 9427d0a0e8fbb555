import type { Forecaster } from '../../forecaster/forecaster.js';
import { isBetter, type Rival, type Windows } from './compare.js';
import type { HeldOutScore } from './messages.js';

/** Of each series, strides of frames that have come. */
type Lengths = ReadonlyMap<string, number>;

/** What is learned from nothing, at a time. */
export interface Learned {
  readonly forecaster: Forecaster;
  readonly lengths: Lengths;
}

/**
 * What learns from nothing on trial against a forecaster that has learned nothing from these runs. The frames that are kept
 * apart come right after those that were learned from; forecasts are made further on, where what has seen nothing else errs
 * more, and the other one does not. So it is tried as it was when as many frames fewer had come as are kept apart.
 */
export interface Trial {
  /** `now`: as it is, to be tried when more frames have come, with its scores on the windows. `apart`: see `Verdict`. */
  verdict(
    now: Learned,
    scores: readonly HeldOutScore[],
    apart: number,
    windows: Windows,
    rival: Rival,
  ): Promise<Verdict>;
}

/** All by more than noise, on windows over the newest frames, of which `apart` strides are kept apart from what is learned. */
export interface Verdict {
  /** It was better than the rival already as it was before `apart` strides of frames. */
  readonly isPassed: boolean;
  /** It is better now than it was then, or there is no saying yet. */
  readonly isLearning: boolean;
}

export const createTrial = (
  score: (forecaster: Forecaster, windows: Windows) => Promise<HeldOutScore[]>,
): Trial => {
  /** As it was last before each frame that came, oldest first. */
  const past: Learned[] = [];
  return {
    verdict: async (now, scores, apart, windows, rival) => {
      const sinceThen = ({ lengths }: Learned): number =>
        Math.min(
          ...windows.series.map(({ name }) => (now.lengths.get(name) ?? 0) - (lengths.get(name) ?? 0)),
        );
      const last = past.at(-1);
      if (last !== undefined && sinceThen(last) <= 0) past.pop();
      past.push(now);
      const then = past.findLastIndex((learned) => sinceThen(learned) >= apart);
      const tried = past[then];
      if (tried === undefined) return { isPassed: false, isLearning: true };
      past.splice(0, then);
      const before = await score(tried.forecaster, windows);
      return {
        isPassed: isBetter(before, rival),
        isLearning: isBetter(scores, (_, k) => before[k]!.forecasterRmse),
      };
    },
  };
};
