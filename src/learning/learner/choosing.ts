import { loadForecaster } from '../../forecaster/folder.js';
import type { Forecaster } from '../../forecaster/forecaster.js';
import { messageOf } from '../../pipeline/errors.js';
import { isBetter, relativeError, trendRival, windowsOver } from './compare.js';
import type { FromLearner, LearnerSetup } from './messages.js';
import type { Recording, Replay } from './replay.js';
import { CONTEXT, type Contestant, type Scoring } from './scoring.js';
import { canLearn } from './study.js';

/** A forecaster that fits the frames, and why it was taken. */
export interface Choice extends Contestant {
  readonly folder: string;
  readonly why: string;
}

/** Tries the forecasters that might fit. */
export interface Choosing {
  /** There are some to try, and enough frames more than at the last time. */
  readonly isDue: boolean;
  /** There is none to try. */
  readonly isOver: boolean;
  /**
   * The one that errs least on all frames so far, none of which it has learned from; undefined while none beats the trend.
   * While there are frames for less than half the leads of a forecast, one without weights only where no other beats the trend:
   * what it carries on with looks best at the first leads.
   */
  choose(): Promise<Choice | undefined>;
  /** One was taken, or none is wanted. */
  end(): void;
}

export const longestOf = (all: readonly Recording[]): number =>
  Math.max(0, ...all.map(({ frames }) => frames.length));

const tellUntried = (tell: (message: FromLearner) => void, folder: string, error: unknown): void =>
  tell({ type: 'notice', message: `the forecaster in ${folder} cannot be tried: ${messageOf(error)}` });

/** The forecasters that take as many channels as the frames have; of one that cannot be read is told. */
export const loadCandidates = async (
  folders: readonly string[],
  channels: number,
  tell: (message: FromLearner) => void,
): Promise<{ readonly folder: string; readonly forecaster: Forecaster }[]> => {
  const loaded = [];
  for (const folder of folders) {
    try {
      const forecaster = await loadForecaster(folder);
      if (forecaster.settings.channels === channels) loaded.push({ folder, forecaster });
    } catch (error) {
      tellUntried(tell, folder, error);
    }
  }
  return loaded;
};

export const createChoosing = (
  {
    candidates: all,
    champion,
    rolledBack,
    learn,
    channels,
    horizon,
  }: Pick<LearnerSetup, 'candidates' | 'champion' | 'rolledBack' | 'learn' | 'channels' | 'horizon'>,
  replay: Pick<Replay, 'all' | 'seen' | 'frames'>,
  scoring: Pick<Scoring, 'on'>,
  tell: (message: FromLearner) => void,
): Choosing => {
  let candidates = champion === undefined && !rolledBack ? all : [];
  /** Frames from which they are tried. */
  let from = 0;

  /** Half as many leads as there are frames: no more than forecasts have. */
  const windows = () => {
    const recordings = replay.all();
    const longest = longestOf(recordings);
    const parts = recordings
      .filter(({ frames }) => frames.length >= longest / 2 && frames.length > CONTEXT + 2)
      .map((series) => {
        const frames = series.frames.slice(-(CONTEXT + 2 * horizon));
        return { series: { ...series, frames }, unseen: frames.length - CONTEXT };
      });
    return windowsOver(parts, CONTEXT);
  };

  return {
    get isDue() {
      return candidates.length > 0 && replay.seen >= from;
    },
    get isOver() {
      return candidates.length === 0;
    },
    choose: async () => {
      from = replay.seen + replay.frames; // until one fits
      const over = windows();
      if (over === undefined) return undefined;
      const tried: (Contestant & { readonly folder: string; readonly error: number })[] = [];
      for (const { folder, forecaster } of await loadCandidates(candidates, channels, tell)) {
        // What has no weights was trained on nothing: it is no other beginning.
        if (learn === 'scratch' && canLearn(forecaster)) continue;
        try {
          const near = await scoring.on(forecaster, over);
          tried.push({ folder, forecaster, near, error: relativeError(near) });
        } catch (error) {
          tellUntried(tell, folder, error);
        }
      }
      const first = tried.sort((a, b) => a.error - b.error)[0];
      if (first === undefined) {
        candidates = [];
        return undefined;
      }
      const told = tried.map(({ forecaster: { id }, error }) => `${id.name} ${error.toFixed(2)}`).join(', ');
      const fitting = tried.filter(({ near }) => isBetter(near, trendRival(near)));
      const trained = fitting.find(({ forecaster }) => canLearn(forecaster));
      const best = (over.leads < horizon / 2 ? trained : undefined) ?? fitting[0];
      if (best !== undefined) {
        const { folder, forecaster, near } = best;
        const which = best === fitting[0] ? 'those that ship' : 'those that were trained';
        const why = `of ${which} it fits best: errors over those of the better of persistence and linear extrapolation: ${told}`;
        return { folder, forecaster, near, why };
      }
      const { near } = first;
      const trend = trendRival(near);
      const ofTrend = relativeError(near.map((one, k) => ({ ...one, forecasterRmse: trend(one, k) })));
      tell({
        type: 'notice',
        message: `no forecaster that ships fits this run (errors over those of the better of persistence and linear extrapolation: ${told}; the trend ${ofTrend.toFixed(2)})`,
      });
      return undefined;
    },
    end: () => {
      candidates = [];
    },
  };
};
