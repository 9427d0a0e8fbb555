import type { Engine } from '../../engine/index.js';
import type { Forecaster } from '../../forecaster/forecaster.js';
import { createRunner } from '../../forecaster/programs.js';
import { discounted, farWindows, reachOf, scoreWindows, type Windows } from './compare.js';
import type { HeldOutScore } from './messages.js';
import type { Replay } from './replay.js';

/** Context that comparisons give: that of the forecasters that ship, which have a memory. */
export const CONTEXT = 10;

/** A forecaster, and what it did on the frames kept apart. */
export interface Contestant {
  readonly forecaster: Forecaster;
  readonly near: readonly HeldOutScore[];
}

export interface Scoring {
  on(forecaster: Forecaster, windows: Windows): Promise<HeldOutScore[]>;
  /** What each does at leads beyond those of the frames kept apart; the same windows for all. */
  beyond(contestants: readonly Contestant[]): Promise<(readonly HeldOutScore[])[]>;
}

export const createScoring = (
  engine: Engine,
  replay: Pick<Replay, 'live'>,
  { horizon }: { readonly horizon: number },
): Scoring => {
  const on = async (forecaster: Forecaster, windows: Windows): Promise<HeldOutScore[]> => {
    const runner = createRunner(forecaster, engine);
    try {
      return await scoreWindows(runner, forecaster.network.encoder.stride, windows);
    } finally {
      await runner.dispose();
    }
  };
  return {
    on,
    beyond: async (contestants) => {
      const contexts = contestants.map(({ forecaster }) => forecaster.settings.context);
      const far = farWindows(replay.live(), Math.min(CONTEXT, Math.max(...contexts)), {
        horizon,
        reached: Math.max(...contestants.map(({ near }) => reachOf(near))),
      });
      const beyond: (readonly HeldOutScore[])[] = [];
      for (const { forecaster, near } of contestants) {
        const scores: HeldOutScore[][] = [];
        for (const windows of far) scores.push(await on(forecaster, windows));
        beyond.push(discounted(scores, near));
      }
      return beyond;
    },
  };
};
