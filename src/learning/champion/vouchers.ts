import type { Ledger } from '../../pipeline/ledger/ledger.js';
import type { Judge } from '../judging/judge.js';
import type { HeldOutScore } from '../learner/messages.js';

/** What the learner found of a forecaster before it made any forecasts. */
interface Found {
  readonly hash: string;
  readonly scores: readonly HeldOutScore[];
  readonly tried?: number;
}

/** What vouches for forecasters until they have verified forecasts of their own, kept for when the run is begun again. */
export interface Vouchers {
  take(found: Found): void;
  /** The furthest lead that a network from nothing was tried at. */
  triedOf(hash: string): number | undefined;
  forget(hash: string): void;
}

const keyOf = (hash: string): string => `vouched:${hash}`;

/** @param known forecasters that the run may have forecasts of, from the time before */
export const openVouchers = (
  ledger: Pick<Ledger, 'note' | 'putNote'>,
  judge: Pick<Judge, 'vouch'>,
  known: readonly string[],
): Vouchers => {
  const vouch = ({ hash, scores, tried }: Found): void =>
    judge.vouch(hash, {
      tried,
      scores: scores.map(({ window, ...score }) => ({
        ...score,
        origin: -window,
        forecaster: hash,
        rmse: score.forecasterRmse,
        madeBy: 'forecaster' as const,
      })),
    });
  const foundOf = (hash: string): Found | undefined => ledger.note(keyOf(hash)) as Found | undefined;
  // Of all of them: frames that come again after a crash are of the forecaster that they had.
  for (const hash of known) {
    const found = foundOf(hash);
    // What an older mesocast has left may know less of the trend, and not which series it is of.
    if (found !== undefined)
      vouch({
        ...found,
        scores: found.scores.filter((score) => 'betweenRmse' in score && 'series' in score),
      });
  }
  return {
    take: (found) => {
      vouch(found);
      ledger.putNote(keyOf(found.hash), found);
    },
    triedOf: (hash) => foundOf(hash)?.tried,
    forget: (hash) => {
      ledger.putNote(keyOf(hash), undefined);
      judge.vouch(hash, undefined);
    },
  };
};
